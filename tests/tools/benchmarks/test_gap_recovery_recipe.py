from __future__ import annotations

import json
from pathlib import Path

import pytest
from mmengine.config import Config

from mmdistill.errors import UserError

RECIPE = Path(__file__).parents[3] / 'configs' / 'distill' / 'lspe'
COCO = dict(
    info={},
    images=[dict(id=i, file_name=f'{i}.jpg') for i in range(10)],
    annotations=[dict(id=i, image_id=i // 2) for i in range(20)],
    categories=[dict(id=1)],
)


@pytest.fixture(scope='module')
def recipes(load):
    return load('gap_recovery.recipe')


@pytest.fixture(scope='module')
def read(recipes):
    pytest.importorskip('efficientnet_lite_pytorch')
    return recipes.read_recipe(str(RECIPE / 'student.py'))[0]


def test_length_and_steps_are_those_of_the_config(read):
    stated = Config.fromfile(RECIPE / 'baseline.py')
    assert read.iterations == read.stated == stated.train_cfg.max_iters
    steps = stated.param_scheduler[1].milestones
    assert read.schedulers == {'param_scheduler.1.milestones': steps}


def test_every_config_has_the_labeled_set_at_its_place(read):
    assert read.labeled == {
        read.student: ['train_dataloader.dataset'],
        read.baseline: ['train_dataloader.dataset'],
        read.upper_bound: ['train_dataloader.dataset.datasets.0'],
    }


def test_a_schedule_that_would_be_all_warm_up_is_refused(recipes, read):
    with pytest.raises(UserError, match='50 iterations would end in its warm-up of 50'):
        recipes.read_recipe(read.student, iterations=100)


def test_a_recipe_without_an_upper_bound_is_reported(recipes, tmp_path):
    (tmp_path / 'student.py').write_text('train_cfg = dict(max_iters=4)')
    (tmp_path / 'baseline.py').write_text('train_cfg = dict(max_iters=4)')
    with pytest.raises(UserError, match=r'upper_bound\.py does not exist'):
        recipes.read_recipe(str(tmp_path / 'student.py'))


@pytest.mark.parametrize(
    ('others', 'sentence'),
    [
        ('train_cfg = dict(max_epochs=4)', 'must count iterations'),
        ('train_cfg = dict(max_iters=5)', 'must have the same max_iters'),
    ],
)
def test_lengths_that_cannot_be_compared_are_refused(
    recipes, tmp_path, others, sentence
):
    (tmp_path / 'student.py').write_text('train_cfg = dict(max_iters=4)')
    (tmp_path / 'baseline.py').write_text(others)
    (tmp_path / 'upper_bound.py').write_text(others)
    with pytest.raises(UserError, match=sentence):
        recipes.read_recipe(str(tmp_path / 'student.py'))


def test_a_student_that_states_its_mix_is_refused(recipes, tmp_path):
    for name in ('baseline', 'upper_bound'):
        (tmp_path / f'{name}.py').write_text('train_cfg = dict(max_iters=4)')
    (tmp_path / 'student.py').write_text(
        'train_cfg = dict(max_iters=4)\n'
        "train_dataloader = dict(dataset=dict(type='ConcatDataset', datasets=["
        "dict(type='CocoDataset'), dict(type='mmdistill.PseudoLabelDataset')]))\n"
    )
    with pytest.raises(UserError, match=r'states some at .*\.datasets\.1'):
        recipes.read_recipe(str(tmp_path / 'student.py'))


def test_a_subset_has_its_images_with_all_their_annotations(recipes):
    few = recipes.subset(COCO, 4)
    ids = {image['id'] for image in few['images']}
    assert len(ids) == 4
    assert few['annotations'] == [
        a for a in COCO['annotations'] if a['image_id'] in ids
    ]
    assert few['categories'] == COCO['categories']


def test_a_smaller_subset_is_part_of_a_larger_one(recipes):
    small, large = (recipes.subset(COCO, number)['images'] for number in (3, 7))
    assert all(image in large for image in small)


def test_a_subset_is_drawn_and_not_cut_off(recipes):
    assert recipes.subset(COCO, 5)['images'] != COCO['images'][:5]


@pytest.mark.parametrize('number', [0, 11])
def test_an_impossible_size_is_refused(recipes, number):
    with pytest.raises(UserError, match=f'between 1 and 10 images, got {number}'):
        recipes.subset(COCO, number)


def test_the_subset_is_of_the_baselines_images(recipes, tmp_path):
    (tmp_path / 'train.json').write_text(json.dumps(COCO))
    dataset = dict(data_root=str(tmp_path), ann_file='train.json')
    baseline = dict(train_dataloader=dict(dataset=dataset))
    recipes.write_subset(baseline, 6, tmp_path / 'few.json')
    assert json.loads((tmp_path / 'few.json').read_text()) == recipes.subset(COCO, 6)
