"""Merged boxes of several views against slow loops and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from mmdistill.functional.box_voting import (
    ViewBoxes,
    VotedBoxes,
    box_agreement,
    mean_scores,
    overlaps,
    vote_boxes,
    voted_boxes,
)

THRS = dict(score_thr=0.05, nms_thr=0.5, vote_thr=0.8)


def overlap(a, b) -> float:
    sides = [min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1)]
    shared = max(sides[0], 0.0) * max(sides[1], 0.0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return shared / (sum(areas) - shared)


def slowly(union: ViewBoxes, num_views: int, score_thr, nms_thr, vote_thr) -> list:
    """Detectron's procedure box by box, with scores and agreement of the mean."""
    boxes = [[float(x) for x in box] for box in union.bboxes]
    scores = [float(score) for score in union.scores]
    kept: list[int] = []
    for n in sorted(range(len(union)), key=lambda n: -scores[n]):
        rivals = [k for k in kept if union.classes[k] == union.classes[n]]
        if scores[n] >= score_thr and all(
            overlap(boxes[k], boxes[n]) <= nms_thr for k in rivals
        ):
            kept.append(n)
    merged = []
    for n in kept:
        same = [
            m
            for m in range(len(union))
            if union.classes[m] == union.classes[n] and scores[m] >= score_thr
        ]
        votes = [m for m in same if overlap(boxes[m], boxes[n]) >= vote_thr]
        total = sum(scores[m] for m in votes)
        box = [sum(scores[m] * boxes[m][i] for m in votes) / total for i in range(4)]
        score = agreement = 0.0
        for view in range(num_views):
            own = [m for m in same if union.views[m] == view]
            best = max(own, key=lambda m: overlap(boxes[m], boxes[n]), default=None)
            if best is not None and overlap(boxes[best], boxes[n]) >= nms_thr:
                score += scores[best] / num_views
            nearest = max((overlap(boxes[m], box) for m in own), default=0.0)
            agreement += nearest / num_views if nearest >= nms_thr else 0.0
        if score >= score_thr:
            merged.append((score, box, int(union.classes[n]), agreement))
    return sorted(merged, key=lambda entry: -entry[0])


