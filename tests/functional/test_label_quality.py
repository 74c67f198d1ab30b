"""Precision, recall, AP and calibration against COCO's evaluation and slow loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdistill.functional.label_quality import (
    average_precision,
    binned_errors,
    mean_error,
    median_error,
    precision_recall,
)
from mmdistill.functional.oks import match, similarity
from tests.helpers.coco_evaluation import (
    SIGMAS,
    draw_keypoints,
    draw_truth,
    evaluate,
    seeds,
)

# Few different scores, so that many are equal.
scores_ = st.lists(st.integers(0, 6), max_size=30).map(
    lambda values: np.float32(values) / 7
)


def draw_images(seed: int, count: int) -> list:
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        truth = draw_truth(rng, int(rng.integers(1, 5)))
        keypoints = draw_keypoints(rng, truth)
        scores = -np.sort(-rng.integers(0, 9, len(keypoints))).astype(np.float32)
        images.append((keypoints, scores, truth))
    return images


def judged(images: list, oks_thr: float) -> tuple[np.ndarray, np.ndarray, int]:
    """Which candidates are correct and which count, and the true instances."""
    correct, counted = [], []
    for keypoints, _, truth in images:
        found = match(similarity(keypoints, truth, SIGMAS), truth, oks_thr)
        ignored = np.append(truth.ignored, False)[found]
        correct.append((found >= 0) & ~ignored)
        counted.append(~ignored)
    num_true = sum((~truth.ignored).sum() for *_, truth in images)
    return np.concatenate(correct), np.concatenate(counted), int(num_true)


@given(seeds, st.integers(1, 4))
def test_average_precision_is_cocos(seed, count):
    images = draw_images(seed, count)
    evaluation = evaluate(images)
    scores = np.concatenate([scores for _, scores, _ in images])

    for i, oks_thr in enumerate(evaluation.params.iouThrs):
        correct, counted, num_true = judged(images, oks_thr)
        expected = evaluation.eval['precision'][i, :, 0, 0, 0].mean()
        found = average_precision(scores, correct, counted, num_true)
        if num_true == 0:
            assert expected == -1
            assert np.isnan(found)
        else:
            assert found == pytest.approx(expected)


@given(seeds, st.integers(1, 4))
def test_recall_below_every_score_is_cocos(seed, count):
    images = draw_images(seed, count)
    evaluation = evaluate(images)
    scores = np.concatenate([scores for _, scores, _ in images])
    for i, oks_thr in enumerate((0.5, 0.75)):
        correct, counted, num_true = judged(images, oks_thr)
        if num_true == 0:
            continue
        _, (recall,) = precision_recall(
            scores, correct, counted, num_true, np.array([-1.0])
        )
        assert recall == pytest.approx(evaluation.eval['recall'][5 * i, 0, 0, 0])


@given(scores_, seeds)
def test_precision_and_recall_are_those_of_a_loop(scores, seed):
    rng = np.random.default_rng(seed)
    correct, counted = rng.random((2, len(scores))) < 0.6
    num_true = int((correct & counted).sum()) + 2
    thresholds = np.array([-1, 0, 2 / 7, 0.3, 6 / 7, 1])

    precision, recall = precision_recall(scores, correct, counted, num_true, thresholds)

    for i, threshold in enumerate(thresholds):
        kept = [
            right
            for score, right, counts in zip(scores, correct, counted, strict=True)
            if counts and score >= np.float32(threshold)
        ]
        assert recall[i] == sum(kept) / num_true
        if kept:
            assert precision[i] == sum(kept) / len(kept)
        else:
            assert np.isnan(precision[i])


def test_without_true_instances_there_is_no_recall():
    one = np.ones(1, dtype=bool)
    precision, recall = precision_recall(
        np.float32([0.5]), ~one, one, 0, np.array([0.1])
    )
    assert precision == [0]
    assert np.isnan(recall).all()


@given(scores_, seeds, st.integers(1, 9))
def test_bins_hold_every_error_once(scores, seed, num_bins):
    rng = np.random.default_rng(seed)
    errors = np.where(rng.random(len(scores)) < 0.3, np.nan, rng.random(len(scores)))

    binned = binned_errors(scores, errors, num_bins)

    edges = binned.edges
    last = len(binned.error) - 1
    for i in range(len(binned.error)):
        inside = [
            error
            for score, error in zip(scores.astype(float), errors, strict=True)
            if edges[i] <= score
            and (score <= edges[i + 1] if i == last else score < edges[i + 1])
            and not np.isnan(error)
        ]
        assert binned.count[i] == len(inside) > 0
        assert binned.error[i] == pytest.approx(np.mean(inside))
    assert binned.count.sum() == (~np.isnan(errors)).sum()
    assert len(binned.error) <= num_bins


def test_bins_of_different_scores_are_about_equally_full():
    values = np.random.default_rng(3).permutation(100)
    count = binned_errors(values, np.zeros(100), 5).count
    assert count.sum() == 100
    assert abs(count - 20).max() <= 1


@given(scores_, seeds)
def test_a_weight_counts_as_that_many_candidates(scores, seed):
    rng = np.random.default_rng(seed)
    weights = rng.integers(1, 4, len(scores))
    correct, counted = rng.random((2, len(scores))) < 0.6
    errors = np.where(rng.random(len(scores)) < 0.3, np.nan, rng.random(len(scores)))
    thresholds = np.array([-1, 0, 2 / 7, 0.3, 6 / 7, 1])
    columns = (scores, correct, counted, errors)
    often = [np.repeat(column, weights) for column in columns]

    pair = precision_recall(*columns[:3], 5, thresholds, weights)
    expected = precision_recall(*often[:3], 5, thresholds)
    mean, median = mean_error(errors, weights), median_error(errors, weights)

    np.testing.assert_allclose(pair, expected)
    if np.isnan(errors).all():
        assert np.isnan([mean, median]).all()
    else:
        assert mean == pytest.approx(np.nanmean(often[3]))
        assert median == pytest.approx(np.nanmedian(often[3]))


def test_a_weight_is_that_of_all_keypoints_of_a_label():
    errors = np.array([[1.0, np.nan, 3.0], [5.0, 5.0, 5.0]])
    weights = np.array([3.0, 1.0])
    assert mean_error(errors, weights) == pytest.approx((3 * 4 + 15) / 9)
    assert median_error(errors, weights) == 3
    binned = binned_errors(np.ones((2, 3)), errors, 4, weights)
    assert binned.error == pytest.approx([(3 * 4 + 15) / 9])
    assert binned.count.tolist() == [5]
