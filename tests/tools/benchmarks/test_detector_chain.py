"""Poses in the boxes of a detector, and of its student."""

import json
from pathlib import Path

import pytest

from mmdistill.errors import DataError

DETECTORS = {'baseline': 0.25, 'student': 0.75}
MODELS = {'teacher': 0.1, 'student': 0.2}


class Tools:
    """Notes commands, and leaves scores that tell seed, detector and model."""

    def __init__(self):
        self.called = []

    def __call__(self, command, log):
        self.called.append(list(command))
        if '--out' in command:
            path = Path(command[command.index('--out') + 1])
            seed, detector, model = path.parent.parts[-3:]
            score = DETECTORS[detector] + MODELS[model] + int(seed[-1]) / 1000
            path.write_text(json.dumps({'coco/AP': score}))
        return 1.0


@pytest.fixture
def chain(load, tmp_path, monkeypatch):
    module = load('detector_chain')
    monkeypatch.setattr(module, 'TRAINED', str(tmp_path / 'trained'))
    # Variables of other processes are not this test's.
    monkeypatch.setattr(module, 'set_up_processes', lambda jobs, folder: None)
    for seed in (0, 1):
        for name in module.DETECTORS.values():
            path = tmp_path / 'trained' / f'seed{seed}' / f'{name}.pth'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f'{seed} {name}')
    return module


@pytest.fixture
def main(chain, tmp_path, monkeypatch, capsys):
    def main(*options):
        tools = Tools()
        monkeypatch.setattr(chain, 'call', tools)
        folder = str(tmp_path / 'runs')
        chain.main(['--seeds', '0', '1', '--work-dir', folder, *options])
        return tools.called, capsys.readouterr().out

    return main


def test_poses_are_compared_in_the_boxes_of_both_detectors(main):
    called, shown = main()

    scores = json.loads(shown.splitlines()[-1])
    for model, score in MODELS.items():
        for detector, offset in DETECTORS.items():
            expected = [score + offset, score + offset + 0.001]
            assert scores[model][detector] == pytest.approx(expected)
    rows = [line.split() for line in shown.splitlines() if line.startswith('the ')]
    assert [row[-3:] for row in rows] == [['+0.500', '±', '0.000']] * 2
    # One teacher of poses a seed; boxes, a student and two tests for each detector.
    assert len(called) == 2 * (1 + 2 * 4)
    assert main()[0] == []


def test_each_model_has_the_boxes_of_its_own_detector(main, chain):
    called, _ = main()
    for command in called:
        text = ' '.join(command)
        if 'bbox_file' in text or 'distill.detector.checkpoint' in text:
            folder = command[command.index('--work-dir') + 1]
            seed, detector = Path(folder).parts[-3:-1]
            if command[0] == 'tools/test.py':
                seed, detector = Path(folder).parts[-4:-2]
                assert f'/{seed}/{detector}/boxes/val.bbox.json' in text
            else:
                assert str(chain.checkpoint_of(int(seed[-1]), detector)) in text


def test_another_detector_is_another_chain(main, tmp_path):
    main()
    (tmp_path / 'trained/seed1/fusion/iter_500.pth').write_text('other')
    called, _ = main()
    assert len(called) == 4
    assert all('seed1/student' in ' '.join(command) for command in called)


def test_nothing_runs_where_the_state_is_asked_for(main):
    called, shown = main('--status')
    assert called == []
    assert shown.count('not done') == 6


def test_detectors_that_are_not_trained_are_refused(main, tmp_path):
    (tmp_path / 'trained/seed0/fusion/iter_500.pth').unlink()
    with pytest.raises(DataError, match='the detectors of seed 0 must be trained'):
        main()
