"""The recipe of each round."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mmdistill.config.datasets import leak_guard_config
from mmdistill.config.recipe import Recipe
from mmdistill.errors import ConfigError
from mmdistill.stages.round_configs import Rounds

SECTION = dict(
    teacher=dict(checkpoint='t.pth'),
    unlabeled=dict(data_root='images'),
    views=dict(scales=(1.0, 1.2)),
)

ODD = dict(ann_file='x', img_root='y', a=1)


def rounds(section=None, files=None, **options) -> Rounds:
    config = Config(
        dict(
            distill=dict(SECTION, rounds=options, **(section or {})),
            work_dir='work',
            model=dict(type='A', backbone=dict(depth=18, base=4)),
            train_cfg=dict(max_iters=10),
            randomness=dict(seed=3, deterministic=True),
        )
    )
    return Rounds(Recipe.of(config), files)


def test_the_students_of_a_round_are_the_teachers_of_the_next():
    made = rounds(students=2)
    assert made.seeds == [3, 4]
    assert made.config(1).distill.teacher == dict(checkpoint='t.pth')
    assert made.config(3).distill.teacher == [
        dict(
            checkpoint=f'work/round_2/seed_{seed}/plain_model.pth',
            config='work/round_2/recipe.py',
        )
        for seed in (3, 4)
    ]


@pytest.mark.parametrize('store', [None, 'mine/labels'])
def test_each_round_has_a_store_of_its_own(store):
    made = rounds(dict(store=store) if store else None)
    first = store or 'work/round_1/labels'
    stores = [made.config(number).distill.store for number in (1, 2, 3)]
    assert stores == [first, 'work/round_2/labels', 'work/round_3/labels']
    assert [str(made.store(number)) for number in (1, 2, 3)] == stores


def test_a_round_is_a_recipe_without_rounds():
    recipe = Recipe.of(rounds().config(2))
    assert recipe.distill.rounds is None
    assert recipe.distill.views.scales == (1.0, 1.2)
    assert len(recipe.distill.teachers) == 1


def test_the_settings_of_a_round_are_its_own():
    made = rounds(
        settings=[
            {},
            dict(
                mixing=dict(labeled_share=0.5),
                views=dict(flip=False),
                model=dict(backbone=dict(depth=50)),
                train_cfg=dict(_delete_=True, max_epochs=2),
            ),
        ]
    )
    first, second, third = (made.config(number) for number in (1, 2, 3))
    assert second.distill.mixing == dict(labeled_share=0.5)
    assert second.distill.views == dict(scales=(1.0, 1.2), flip=False)
    assert second.model == dict(type='A', backbone=dict(depth=50, base=4))
    assert second.train_cfg == dict(max_epochs=2)
    assert 'mixing' not in first.distill
    assert first.model == third.model == made.recipe.config.model
    assert first.train_cfg == third.train_cfg == dict(max_iters=10)


def test_a_section_can_be_taken_out_of_a_round():
    made = rounds(dict(schedule=dict()), settings=[dict(schedule=None)])
    assert Recipe.of(made.config(1)).distill.schedule is None
    assert Recipe.of(made.config(2)).distill.schedule is not None


def test_a_round_may_have_another_config(tmp_path):
    path = tmp_path / 'larger.py'
    path.write_text("model = dict(type='B')\nrandomness = dict(seed=9)\n")
    made = rounds(settings=[{}, dict(config=str(path), mixing=dict(num_batches=2))])
    second = made.student_config(2, 3)
    assert second.model == dict(type='B')
    assert second.randomness == dict(seed=3, deterministic=True)
    assert second.distill.mixing == dict(num_batches=2)
    assert second.distill.views == made.config(1).distill.views
    assert made.config(3).model == made.config(1).model


def test_students_differ_by_their_seed_and_folder():
    made = rounds(students=2)
    first, second = (made.student_config(2, seed) for seed in made.seeds)
    assert first.work_dir == 'work/round_2/seed_3'
    assert second.randomness == dict(seed=4, deterministic=True)
    second.randomness.seed, second.work_dir = 3, first.work_dir
    assert first.to_dict() == second.to_dict()


def test_a_student_starts_from_the_one_before_only_where_asked():
    fresh, going_on = rounds(), rounds(start='previous')
    assert fresh.student_config(2, 3).get('load_from') is None
    assert going_on.student_config(1, 3).get('load_from') is None
    assert going_on.student_config(2, 3).load_from == (
        'work/round_1/seed_3/plain_model.pth'
    )


def test_boxes_that_a_detector_finds_are_those_of_the_first_round():
    made = rounds(dict(detector=dict(config='d.py', checkpoint='d.pth', boxes='found')))
    assert made.config(1).distill.detector.boxes == 'found'
    later = Recipe.of(made.config(2)).distill
    assert later.detector is None
    assert later.unlabeled.detections == 'found'
    # Else boxes would be fitted in some rounds and not in others.
    first = Recipe.of(made.config(1)).distill
    assert first.refit_arguments == later.refit_arguments


FINDER = dict(type='BottomupPoseEstimator', head=dict(type='RTMOHead'))
TOP_DOWN = "model = dict(type='TopdownPoseEstimator')"


def test_students_of_whole_images_label_without_the_boxes_of_the_first_round(tmp_path):
    (tmp_path / 'teacher.py').write_text(TOP_DOWN)
    made = rounds(
        dict(
            teacher=dict(checkpoint='t.pth', config=str(tmp_path / 'teacher.py')),
            detector=dict(config='d.py', checkpoint='d.pth', boxes='found'),
            unlabeled=dict(data_root='images', category_ids=[1], max_boxes=3),
            labeling=dict(refit_boxes=True, nms_thr=0.5),
        ),
        settings=[dict(), dict(views=dict(scales=(1.0,), resolutions=(1.0, 1.5)))],
    )
    made.recipe.config.model = FINDER

    assert not made.finds_instances(1)
    assert made.config(1).distill.detector.boxes == 'found'
    for number in (2, 3):
        assert made.finds_instances(number)
        later = Recipe.of(made.config(number)).distill
        assert later.detector is None
        assert not later.unlabeled.box_sources
        assert later.unlabeled.category_ids is None
        assert later.labeling.refit_boxes is None
        assert later.labeling.nms_thr == 0.5
    assert Recipe.of(made.config(2)).distill.views.resolutions == (1.0, 1.5)


def test_students_of_crops_have_no_boxes_where_the_first_teacher_finds_them(tmp_path):
    (tmp_path / 'finder.py').write_text(f'model = {FINDER!r}')
    made = rounds(
        dict(teacher=dict(checkpoint='t.pth', config=str(tmp_path / 'finder.py')))
    )

    made.config(1)
    with pytest.raises(ConfigError, match='students of round 1 see crops'):
        made.config(2)


def test_held_out_images_are_not_labeled():
    holdout = dict(ann_file='h.json', data_root='d', data_prefix=dict(img='i/'))
    made = rounds(holdout=holdout)
    guard = Recipe.of(made.config(2)).distill.leak_guard
    assert guard == [dict(ann_file='d/h.json', img_root='d/i')]
    sets = leak_guard_config(Recipe.of(made.config(2)), dict(ann_file='l.json'))
    assert sets['val'] == guard
    for wrong, sentence in (({}, 'must state its ann_file'), (ODD, 'has no a, only')):
        recipe = Recipe.of(rounds(dict(leak_guard=[wrong])).recipe.config)
        with pytest.raises(ConfigError, match=sentence):
            leak_guard_config(recipe, {})
    assert sets['labeled'] == [dict(ann_file='l.json', img_root='.')]
    assert (
        rounds(dict(leak_guard=False), holdout=holdout).config(1).distill.leak_guard
        is False
    )


def test_files_may_lie_elsewhere_while_they_are_checked(tmp_path):
    made = rounds(files=tmp_path)
    assert made.recipe_file(2) == tmp_path / 'round_2/recipe.py'
    assert made.config(3).distill.teacher[0].config == str(made.recipe_file(2))
    assert made.student(2, 3) == Path('work/round_2/seed_3')


@pytest.mark.parametrize(
    ('settings', 'sentence'),
    [
        (dict(teacher=dict(checkpoint='x')), r'settings\[0\]\.teacher cannot differ'),
        (dict(rounds=dict()), r'\.rounds cannot differ from round to round'),
        (dict(mixin=dict()), r'settings\[0\] has no mixin; did you mean mixing'),
        (dict(config='gone.py'), r'the config of distill\.rounds\.settings gone\.py'),
    ],
)
def test_settings_that_a_round_cannot_have_are_refused(settings, sentence):
    with pytest.raises(ConfigError, match=sentence):
        rounds(settings=[settings]).config(1)
