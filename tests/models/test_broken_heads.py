"""Broken outputs of one instance, for each family of heads and codec."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from mmdistill.models import HeatmapFusionTTA
from mmdistill.models.view_fuser import FusedPoses
from tests.helpers.tiny_heads import (
    FLIP_INDICES,
    HEADS,
    KEYPOINTS,
    each_tensor,
    tiny_estimator,
)

FIELDS = ('keypoints', 'keypoint_scores', 'keypoints_visible', 'keypoint_agreement')
BOXES = np.float32([[10, 20, 90, 120], [60, 30, 130, 150], [90, 10, 180, 140]])
BROKEN = 1
"""Index of the instance whose outputs are broken."""
VALUES = [np.nan, -np.inf, 3e38, 0.0, 1e-40, 1.0, -1.0]


@pytest.fixture(scope='module', params=HEADS)
def wrapper(request) -> HeatmapFusionTTA:
    # A batch of one view's instances: its rows are the instances.
    # The network itself, not a folded copy of it, so that its head can be broken.
    return HeatmapFusionTTA(
        tiny_estimator(request.param),
        scales=(1.0, 1.25),
        forward_batch_size=3,
        fold_batch_norm=False,
    )


@pytest.fixture
def fuse() -> Callable[..., FusedPoses]:
    noise = torch.rand(3, 160, 200, generator=torch.Generator().manual_seed(7))
    image = (255 * noise).byte()

    def fuse(wrapper: HeatmapFusionTTA, boxes: np.ndarray = BOXES) -> FusedPoses:
        with warnings.catch_warnings():
            warnings.simplefilter('error', RuntimeWarning)
            return wrapper.fuse([image], [boxes], FLIP_INDICES)

    return fuse


@pytest.fixture
def break_head(wrapper, monkeypatch) -> Iterator[Callable[[float], None]]:
    """Give every value of the broken instance another value, in every view."""
    head = wrapper.module.head
    plain = head.forward

    def patch(value: float) -> None:
        def change(output: Tensor) -> Tensor:
            output = output.clone()
            output[BROKEN] = value
            return output

        monkeypatch.setattr(
            head, 'forward', lambda feats: each_tensor(plain(feats), change)
        )

    return patch


@pytest.mark.parametrize('value', VALUES)
def test_a_broken_instance_is_finite_and_costs_the_others_nothing(
    wrapper, fuse, break_head, value
):
    right = fuse(wrapper)
    assert right.known.all()
    break_head(value)

    poses = fuse(wrapper)

    others = [i for i in range(len(BOXES)) if i != BROKEN]
    for name in FIELDS:
        assert np.isfinite(getattr(poses, name)).all()
        # Coordinates and scores are the very same: the batch does not matter.
        assert np.array_equal(
            getattr(poses, name)[others], getattr(right, name)[others]
        )
    assert poses.known[others].all()
    if not np.isfinite(value):
        assert not poses.known[BROKEN].any()
        assert (poses.keypoint_scores[BROKEN] == 0).all()


@pytest.mark.parametrize('side', [0.0, 1.0])
def test_a_box_of_one_pixel_is_finite(wrapper, fuse, side):
    corners = np.float32([[50, 60], [-30, -40], [1000, 3]])
    poses = fuse(wrapper, np.concatenate([corners, corners + np.float32(side)], axis=1))
    assert poses.known.shape == (3, KEYPOINTS)
    for name in FIELDS:
        assert np.isfinite(getattr(poses, name)).all()
    assert (np.abs(poses.keypoints - corners[:, None]) <= 4 * side + 1e-3).all()
