"""Which models are trained, by which config and where."""

from pathlib import Path

import pytest

from mmdistill.errors import ConfigError
from mmdistill.pipeline.models import Model
from tests.helpers.distilling import RECIPE, TEACHER, WORK, work_of, write_recipe


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_recipe()


def teachers(**options) -> list[Model]:
    return work_of(None, **options).teachers


def test_a_missing_teacher_is_trained_where_its_checkpoint_lies(recipe):
    (model,) = teachers()
    assert model.training == 'mine/teacher.py'
    assert model.work_dir == WORK / 'teacher'


def test_the_config_of_that_folder_comes_before_teacher_py(recipe):
    text = TEACHER.replace(f'{WORK}/teacher', 'work_dirs/other')
    RECIPE.with_name('small.py').write_text(text)
    (model,) = teachers(**{'distill.teacher.checkpoint': 'work_dirs/other/iter_4.pth'})
    assert model.training == 'mine/small.py'
    (model,) = teachers(**{'distill.teacher.checkpoint': 'work_dirs/none/iter_4.pth'})
    assert model.training == 'mine/teacher.py'


def test_a_stated_config_comes_first(recipe):
    RECIPE.with_name('own.py').write_text(TEACHER)
    (model,) = teachers(**{'distill.teacher.config': 'mine/own.py'})
    assert model.training == model.tested_by == 'mine/own.py'


@pytest.mark.parametrize('exists', [True, False])
def test_a_checkpoint_that_is_there_is_used(recipe, exists):
    Path('own').mkdir()
    Path('own/best.pth').touch()
    path = 'own/best.pth' if exists else 'https://host/best.pth'
    (model,) = teachers(**{'distill.teacher.checkpoint': path})
    assert model.training is None
    assert model.work_dir is None


def test_several_teachers_of_one_config_have_other_seeds(recipe):
    paths = [f'{WORK}/{name}/iter_4.pth' for name in ('one', 'two')]
    first, second = teachers(**{'distill.teacher': paths})
    assert (first.name, second.name) == ('teacher_1', 'teacher_2')
    assert first.options == ()
    assert second.options == ('--cfg-options', 'randomness.seed=1')


def test_two_teachers_of_one_folder_are_refused(recipe):
    paths = [f'{WORK}/one/{name}.pth' for name in ('iter_2', 'iter_4')]
    with pytest.raises(ConfigError, match='a folder of its own'):
        teachers(**{'distill.teacher': paths})


def test_two_trainings_of_one_folder_are_refused(recipe):
    text = RECIPE.with_name('baseline.py').read_text()
    RECIPE.with_name('baseline.py').write_text(text.replace('/baseline', '/student'))
    with pytest.raises(ConfigError, match='student and baseline would both be'):
        work_of('')


def test_a_config_that_trains_nothing_is_refused(recipe):
    text = 'train_cfg = None\n'
    RECIPE.with_name('own.py').write_text(f"_base_ = 'teacher.py'\n{text}")
    with pytest.raises(ConfigError, match=r'mine/own.py cannot train it'):
        teachers(**{'distill.teacher.config': 'mine/own.py'})


def test_a_detector_is_trained_by_its_own_config(recipe):
    detector = dict(checkpoint='work_dirs/d/iter_4.pth', config='mine/teacher.py')
    options = {'distill.detector': detector, 'distill.unlabeled.bbox_file': None}
    model = work_of(None, **options).detector
    assert model.training == 'mine/teacher.py'
    assert model.work_dir == Path('work_dirs/d')
    stock = dict(detector, config='mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py')
    with pytest.raises(ValueError, match='does not exist; train the detector'):
        work_of(None, **{**options, 'distill.detector': stock})


def test_tasks_of_a_detector_come_before_the_labels(recipe):
    detector = dict(checkpoint='work_dirs/d/iter_4.pth', config='mine/teacher.py')
    options = {'distill.detector': detector, 'distill.unlabeled.bbox_file': None}
    names = [task.name for task in work_of(None, **options).tasks()]
    assert names[:4] == [
        f'teacher in {WORK}/teacher',
        *('detector in work_dirs/d', 'boxes', 'labels'),
    ]


def test_a_teacher_of_another_config_is_no_measure_so_a_baseline_is(recipe):
    RECIPE.with_name('own.py').write_text(TEACHER)
    large = {'distill.teacher.config': 'mine/own.py'}
    work = work_of(None, **large)
    assert work.baseline.training == 'mine/baseline.py'
    assert work.larger == ['teacher']
    assert work_of(None).baseline is None
    assert work_of('', **{}).larger == []


def test_a_baseline_can_be_refused(recipe):
    RECIPE.with_name('own.py').write_text(TEACHER)
    RECIPE.with_name('baseline.py').unlink()
    work = work_of(None, **{'distill.teacher.config': 'mine/own.py'})
    assert work.baseline is None
    # With nothing else to compare with, the teacher is the measure.
    assert work.larger == []
