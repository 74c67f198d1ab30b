"""Weights of keypoints, against a loop over them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from mmdistill.functional.keypoint_weights import (
    CRITERIA,
    keypoint_values,
    keypoint_weights,
    mean_one,
    weights_for_power,
)


def weight_by_loop(criterion, score, agreement, power, floor):
    score, agreement = max(float(score), 0.0), max(float(agreement), 0.0)
    value = {
        'score': score,
        'agreement': agreement,
        'both': math.sqrt(score * agreement),
    }[criterion]
    return max(floor, value**power)


@pytest.mark.parametrize(
    ('criterion', 'power', 'floor'),
    [*itertools.product(CRITERIA, (0, 0.5, 1, 3), (0, 0.3))],
)
def test_weights_equal_a_loop(criterion, power, floor):
    random = np.random.default_rng(0)
    # Peaks of heatmaps may be negative, those of SimCC above 1.
    scores = random.uniform(-0.5, 2, (20, 17)).astype(np.float32)
    agreement = random.random((20, 17)).astype(np.float32)
    expected = [
        [
            weight_by_loop(criterion, *pair, power, floor)
            for pair in zip(*rows, strict=True)
        ]
        for rows in zip(scores, agreement, strict=True)
    ]

    values = keypoint_values(criterion, scores, agreement)
    weights = keypoint_weights(values, power, floor)

    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


def test_scores_need_no_agreement():
    assert keypoint_values('score', np.array([0.5])).tolist() == [0.5]
    for criterion in ('agreement', 'both'):
        with pytest.raises(ValueError, match='needs the agreement of the views'):
            keypoint_values(criterion, np.array([0.5]))


def test_another_criterion_is_refused():
    with pytest.raises(ValueError, match=r"must be one of .*, got 'area'"):
        keypoint_values('area', np.array([0.5]))


def test_the_mean_over_the_mask_is_one_and_ratios_stay():
    random = np.random.default_rng(1)
    weights, mask = random.random((50, 17)), random.random((50, 17)) < 0.6

    scaled = mean_one(weights, mask)

    visible = [w for w, m in zip(scaled.flat, mask.flat, strict=True) if m]
    assert sum(map(float, visible)) / len(visible) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(scaled / weights, scaled[0, 0] / weights[0, 0], 1e-6)


@pytest.mark.parametrize('mask', [[False, False], [True, False]])
def test_what_has_no_mean_is_unchanged(mask):
    weights = np.array([0.0, 0.5], dtype=np.float32)
    assert mean_one(weights, np.array(mask)).tolist() == [0.0, 0.5]


def test_all_alike_stays_exactly_one():
    weights = keypoint_weights(np.random.default_rng(0).random((9, 5)), power=0)
    assert (mean_one(weights, np.ones((9, 5), dtype=bool)) == 1).all()


@pytest.mark.parametrize('power', [1, 2])
def test_the_power_of_a_loss_gives_the_weight_back(power):
    weights = np.random.default_rng(0).random((3, 4)).astype(np.float32)
    given = weights_for_power(weights, power)
    assert given.dtype == np.float32
    np.testing.assert_allclose(given**power, weights, rtol=1e-6)
