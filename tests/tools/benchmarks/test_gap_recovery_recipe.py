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


@pytest.fixture
def write_recipe(tmp_path):
    """Write a recipe with this section, and return the path of its student."""
    plain = (
        'train_cfg = dict(max_iters=4)\n'
        "train_dataloader = dict(dataset=dict(type='CocoDataset', ann_file='a.json'))\n"
    )

    def write_recipe(section):
        (tmp_path / 'baseline.py').write_text(plain)
        (tmp_path / 'student.py').write_text(f'{plain}distill = dict({section})\n')
        return str(tmp_path / 'student.py')

    return write_recipe


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
        read.teacher: ['train_dataloader.dataset'],
    }


def test_a_round_with_a_config_of_its_own_has_the_same_labeled_set(
    recipes, write_recipe, load, tmp_path
):
    other = tmp_path / 'other.py'
    other.write_text("_base_ = 'baseline.py'\ntrain_cfg = dict(max_iters=30)\n")
    section = f"rounds=dict(number=3, settings=[{{}}, dict(config='{other}')])"
    student = write_recipe(section)
    read, configs = recipes.read_recipe(student, has_upper_bound=False)
    keys = read.labeled[student]
    own = 'distill.rounds.settings.1.train_dataloader.dataset'
    assert keys == ['train_dataloader.dataset', own]
    assert read.round_configs == [str(other)]
    changed = load('gap_recovery.stacks')._changed(
        configs[student], [f'{key}.ann_file=few.json' for key in keys]
    )
    assert changed.train_dataloader.dataset.ann_file == 'few.json'
    assert changed.distill.rounds.settings[1].to_dict() == dict(
        config=str(other), train_dataloader=dict(dataset=dict(ann_file='few.json'))
    )


def test_a_schedule_that_would_be_all_warm_up_is_refused(recipes, read):
    with pytest.raises(UserError, match='50 iterations would end in its warm-up of 50'):
        recipes.read_recipe(read.student, iterations=100)


def test_a_recipe_without_an_upper_bound_is_reported(recipes, tmp_path):
    (tmp_path / 'student.py').write_text('train_cfg = dict(max_iters=4)')
    (tmp_path / 'baseline.py').write_text('train_cfg = dict(max_iters=4)')
    with pytest.raises(UserError, match=r'upper_bound\.py does not exist'):
        recipes.read_recipe(str(tmp_path / 'student.py'))


def test_the_flag_that_the_sentence_names_does_without_one(recipes):
    pytest.importorskip('efficientnet_lite_pytorch')
    student = str(RECIPE.parent / 'openfield' / 'student.py')
    with pytest.raises(UserError, match='compare without one by --no-upper-bound'):
        recipes.read_recipe(student)
    read, configs = recipes.read_recipe(student, has_upper_bound=False)
    assert read.upper_bound is None
    assert [*configs] == [read.student, read.baseline]


def test_boxes_of_a_detector_without_a_folder_are_found_by_the_comparison(recipes):
    student = str(RECIPE.parent / 'toy' / 'student.py')
    assert recipes.read_recipe(student, has_upper_bound=False)[0].detects


@pytest.mark.parametrize(
    ('name', 'of_boxes'), [('toy', False), ('toy_detection', True)]
)
def test_a_recipe_of_a_detector_is_known_as_one(recipes, name, of_boxes):
    student = str(RECIPE.parent / name / 'student.py')
    recipe, _ = recipes.read_recipe(student, has_upper_bound=False)
    assert recipe.of_boxes == of_boxes


@pytest.mark.parametrize(
    ('section', 'ingredients', 'teachers'),
    [
        ("teacher=dict(checkpoint='a')", [], 1),
        ("teacher=['a', 'b', 'c']", ['two_teachers'], 3),
        ("teacher=['a']", [], 1),
        ('noise=dict(), finish=None, ema=dict(momentum=0.1)', ['noise', 'ema'], 1),
        ('views=dict(resolutions=(1.0,))', [], 1),
        ('views=dict(resolutions=(1.0, 1.33))', ['resolutions'], 1),
    ],
)
def test_ingredients_are_those_that_the_section_states(
    recipes, write_recipe, section, ingredients, teachers
):
    read, _ = recipes.read_recipe(write_recipe(section), has_upper_bound=False)
    assert (read.ingredients, read.teachers) == (ingredients, teachers)


def test_teachers_of_a_config_of_their_own_are_refused(recipes, write_recipe):
    student = write_recipe("teacher=[dict(config='x.py', checkpoint='a'), 'b']")
    with pytest.raises(UserError, match=r'states distill\.teacher\.config'):
        recipes.read_recipe(student, has_upper_bound=False)


def test_a_teacher_of_a_config_of_its_own_is_an_ingredient(
    recipes, write_recipe, load, tmp_path
):
    students = load('gap_recovery.arms').students
    large = tmp_path / 'large.py'
    large.write_text("_base_ = 'baseline.py'\ntrain_cfg = dict(max_iters=30)\n")
    student = write_recipe(f"teacher=dict(config='{large}', checkpoint='a')")
    read, configs = recipes.read_recipe(student, has_upper_bound=False)
    assert read.ingredients == ['large_teacher']
    assert (read.teacher, read.teacher_iterations) == (str(large), 30)
    assert read.labeled[str(large)] == ['train_dataloader.dataset']
    assert str(large) in configs
    with pytest.raises(UserError, match=r'not of both: .* large_teacher\+two'):
        recipes.check_teachers(
            read, students(['fusion', 'large_teacher+two_teachers'], [])
        )
    recipes.check_teachers(read, students(['two_teachers', 'large_teacher'], []))


def test_a_large_teacher_that_the_recipe_does_not_state_is_refused(
    recipes, write_recipe, load
):
    students = load('gap_recovery.arms').students
    student = write_recipe("teacher=dict(checkpoint='a')")
    read, _ = recipes.read_recipe(student, has_upper_bound=False)
    with pytest.raises(UserError, match=r'without large_teacher\+finish'):
        recipes.check_teachers(read, students(['large_teacher+finish'], []))


def test_the_labeled_set_is_found_within_wrappers(recipes):
    labeled, other = dict(ann_file='a.json'), dict(ann_file='b.json')
    both = dict(datasets=[other, dict(dataset=labeled)])
    config = dict(train_dataloader=dict(dataset=dict(dataset=both)))
    (key,) = recipes.keys_of(config, 'a.json')
    assert key == 'train_dataloader.dataset.dataset.datasets.1.dataset'


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
