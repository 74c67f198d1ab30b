"""The paired bootstrap against analytic intervals, MMPose's PCK and slow loops."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmpose.evaluation.functional import keypoint_pck_accuracy

from mmdistill.functional import bootstrap
from mmdistill.functional.bootstrap import (
    Interval,
    image_means,
    image_pck,
    paired_interval,
)


@given(st.integers(1, 50), st.integers(0, 99))
def test_equal_models_do_not_differ(count, seed):
    values = np.random.default_rng(seed).random(count)
    assert paired_interval(values, values, draws=50) == Interval(0.0, 0.0, 0.0)


def test_the_interval_of_normal_differences_is_the_analytic_one():
    """Its half is 1.96 standard deviations of the mean."""
    rng = np.random.default_rng(0)
    second = rng.normal(0, 3, 2000)
    first = second + rng.normal(0.1, 0.5, 2000)
    differences = first - second

    interval = paired_interval(first, second)

    half = 1.95996 * differences.std() / math.sqrt(2000)
    assert interval.difference == pytest.approx(differences.mean(), abs=1e-12)
    assert interval.low == pytest.approx(differences.mean() - half, abs=0.03 * half)
    assert interval.high == pytest.approx(differences.mean() + half, abs=0.03 * half)


def test_intervals_cover_the_true_difference_as_often_as_they_say():
    rng = np.random.default_rng(1)
    covered = 0
    for trial in range(400):
        values = rng.normal(0.2, 1.0, 60)
        interval = paired_interval(values, np.zeros(60), draws=400, seed=trial)
        covered += interval.low <= 0.2 <= interval.high
    # 95 % less what the percentile interval lacks of 60 images; 4 standard deviations.
    assert 0.94 - 4 * 0.011 < covered / 400 < 0.95 + 4 * 0.011


def test_the_interval_is_that_of_a_slow_loop(monkeypatch):
    rng = np.random.default_rng(2)
    first, second = rng.random(7), rng.random(7)
    generator = np.random.default_rng(3)
    means = []
    for _ in range(200):
        drawn = [generator.integers(7) for _ in range(7)]
        means.append(sum(first[i] - second[i] for i in drawn) / 7)

    interval = paired_interval(first, second, draws=200, seed=3)
    # Few images at a time draw the same.
    monkeypatch.setattr(bootstrap, 'CHUNK', 35)
    chunked = paired_interval(first, second, draws=200, seed=3)

    assert interval.low == pytest.approx(np.quantile(means, 0.025), abs=0.05)
    assert interval.high == pytest.approx(np.quantile(means, 0.975), abs=0.05)
    assert chunked.low == pytest.approx(interval.low, abs=0.05)


def test_equal_seeds_give_equal_intervals():
    rng = np.random.default_rng(4)
    first, second = rng.random(30), rng.random(30)
    assert paired_interval(first, second) == paired_interval(first, second)
    assert paired_interval(first, second) != paired_interval(first, second, seed=1)


def test_what_is_hard_for_both_does_not_widen_the_interval():
    rng = np.random.default_rng(5)
    hardness = rng.normal(0, 100, 40)
    gain = rng.normal(0.5, 0.1, 40)
    interval = paired_interval(hardness + gain, hardness)
    assert interval.sign == 1
    assert interval.high - interval.low < 0.1


@pytest.mark.parametrize(
    ('low', 'high', 'sign'), [(0.1, 0.2, 1), (-0.2, -0.1, -1), (-0.1, 0.1, 0)]
)
def test_an_interval_that_holds_zero_tells_nothing(low, high, sign):
    assert Interval((low + high) / 2, low, high).sign == sign


@pytest.mark.parametrize('shapes', [((0,), (0,)), ((2,), (3,)), ((2, 2), (2, 2))])
def test_other_images_are_refused(shapes):
    first, second = map(np.zeros, shapes)
    with pytest.raises(ValueError, match='same images'):
        paired_interval(first, second)


@given(st.integers(0, 999))
def test_means_and_pck_of_images_are_those_of_a_loop(seed):
    rng = np.random.default_rng(seed)
    images = np.sort(np.concatenate([np.arange(4), rng.integers(0, 4, 6)]))
    values = rng.random(10)
    errors = np.where(rng.random((10, 5)) < 0.3, np.nan, rng.random((10, 5)))
    errors[:, 0] = rng.random(10)

    means, shares = image_means(values, images), image_pck(errors, images, 0.4)

    for image in range(4):
        own = [i for i in range(10) if images[i] == image]
        assert means[image] == pytest.approx(sum(values[i] for i in own) / len(own))
        known = [e for i in own for e in errors[i] if not np.isnan(e)]
        assert shares[image] == pytest.approx(sum(e < 0.4 for e in known) / len(known))


def test_pck_of_one_image_is_that_of_mmpose():
    rng = np.random.default_rng(6)
    truth, sizes = rng.uniform(0, 90, (8, 4, 2)), rng.uniform(50, 90, 8)
    poses = truth + rng.normal(0, 9, truth.shape)
    errors = np.linalg.norm(poses - truth, axis=-1) / sizes[:, None]
    norm = np.repeat(sizes[:, None], 2, axis=1)
    mask = np.ones((8, 4), bool)

    _, expected, _ = keypoint_pck_accuracy(poses, truth, mask, 0.2, norm)

    assert image_pck(errors, np.zeros(8, int), 0.2)[0] == pytest.approx(expected)
