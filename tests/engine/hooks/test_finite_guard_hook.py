"""Counts of an evaluation's keypoints that are not finite."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.structures import InstanceData
from mmpose.structures import PoseDataSample

from mmdistill.engine.hooks.finite_guard_hook import FiniteGuardHook
from mmdistill.errors import CheckpointError

RUNNER = SimpleNamespace(cfg=dict(load_from='weights.pth'))


def run(*masks: np.ndarray) -> None:
    """An epoch whose batches have one sample each."""
    hook = FiniteGuardHook()
    hook.before_test_epoch(RUNNER)
    for number, known in enumerate(masks):
        sample = PoseDataSample()
        sample.pred_instances = InstanceData(keypoints_known=known)
        hook.after_test_iter(RUNNER, number, None, [sample])
    hook.after_test_epoch(RUNNER, {})


def test_finite_keypoints_are_not_mentioned(logged):
    run(np.ones((2, 3), dtype=bool), np.ones((0, 3), dtype=bool))
    assert logged == []


def test_some_that_are_not_finite_are_counted(logged):
    run(np.array([[True, False, False]]), np.array([[True, True, False]]))
    assert logged == [
        '3 of 6 keypoints are not finite: they have score 0 and lie in the middle of '
        'their boxes'
    ]


def test_none_that_is_finite_is_an_error():
    with pytest.raises(CheckpointError, match=r'of 6: the weights in weights\.pth'):
        run(*[np.zeros((1, 3), dtype=bool)] * 2)


def test_an_evaluation_without_instances_is_none_of_its_business(logged):
    run()
    assert logged == []
