"""Heatmaps that MMPose's UDP codec cannot refine, beside those that it can."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from mmpose.codecs import UDPHeatmap

from mmdistill.models.adapters.flat_heatmaps import HeatmapDecoder
from mmdistill.models.adapters.heatmap import heatmap_axes

CODEC = UDPHeatmap(input_size=(96, 128), heatmap_size=(24, 32), sigma=2)
SHAPE = (32, 24)
FLAT_FROM = 1
"""Keypoints from this one on have no curvature at their peak."""


@pytest.fixture
def head():
    """A head that decodes as MMPose's does, instance by instance."""

    def decode(heatmaps):
        decoded = [CODEC.decode(one) for one in heatmaps.numpy()]
        return [InstanceData(keypoints=k, keypoint_scores=s) for k, s in decoded]

    return SimpleNamespace(decode=decode, decoder=CODEC)


def peaked(x, y):
    """A Gaussian around a place between cells."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8).astype(np.float32)


def singular():
    """A heatmap whose curvature MMPose cannot invert, found by trying ridges.

    The smallest float is added to both curvatures before they are inverted, so a
    ridge has to have exactly that much too little along its back.
    """
    rng = np.random.default_rng(0)
    for _ in range(5000):
        heatmap = np.full(SHAPE, rng.uniform(0.01, 0.3), np.float32)
        heatmap += rng.choice([1e-9, 1e-8, 6e-8], SHAPE).astype(np.float32)
        try:
            CODEC.decode(heatmap[None])
        except np.linalg.LinAlgError:
            return heatmap
    raise AssertionError('no heatmap met the error')


def decoder(head):
    return HeatmapDecoder(head, heatmap_axes(CODEC))


def test_refinable_keypoints_are_those_of_mmpose(head, logged):
    heatmaps = torch.from_numpy(np.stack([[peaked(7.3, 9.6), peaked(12.8, 20.1)]] * 2))

    poses = decoder(head)(heatmaps)

    expected, scores = CODEC.decode(heatmaps[0].numpy())
    np.testing.assert_array_equal(poses.keypoints, np.repeat(expected, 2, axis=0))
    np.testing.assert_array_equal(poses.keypoint_scores[0], scores[0])
    assert logged == []


def test_a_flat_heatmap_keeps_its_peak_and_costs_no_other_its_refinement(head, logged):
    flat = singular()
    one = np.stack([peaked(7.3, 9.6), flat, peaked(12.8, 20.1)])
    other = np.stack([peaked(3.4, 5.6), peaked(7.7, 7.7), peaked(12.8, 20.1)])
    with pytest.raises(np.linalg.LinAlgError):
        CODEC.decode(one)

    poses = decoder(head)(torch.from_numpy(np.stack([one, other])))

    alone = [CODEC.decode(heatmap[None])[0][0, 0] for heatmap in (one[0], one[2])]
    np.testing.assert_array_equal(poses.keypoints[0, [0, 2]], alone)
    np.testing.assert_array_equal(poses.keypoints[1], CODEC.decode(other)[0][0])
    y, x = np.unravel_index(flat.argmax(), SHAPE)
    at_peak = np.array([x, y]) / [23, 31] * [96, 128]
    np.testing.assert_allclose(poses.keypoints[0, 1], at_peak, atol=1e-3)
    assert poses.keypoint_scores[0, 1] == flat.max()
    assert poses.keypoint_scores.shape == poses.keypoints_visible.shape == (2, 3)
    assert logged == [
        '1 keypoints so far have a heatmap too flat to be refined and are placed at '
        'its highest cell'
    ]


def test_the_log_reports_the_first_one_and_every_tenfold_number(head, logged):
    decode = decoder(head)
    heatmaps = torch.from_numpy(singular()[None, None])

    for _ in range(101):
        decode(heatmaps)

    assert [int(line.split()[0]) for line in logged] == [1, 10, 100]


@pytest.mark.filterwarnings('error')
def test_a_heatmap_of_zeros_has_score_0_and_costs_no_other_its_refinement(head):
    heatmaps = np.stack([peaked(7.3, 9.6), np.zeros(SHAPE, np.float32)])

    poses = decoder(head)(torch.from_numpy(heatmaps[None]))

    alone = CODEC.decode(heatmaps[:1])[0][0]
    np.testing.assert_array_equal(poses.keypoints[0, :1], alone)
    assert np.isfinite(poses.keypoints).all()
    assert poses.keypoint_scores[0, 1] == poses.keypoints_visible[0, 1] == 0
