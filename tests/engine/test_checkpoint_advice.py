"""The advice of sentences about checkpoints: following it loads the weights."""

from __future__ import annotations

import ast
import re
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmengine.config import Config
from torch import nn

from mmdistill.config.recipe import Recipe
from mmdistill.engine.checkpoint import TESTED, load_checkpoint_strict, load_local
from mmdistill.engine.hooks.checkpoint_guard_hooks import (
    DetectorGuardHook,
    TeacherGuardHook,
)
from mmdistill.errors import UserError
from tests.helpers.checkpoint_models import NAMES, Estimator, Fusing, Wrapper, prefixed

ROLES = ['teacher', 'detector', TESTED]


class OfMine:
    """An object that a tool of a user's puts beside weights."""


def refused(*arguments) -> str:
    """What a checkpoint is refused with by its model."""
    with pytest.raises(UserError) as caught:
        load_checkpoint_strict(*arguments)
    return str(caught.value)


def is_loaded(model: nn.Module, weights: dict) -> bool:
    return all(torch.equal(model.state_dict()[key], weights[key]) for key in weights)


def section(role: str, key: str, value: str) -> Any:
    """A section of `distill` in a config with one more setting."""
    required = dict(teacher={}, unlabeled=dict(data_root='images'), store='labels')
    config = Config(dict(distill=required))
    config.merge_from_dict({key: value})
    distill = Recipe.of(config).distill
    return distill.teachers[0] if role == 'teacher' else getattr(distill, role)


@pytest.fixture
def whole():
    """A model that was trained as a whole."""
    torch.manual_seed(3)
    return Estimator()


# Objects that are not loaded.


def test_weights_are_loaded_without_the_objects_beside_them(tmp_path, whole):
    path = tmp_path / 'mine.pth'
    torch.save(dict(state_dict=whole.state_dict(), trainer=OfMine()), path)
    with pytest.raises(UserError) as caught:
        load_local(str(path))
    (entry,) = re.findall(r'save its (\w+) alone$', str(caught.value))

    content = torch.load(path, weights_only=False)
    torch.save({entry: content[entry]}, path)

    model = Estimator()
    load_checkpoint_strict(model, load_local(str(path)))
    assert is_loaded(model, whole.state_dict())


# Another config.


def misfit(name: str) -> tuple[nn.Module, nn.Module]:
    """The model of a config, and the one that a checkpoint is of."""
    other = Estimator()
    other.head.final_layer = nn.Conv2d(4, 3, 1)
    return {
        'shape': (Estimator(), other),
        'missing': (Estimator(depth=3), Estimator(depth=2)),
        'further': (Estimator(depth=2), Estimator(depth=3)),
    }[name]


@pytest.mark.parametrize('role', ROLES)
@pytest.mark.parametrize('name', ['shape', 'missing', 'further'])
def test_the_config_it_was_trained_with_has_its_model(name, role):
    configured, trained = misfit(name)
    checkpoint = dict(state_dict=trained.state_dict())
    sentence = refused(configured, checkpoint, role)
    (where,) = re.findall(
        r'; give the config it was trained with(?: in (distill\.\w+\.config))?$',
        sentence,
    )

    # A test has the config on its command line: no section names it.
    assert bool(where) == (role != TESTED)
    if where:
        assert section(role, where, 'its.py').config == 'its.py'
    own = misfit(name)[1]
    load_checkpoint_strict(own, checkpoint, role)
    assert is_loaded(own, trained.state_dict())


# Other weights.


@pytest.mark.parametrize('role', ROLES)
def test_a_backbone_alone_becomes_a_whole_model(whole, role):
    weights = whole.state_dict()
    backbone = {key: weights[key] for key in weights if key.startswith('backbone')}
    sentence = refused(Estimator(), backbone, role)
    (lacking, where) = re.findall(
        r'it has nothing of the (\w+): train the whole model and give (.+) what that '
        r'leaves$',
        sentence,
    )[0]

    assert where == ('this test' if role == TESTED else f'distill.{role}.checkpoint')
    trained = Estimator()
    trained.load_state_dict(backbone, strict=False)
    assert lacking in dict(trained.named_children())
    model = Estimator()
    load_checkpoint_strict(model, dict(state_dict=trained.state_dict()), role)
    assert is_loaded(model, backbone)


@pytest.mark.parametrize('content', [{}, dict(epoch=3, optimizer={})])
def test_weights_that_are_saved_by_name_are_loaded(whole, content):
    (entry,) = re.findall(
        r': save its weights by name as (\w+)$', refused(Estimator(), content)
    )

    model = Estimator()
    load_checkpoint_strict(model, {**content, entry: whole.state_dict()})
    assert is_loaded(model, whole.state_dict())


