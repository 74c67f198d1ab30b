"""The share by which an error falls, against closed forms and slow loops."""

from __future__ import annotations

import numpy as np
import pytest

from mmdistill.functional.label_quality import PairedGain, paired_gain


def draw(seed: int, images: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Errors before and after of instances of some images, some unknown."""
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.repeat(np.arange(images), rng.integers(1, 4, images)))
    hard = rng.uniform(0.1, 1, images)[groups][:, None]
    before = hard * rng.uniform(0.5, 1.5, (len(groups), 5))
    after = before * rng.uniform(0.6, 1.2, before.shape)
    for errors in (before, after):
        errors[rng.uniform(size=errors.shape) < 0.2] = np.nan
    return before, after, groups


def slow_gain(before, after, groups) -> tuple[float, float]:
    """Sum over images and keypoints, one after the other."""
    sums: dict[int, list[float]] = {}
    for b, a, group in zip(before, after, groups.tolist(), strict=True):
        for x, y in zip(b.tolist(), a.tolist(), strict=True):
            if x == x and y == y:
                pair = sums.setdefault(group, [0.0, 0.0])
                pair[0] += x
                pair[1] += y
    total = sum(x for x, _ in sums.values())
    ratio = sum(y for _, y in sums.values()) / total
    squares = sum((y - ratio * x) ** 2 for x, y in sums.values())
    number = len(sums)
    return 1 - ratio, (number / (number - 1) * squares) ** 0.5 / total


@pytest.mark.parametrize('seed', range(5))
def test_it_is_that_of_a_slow_loop(seed):
    errors = draw(seed, 8)
    gain = paired_gain(*errors)
    assert (gain.share, gain.standard_error) == pytest.approx(slow_gain(*errors))


def test_of_equal_errors_before_it_is_the_error_of_a_mean():
    after = np.array([0.5, 0.75, 1.0, 0.25, 0.5])
    gain = paired_gain(np.ones(5), after, np.arange(5))
    assert gain.share == pytest.approx(1 - after.mean())
    assert gain.standard_error == pytest.approx(after.std(ddof=1) / 5**0.5)


def test_what_is_hard_in_both_cancels():
    before = np.array([0.1, 0.9, 0.2, 5.0])
    gain = paired_gain(before, 0.75 * before, np.arange(4))
    assert gain.share == pytest.approx(0.25)
    assert gain.standard_error == pytest.approx(0, abs=1e-12)


def test_keypoints_of_an_image_are_no_sample_of_their_own():
    before, after, groups = draw(0, 8)
    once = paired_gain(before, after, groups)
    twice = paired_gain(*(np.tile(e, (1, 4)) for e in (before, after)), groups)
    assert (twice.share, twice.standard_error) == pytest.approx(
        (once.share, once.standard_error)
    )


def test_the_error_is_that_of_samples_of_images():
    """Its mean over many samples is the deviation of the share over them."""
    samples = [paired_gain(*draw(seed, 40)) for seed in range(300)]
    deviation = np.std([each.share for each in samples], ddof=1)
    stated = np.sqrt(np.mean([each.standard_error**2 for each in samples]))
    assert stated == pytest.approx(deviation, rel=0.15)


def test_images_may_be_named():
    before, after, groups = draw(1, 6)
    names = np.array([f'{group}.png' for group in groups], dtype=object)
    assert paired_gain(before, after, names) == paired_gain(before, after, groups)


@pytest.mark.parametrize(
    ('before', 'share'), [([np.nan], None), ([], None), ([0.0], None), ([0.5], 0.5)]
)
def test_one_image_or_none_has_no_standard_error(before, share):
    before = np.array(before)
    gain = paired_gain(before, before / 2, np.zeros(len(before), int))
    assert np.isnan(gain.standard_error)
    assert np.isnan(gain.share) if share is None else gain.share == share
    assert not gain.is_clear


def test_two_standard_errors_are_clear():
    assert PairedGain(-0.05, 0.02).is_clear
    assert not PairedGain(0.05, 0.03).is_clear