def drawn(seed: int, num_views: int, objects: int = 6) -> ViewBoxes:
    """Views of the same objects, jittered, some of them missed."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 80, (objects, 2))
    true = np.concatenate([low, low + rng.uniform(20, 40, (objects, 2))], axis=1)
    classes = rng.integers(0, 3, objects)
    rows = [
        (true[n] + rng.normal(0, 2, 4), rng.uniform(0.02, 1), classes[n], view)
        for view in range(num_views)
        for n in range(objects)
        if rng.uniform() < 0.8
    ]
    boxes, scores, labels, views = zip(*rows, strict=True)
    return ViewBoxes(
        np.float32(boxes), np.float32(scores), np.array(labels), np.array(views)
    )


def repeated(union: ViewBoxes, times: int) -> ViewBoxes:
    """The same boxes in as many views."""
    count = len(union)
    rows = np.tile(np.arange(count), times)
    views = np.repeat(np.arange(times), count)
    shown = union[rows]
    return ViewBoxes(shown.bboxes, shown.scores, shown.classes, views)


@pytest.mark.parametrize('seed', range(8))
@pytest.mark.parametrize('vote_thr', [0.5, 0.8, 1.0])
def test_boxes_are_merged_as_by_a_slow_loop(seed, vote_thr):
    union = drawn(seed, num_views=4)
    thrs = dict(THRS, vote_thr=vote_thr)

    merged = vote_boxes(union, 4, **thrs)

    expected = slowly(union, 4, **thrs)
    assert len(merged) == len(expected) > 2
    scores, boxes, classes, agreement = zip(*expected, strict=True)
    assert merged.scores == pytest.approx(scores, abs=1e-6)
    assert merged.bboxes == pytest.approx(np.array(boxes), abs=1e-4)
    assert merged.classes.tolist() == list(classes)
    assert merged.agreement == pytest.approx(agreement, abs=1e-5)


def test_one_view_of_distinct_boxes_is_unchanged_to_the_last_bit():
    rng = np.random.default_rng(0)
    low = np.float32([[60 * n, 0] for n in range(5)]) + rng.uniform(0, 1, (5, 2))
    boxes = np.concatenate([low, low + rng.uniform(30, 50, (5, 2))], axis=1)
    scores = np.float32([0.9, 0.7, 0.5, 0.3, 0.07])
    union = ViewBoxes(np.float32(boxes), scores, np.arange(5) % 2, np.zeros(5, int))

    merged = vote_boxes(union, 1, **THRS)

    assert np.array_equal(merged.bboxes, union.bboxes)
    assert np.array_equal(merged.scores, scores)
    assert merged.classes.tolist() == [0, 1, 0, 1, 0]
    assert merged.agreement.tolist() == [1.0] * 5


@pytest.mark.parametrize('times', [2, 9])
def test_views_that_see_the_same_give_what_one_of_them_gives(times):
    one = drawn(3, num_views=1)

    alone = vote_boxes(one, 1, **THRS)
    merged = vote_boxes(repeated(one, times), times, **THRS)

    assert merged.scores == pytest.approx(alone.scores, rel=1e-6)
    assert merged.bboxes == pytest.approx(alone.bboxes, rel=1e-6)
    assert merged.agreement == pytest.approx(alone.agreement, rel=1e-6)


def test_the_order_of_the_views_does_not_matter():
    union = drawn(5, num_views=4)
    turned = ViewBoxes(union.bboxes, union.scores, union.classes, 3 - union.views)

    merged, other = (vote_boxes(each, 4, **THRS) for each in (union, turned))

    assert np.array_equal(merged.bboxes, other.bboxes)
    assert merged.agreement == pytest.approx(other.agreement, rel=1e-6)


@pytest.mark.parametrize('num_views', [1, 2, 5, 10])
def test_a_box_of_one_view_alone_has_its_share_of_score_and_agreement(num_views):
    box = ViewBoxes(
        np.float32([[0, 0, 8, 8]]), np.float32([0.8]), *np.zeros((2, 1), int)
    )

    merged = vote_boxes(box, num_views, 0.01, 0.5, 0.9)

    assert merged.scores == pytest.approx([0.8 / num_views])
    assert merged.agreement == pytest.approx([1 / num_views])


def test_a_merged_box_below_the_floor_is_none():
    box = ViewBoxes(
        np.float32([[0, 0, 8, 8]]), np.float32([0.8]), *np.zeros((2, 1), int)
    )

    assert len(vote_boxes(box, 10, 0.1, 0.5, 0.9)) == 0


def test_no_box_in_any_view_is_none():
    nothing = ViewBoxes(np.zeros((0, 4), np.float32), *np.zeros((3, 0)))

    merged = vote_boxes(nothing, 4, **THRS)

    assert isinstance(merged, VotedBoxes)
    assert merged.bboxes.shape == (0, 4)


def test_classes_do_not_vote_for_each_other():
    boxes = np.float32([[0, 0, 10, 10], [0, 0, 11, 10]])
    union = ViewBoxes(boxes, np.float32([0.8, 0.6]), np.array([0, 1]), np.array([0, 1]))

    merged = vote_boxes(union, 2, **THRS)

    assert merged.bboxes.tolist() == boxes.tolist()
    assert merged.scores == pytest.approx([0.4, 0.3])


def test_two_boxes_meet_at_their_weighted_mean():
    boxes = np.float32([[0, 0, 100, 100], [4, 0, 104, 100]])

    (moved,) = voted_boxes(boxes[:1], boxes, np.float32([0.75, 0.25]), 0.9)

    assert moved.tolist() == [1, 0, 101, 100]


def test_what_is_not_finite_does_not_vote():
    boxes = np.float32([[0, 0, 10, 10], [np.nan, 0, 10, 10], [0, 0, 10, 10]])
    scores = np.float32([0.5, 0.9, np.nan])
    union = ViewBoxes(boxes, scores, np.zeros(3, int), np.arange(3))

    merged = vote_boxes(union, 3, **THRS)

    assert merged.bboxes.tolist() == [[0, 0, 10, 10]]
    assert merged.scores == pytest.approx([0.5 / 3])


def test_of_several_boxes_of_a_view_the_nearest_one_counts():
    boxes = np.float32([[0, 0, 10, 10], [0, 0, 10, 6], [0, 0, 10, 9]])
    members = ViewBoxes(
        boxes, np.float32([0.5, 0.9, 0.3]), np.zeros(3), np.array([0, 1, 1])
    )

    assert mean_scores(boxes[:1], members, 2, 0.5) == pytest.approx([0.4])
    assert box_agreement(boxes[:1], members, 2, 0.5) == pytest.approx([0.95])


def test_overlaps_are_those_of_a_slow_loop():
    union = drawn(1, num_views=2)
    boxes = union.bboxes.astype(np.float64)

    pairs = overlaps(union.bboxes[:4], union.bboxes)

    expected = [[overlap(a, b) for b in boxes] for a in boxes[:4]]
    assert pairs == pytest.approx(np.array(expected))
