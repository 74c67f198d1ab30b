"""A teacher that is not wholly loaded is refused."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from torch import nn

from mmdistill.engine.hooks.checkpoint_guard_hooks import (
    TeacherGuardHook,
    check_keypoint_count,
    check_teacher,
)
from mmdistill.errors import UserError
from mmdistill.models import PoseFinder
from tests.helpers.checkpoint_models import NAMES, Fusing
from tests.helpers.finder_models import RESIZE, build_finder_model


@pytest.fixture
def runner():
    """What the hook looks at of a runner."""
    return SimpleNamespace(model=Fusing())


@pytest.fixture
def weights(runner):
    """Weights that fit."""
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).state_dict()


def check(runner, weights, **meta):
    hook = TeacherGuardHook(NAMES)
    hook.after_load_checkpoint(runner, dict(state_dict=weights, meta=meta))
    hook.before_test(runner)


def test_a_checkpoint_that_fits_is_accepted(runner, weights):
    check(runner, weights)


def test_a_checkpoint_that_is_a_state_dict_is_accepted(runner, weights):
    hook = TeacherGuardHook(NAMES)
    hook.after_load_checkpoint(runner, weights)
    hook.before_test(runner)


def test_the_weights_checked_are_in_the_teacher(runner, weights):
    check(runner, weights)
    assert torch.equal(runner.model.module[0].weight, weights['0.weight'])


def test_the_prefix_of_a_distributed_model_is_accepted(runner, weights):
    check(runner, {f'module.{key}': value for key, value in weights.items()})


def test_counters_of_batch_norm_may_be_missing(runner, weights):
    del weights['1.num_batches_tracked']
    check(runner, weights)


def test_a_missing_key_is_named(runner, weights):
    del weights['1.running_var']
    with pytest.raises(UserError, match=r'1\.running_var'):
        check(runner, weights)


def test_an_unknown_key_is_named(runner, weights):
    weights['head.weight'] = torch.zeros(1)
    with pytest.raises(UserError, match=r'head\.weight'):
        check(runner, weights)


def test_another_shape_is_named(runner, weights):
    weights['0.weight'] = torch.zeros(4, 5, 1, 1)
    with pytest.raises(UserError, match=r'0\.weight.*4, 5, 1, 1'):
        check(runner, weights)


def test_no_key_in_common_is_refused(runner):
    with pytest.raises(UserError, match=r'does not fit its model|misses'):
        check(runner, {})


def test_a_refusal_is_one_sentence(runner, weights):
    del weights['1.running_var']
    with pytest.raises(UserError) as error:
        check(runner, weights)
    assert '\n' not in str(error.value)


def test_a_refused_checkpoint_is_not_loaded(runner, weights):
    hook = TeacherGuardHook(NAMES)
    del weights['1.running_var']
    with pytest.raises(UserError):
        hook.after_load_checkpoint(runner, dict(state_dict=weights))
    with pytest.raises(UserError, match=r'distill\.teacher\.checkpoint'):
        hook.before_test(runner)


def test_other_keypoints_are_named(runner, weights):
    meta = dict(keypoint_id2name={0: 'nose', 1: 'chin'})
    with pytest.raises(UserError, match=r"\['nose', 'chin'\].*\['nose', 'left_eye'\]"):
        check(runner, weights, dataset_meta=meta)


def test_the_same_keypoints_are_accepted_in_any_order_of_the_record(runner, weights):
    check(
        runner, weights, dataset_meta=dict(keypoint_id2name={1: 'left_eye', 0: 'nose'})
    )


@pytest.mark.parametrize('meta', [{}, {'dataset_meta': None}, {'dataset_meta': {}}])
def test_a_checkpoint_without_record_of_keypoints_is_accepted(runner, weights, meta):
    check(runner, weights, **meta)


def test_a_teacher_that_was_never_loaded_is_refused(runner):
    with pytest.raises(UserError, match=r'give distill\.teacher\.checkpoint'):
        TeacherGuardHook(NAMES).before_test(runner)


@pytest.mark.parametrize('content', [[1, 2], torch.zeros(3), {'state_dict': [1]}])
def test_a_checkpoint_without_named_weights_is_refused(runner, content):
    with pytest.raises(UserError, match='must hold weights by name'):
        TeacherGuardHook(NAMES).after_load_checkpoint(runner, content)


def test_a_teacher_of_another_number_of_keypoints_is_refused(runner, weights):
    runner.model.num_keypoints = 5

    with pytest.raises(UserError, match='predicts 5 keypoints, the labeled set has 2'):
        check(runner, weights)


@pytest.fixture
def ensemble(tmp_path, runner):
    """A runner with a further teacher, whose checkpoint is saved as asked for."""
    teacher = SimpleNamespace(module=nn.Conv2d(3, 2, 1), kept=None)
    runner.model.teachers = [None, teacher]
    path = tmp_path / 'other.pth'
    other = nn.Conv2d(3, 2, 1)

    def save(weights=None, **meta):
        torch.save(dict(state_dict=weights or other.state_dict(), meta=meta), path)
        return [str(path)]

    return SimpleNamespace(
        save=save, weights=other.state_dict(), path=path, teacher=teacher
    )


def test_further_teachers_are_loaded(runner, weights, ensemble):
    hook = TeacherGuardHook(NAMES, ensemble=ensemble.save())
    hook.after_load_checkpoint(runner, dict(state_dict=weights))
    hook.before_test(runner)

    assert torch.equal(runner.model.module[0].weight, weights['0.weight'])
    assert torch.equal(ensemble.teacher.module.weight, ensemble.weights['weight'])


def test_a_further_teacher_that_does_not_fit_is_named(runner, weights, ensemble):
    hook = TeacherGuardHook(NAMES, ensemble=ensemble.save(dict(bias=torch.zeros(2))))
    with pytest.raises(UserError, match=rf'teacher\[1\], {ensemble.path}: .*weight'):
        hook.after_load_checkpoint(runner, dict(state_dict=weights))


def test_a_further_teacher_returns_keypoints_by_name(runner, weights, ensemble):
    backwards = dict(dataset_meta=dict(keypoint_id2name=dict(enumerate(NAMES[::-1]))))
    hook = TeacherGuardHook(NAMES, ensemble=ensemble.save(**backwards))
    with pytest.raises(UserError, match=r'teacher\[1\].* trained on the keypoints'):
        hook.after_load_checkpoint(runner, dict(state_dict=weights))

    ensemble.teacher.kept = [1, 0]
    hook.after_load_checkpoint(runner, dict(state_dict=weights))


def stage_of(*checkpoints):
    """A labeling stage whose model is the runner's."""
    first, *others = checkpoints
    hook = dict(
        type='mmdistill.TeacherGuardHook', keypoint_names=NAMES, ensemble=others
    )
    return Config(dict(load_from=first, model={}, custom_hooks=[hook]))


