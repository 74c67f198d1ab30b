"""Means of both sets."""

from __future__ import annotations

import pytest

from mmdistill.selection.counts import LabeledCounts, Part, UnlabeledCounts

LABELED = LabeledCounts(
    images=80,
    annotated_images=28,
    instances=86,
    fingerprint='',
    categories=((1, 80), (7, 6)),
    keypoints=(86, 43, 0),
)


def test_means_of_the_labeled_set():
    assert (LABELED.mean('all'), LABELED.mean('annotated')) == (86 / 80, 86 / 28)


@pytest.mark.parametrize(('over', 'images'), [('all', 80), ('annotated', 28)])
def test_means_of_categories_have_the_images_of_all(over, images):
    assert LABELED.mean(over, 7) == 6 / images
    assert LABELED.mean(over, 3) == 0
    assert LABELED.mean(over, 1) + LABELED.mean(over, 7) == LABELED.mean(over)


def test_keypoints_are_counted_per_instance():
    assert LABELED.mean_keypoints == 1.5
    assert UnlabeledCounts(5, 0, 9, 4, 30, 6).mean_keypoints == 7.5


def test_means_of_nothing_are_zero():
    nothing = LabeledCounts(0, 0, 0, '')
    assert (nothing.mean('annotated'), nothing.mean_keypoints) == (0, 0)
    unlabeled = UnlabeledCounts(0, 3, 0, 0)
    assert (unlabeled.mean, unlabeled.mean_keypoints) == (0, 0)
    assert Part('', 1, None, 0, 0, 0, 0, 0, 1.5).mean == 0


def test_what_is_not_kept_is_dropped():
    assert UnlabeledCounts(5, 1, 9, 7).dropped == 2
    assert UnlabeledCounts(5, 1, 9, 7).mean == Part('', 1, 0.5, 5, 9, 7, 1, 1, 1).mean