def test_a_model_that_was_saved_whole_is_saved_by_name(whole):
    sentence = refused(Estimator(), [torch.zeros(1)])
    assert re.search(r'must hold weights by name, got a list$', sentence)

    model = Estimator()
    load_checkpoint_strict(model, dict(whole.named_parameters()) | whole.state_dict())
    assert is_loaded(model, whole.state_dict())


@pytest.mark.parametrize('chosen', [0, 1])
@pytest.mark.parametrize('keep', ['with its prefix', 'by its own names'])
def test_of_several_models_one_is_saved(whole, chosen, keep):
    both = {
        **prefixed(Estimator().state_dict(), 'student.'),
        **prefixed(whole.state_dict(), 'teacher.'),
    }
    sentence = refused(Estimator(), dict(state_dict=both))
    (listed,) = re.findall(r'below (.+); save the weights of one of them$', sentence)
    prefix = listed.split(', ')[chosen]

    one = {key: value for key, value in both.items() if key.startswith(prefix)}
    if keep == 'by its own names':
        one = {key.removeprefix(prefix): value for key, value in one.items()}

    model = Estimator()
    load_checkpoint_strict(model, dict(state_dict=one))
    assert is_loaded(model, {k: both[f'{prefix}{k}'] for k in whole.state_dict()})


# Keypoints of a larger set.


class Fitting(Fusing):
    """A model whose config states what it returns of three keypoints."""

    def __init__(self, kept: list[int] | None) -> None:
        super().__init__()
        self.output_indices = kept
        self.num_keypoints = 3 if kept is None else len(kept)


@pytest.mark.parametrize(
    'recorded', [['chin', 'nose', 'left_eye'], ['left_eye', 'chin', 'nose']]
)
def test_a_teacher_of_more_keypoints_returns_those_of_the_labels(recorded):
    meta = dict(dataset_meta=dict(keypoint_id2name=dict(enumerate(recorded))))

    def load(kept: list[int] | None) -> None:
        runner, hook = SimpleNamespace(model=Fitting(kept)), TeacherGuardHook(NAMES)
        weights = runner.model.module.state_dict()
        hook.after_load_checkpoint(runner, dict(state_dict=weights, meta=meta))
        hook.before_test(runner)

    with pytest.raises(UserError) as caught:
        load(None)
    (numbers,) = re.findall(
        r'with model\.test_cfg=dict\(output_keypoint_indices=(\[.*\])\) in its config$',
        str(caught.value),
    )
    kept = ast.literal_eval(numbers)

    assert [recorded[number] for number in kept] == list(NAMES)
    load(kept)
    with pytest.raises(UserError, match='was trained on the keypoints'):
        load(kept[::-1])


# No checkpoint at all.


def trained(role: str) -> tuple[SimpleNamespace, nn.Module]:
    """A runner of a stage, and the model inside of its wrapper."""
    model = Fusing() if role == 'teacher' else Wrapper()
    return SimpleNamespace(model=model), model.module


@pytest.mark.parametrize('role', ['teacher', 'detector'])
def test_a_stage_with_the_checkpoint_that_is_asked_for_runs(tmp_path, role):
    hook = (
        TeacherGuardHook(NAMES) if role == 'teacher' else DetectorGuardHook(('a', 'b'))
    )
    runner, model = trained(role)
    with pytest.raises(UserError) as caught:
        hook.before_test(runner)
    key, own = re.findall(r'give ([\w.]+) \((\w+)\), got none$', str(caught.value))[0]

    path = tmp_path / 'trained.pth'
    torch.save(dict(state_dict=model.state_dict()), path)
    # It is what the runner of the stage loads, by its own key.
    stage = {own: section(role, key, str(path)).checkpoint}
    hook.after_load_checkpoint(runner, load_local(stage['load_from']))
    hook.before_test(runner)


def test_a_detector_has_as_many_names_as_outputs_by_either_way():
    runner, model = trained('detector')
    checkpoint = dict(meta={}, state_dict=model.state_dict())
    hook = DetectorGuardHook(('one',))
    hook.after_load_checkpoint(runner, checkpoint)
    with pytest.raises(UserError) as caught:
        hook.before_test(runner)
    (outputs,) = re.findall(r'the detector has (\d+) classes', str(caught.value))
    names = [f'class {number}' for number in range(int(outputs))]

    for meta, classes in ((dict(classes=names), ()), ({}, names)):
        hook = DetectorGuardHook(classes)
        hook.after_load_checkpoint(runner, {**checkpoint, 'meta': meta})
        hook.before_test(runner)
        assert runner.model.told[0] == names
