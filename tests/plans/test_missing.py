"""Tests of what a distillation lacks."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mmdistill.config.recipe import Recipe
from mmdistill.plans.missing import boxes_to_find, missing_files
from tests.helpers.recipes import RECIPES, STUDENT


def test_a_teacher_is_missing_with_the_config_that_trains_it(config):
    path = config.distill.teacher.checkpoint
    teacher = RECIPES / 'teacher.py'

    assert missing_files(Recipe.of(config)) == [
        f'the teacher checkpoint {path}: python tools/train.py {teacher}'
    ]


def test_a_teacher_that_no_config_beside_it_trains(config):
    config.distill.teacher.checkpoint = 'elsewhere/best.pth'

    (sentence,) = missing_files(Recipe.of(config))

    assert sentence.endswith(': train it, or set distill.teacher.checkpoint')


def test_a_teacher_that_is_not_named(config):
    config.distill.teacher.checkpoint = None

    assert missing_files(Recipe.of(config)) == [
        'the teacher checkpoint: set distill.teacher.checkpoint'
    ]


@pytest.mark.parametrize('checkpoint', ['https://example.org/teacher.pth', 'own.pth'])
def test_nothing_is_missing(config, checkpoint):
    Path('own.pth').touch()
    config.distill.teacher.checkpoint = checkpoint

    assert missing_files(Recipe.of(config)) == []


def test_a_teacher_that_cannot_be_downloaded(config):
    config.distill.teacher.checkpoint = 'http://127.0.0.1:9/other.pth'

    (sentence,) = missing_files(Recipe.of(config))

    assert sentence.startswith(
        'the teacher checkpoint http://127.0.0.1:9/other.pth: cannot be fetched'
    )
    assert sentence.endswith('put the file at hub/checkpoints/other.pth')


def test_boxes_are_missing_with_what_makes_them(config):
    config.distill.unlabeled.bbox_file = 'none.json'

    assert 'the boxes none.json: detect them' in missing_files(Recipe.of(config))[1]


@pytest.mark.parametrize(
    ('ann_file', 'remedy'),
    [
        ('annotations/few_labeled.json', 'python tools/make_splits.py --help'),
        ('annotations/other.json', 'put it there'),
    ],
)
def test_a_list_is_missing(config, ann_file, remedy):
    config.train_dataloader.dataset.ann_file = ann_file

    assert f'the labeled list data/toy/{ann_file}: {remedy}' in missing_files(
        Recipe.of(config)
    )


def test_a_folder_is_missing(config):
    config.distill.unlabeled.data_prefix = dict(img='images/none/')

    expected = 'the unlabeled images data/toy/images/none/: put them there'
    assert expected in missing_files(Recipe.of(config))


@pytest.mark.parametrize('several', [False, True])
def test_the_truth_of_a_metric_is_missing(config, several):
    metric = dict(type='CocoMetric', ann_file='none.json')
    config.val_evaluator = [dict(type='PCKAccuracy'), metric] if several else metric

    assert missing_files(Recipe.of(config))[1:] == [
        'the annotations none.json of CocoMetric: put them there'
    ]


def test_a_detector_is_missing_with_the_config_that_trains_it(config):
    config.distill.unlabeled.pop('bbox_file')
    recipe = Config.fromfile(STUDENT)
    config.distill.detector = recipe.distill.detector

    _, detector = missing_files(Recipe.of(config))

    assert detector == (
        'the detector checkpoint work_dirs/toy/detector/iter_400.pth: '
        f'python tools/train.py {RECIPES / "detector.py"}'
    )
    assert boxes_to_find(Recipe.of(config)) == Path(f'{config.distill.store}_boxes')


def test_boxes_that_were_detected_are_not_missing(config, make_store, make_rows):
    config.distill.unlabeled.pop('bbox_file')
    config.distill.detector = dict(checkpoint='gone.pth')
    rows = make_rows((1, 0), num_keypoints=0)
    make_store(Path(f'{config.distill.store}_boxes'), rows, names=())

    assert len(missing_files(Recipe.of(config))) == 1
    assert boxes_to_find(Recipe.of(config)) is None


@pytest.mark.parametrize('name', ['work_dir', 'distill.store'])
def test_a_folder_that_cannot_be_made_is_named(config, name):
    config.distill.teacher.checkpoint = 'own.pth'
    Path('own.pth').touch()
    config.merge_from_dict({name: 'own.pth/deeper'})

    (sentence,) = missing_files(Recipe.of(config))

    assert sentence.startswith(f'the folder own.pth/deeper of {name}: ')
    assert sentence.endswith('own.pth is no folder; name another one')
