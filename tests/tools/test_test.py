import json
from pathlib import Path

import pytest

from tests.helpers.launches import launch_forked
from tests.helpers.recipes import REPOSITORY, STUDENT, TEACHER
from tests.helpers.workshop import DISTILL, TEACHER_FILE

STOCK_FLIP = (
    *('model.test_cfg.flip_test=True', 'model.test_cfg.flip_mode=heatmap'),
    'model.test_cfg.shift_heatmap=False',
)


def metrics(tool, config: str, *arguments: str) -> dict[str, float]:
    command = [config, TEACHER_FILE, '--out', 'metrics.json', *arguments]
    assert tool('test', *command) == 0
    return json.loads(Path('metrics.json').read_text())


def test_tta_of_one_scale_and_flip_measures_what_mmpose_flip_test_does(workshop, tool):
    views = [*DISTILL, 'distill.views.scales=[1.0]']

    fused = metrics(tool, STUDENT, '--tta', '--cfg-options', *views)
    stock = metrics(tool, TEACHER, '--cfg-options', *STOCK_FLIP)

    assert fused.keys() == stock.keys()
    assert fused['coco/AP'] == pytest.approx(stock['coco/AP'], abs=0.02)


def test_tta_needs_no_distill_section(workshop, tool):
    assert 'coco/AP' in metrics(tool, TEACHER, '--tta')


def test_predictions_are_dumped_one_a_person(workshop, tool):
    metrics(tool, TEACHER, '--dump', 'predictions.pkl')

    annotations = json.loads(Path('data/toy/annotations/val.json').read_text())
    import pickle

    dumped = pickle.loads(Path('predictions.pkl').read_bytes())
    counted = [a for a in annotations['annotations'] if a['num_keypoints']]
    assert len(dumped) == len(counted)


def test_results_of_each_instance_are_written_beside_the_metrics(workshop, tool):
    plain = metrics(tool, TEACHER)
    assert metrics(tool, TEACHER, '--per-image', 'images.json') == plain

    annotations = json.loads(Path('data/toy/annotations/val.json').read_text())
    counted = [a for a in annotations['annotations'] if a['num_keypoints']]
    content = json.loads(Path('images.json').read_text())
    assert len(content['oks']) == len(content['images']) == len(counted)
    visible = [sum(e is not None for e in errors) for errors in content['errors']]
    assert sorted(visible) == sorted(a['num_keypoints'] for a in counted)


def test_two_processes_measure_with_tta_what_one_does(workshop, tool):
    alone = metrics(tool, TEACHER, '--tta')

    arguments = [TEACHER, TEACHER_FILE, '--tta', '--out', 'two.json']
    launch_forked(REPOSITORY / 'tools/test.py', *arguments, '--launcher', 'pytorch')

    assert json.loads(Path('two.json').read_text()) == pytest.approx(alone, abs=1e-6)


def test_tta_of_a_checkpoint_that_does_not_fit_is_refused(workshop, tool, capsys):
    import torch

    weights = torch.load(TEACHER_FILE, weights_only=False)['state_dict']
    weights.pop('head.final_layer.weight')
    torch.save(dict(state_dict=weights), 'broken.pth')
    assert tool('test', TEACHER, 'broken.pth', '--tta') == 2
    assert 'misses 1 of the keys' in capsys.readouterr().err


@pytest.mark.parametrize('flag', ['--out', '--dump'])
def test_a_result_never_replaces_what_is_read(workshop, tool, capsys, flag):
    inputs = [TEACHER_FILE, 'data/toy/annotations/val.json']
    before = [Path(file).read_bytes() for file in inputs]

    for file in inputs:
        assert tool('test', TEACHER, TEACHER_FILE, flag, file) == 2
        assert f'{flag} {file} is ' in capsys.readouterr().err
    assert [Path(file).read_bytes() for file in inputs] == before


@pytest.mark.parametrize(
    ('option', 'sentence'),
    [
        ('test_evaluator.type=Nope', 'error: test_evaluator: Nope is not registered'),
        ('test_evaluator.ann_file=none.json', 'the ann_file none.json of test_eval'),
    ],
)
def test_a_metric_that_cannot_count_is_one_sentence(
    workshop, tool, capsys, option, sentence
):
    assert tool('test', TEACHER, TEACHER_FILE, '--cfg-options', option) == 2
    assert sentence in capsys.readouterr().err