ADDRESS = 'https://example.org/teacher.pth'


def test_files_are_compared_although_another_teacher_is_an_address(
    runner, ensemble, monkeypatch
):
    monkeypatch.setattr(MODELS, 'build', lambda config: runner.model)
    runner.model.teachers.append(SimpleNamespace(module=nn.Conv2d(3, 2, 1), kept=None))
    check_teacher(stage_of(ADDRESS, *ensemble.save(), ADDRESS))
    assert torch.equal(ensemble.teacher.module.weight, ensemble.weights['weight'])

    (path,) = ensemble.save(dict(bias=torch.zeros(2)))
    with pytest.raises(UserError, match=rf'teacher\[1\], {path}: .*weight'):
        check_teacher(stage_of(ADDRESS, path, ADDRESS))


def test_addresses_alone_are_left_to_the_run(monkeypatch):
    monkeypatch.setattr(MODELS, 'build', pytest.fail)
    check_teacher(stage_of(ADDRESS, ADDRESS))


def test_a_tested_model_is_named_by_its_file_alone(runner, weights, ensemble):
    path = ensemble.save(dict(bias=torch.zeros(2)))
    hook = TeacherGuardHook(role='tested', ensemble=path)
    with pytest.raises(UserError, match=rf'^{ensemble.path}: the tested .*weight'):
        hook.after_load_checkpoint(runner, dict(state_dict=weights))


def test_channels_of_tags_are_not_keypoints():
    model = PoseFinder(build_finder_model('AE'), **RESIZE)

    assert model.module.head.out_channels == 6
    check_keypoint_count(model, 3)
    with pytest.raises(UserError, match='predicts 3 keypoints, the labeled set has 6'):
        check_keypoint_count(model, 6)
