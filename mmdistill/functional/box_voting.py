"""Boxes of several views of an image, merged by suppression and voting.

The union of the boxes of all views is reduced to distinct boxes class by class, and
each of these becomes the mean of the boxes of the union that overlap it (bounding-box
voting: Gidaris and Komodakis, ICCV 2015; Data Distillation, section 6; Detectron's
`TEST.BBOX_VOTE`). Detectron keeps the score of the best box, which rises with the
number of views. Here a score is the mean over the views, and so is the agreement.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torchvision.ops import box_iou

from mmdistill.functional.boxes import distinct_boxes


@dataclass(frozen=True)
class ViewBoxes:
    """Boxes of all views of an image, in pixels of the image.

    Attributes:
        bboxes: Boxes (x1, y1, x2, y2), (M, 4), float32.
        scores: Their scores, (M,), float32.
        classes: Their classes, (M,).
        views: View that each was found in, from 0, (M,).

    >>> boxes = np.array([[0, 0, 10, 10]], np.float32)
    >>> len(ViewBoxes(boxes, np.float32([0.5]), np.array([0]), np.array([0])))
    1
    """

    bboxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    views: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, rows: np.ndarray) -> ViewBoxes:
        columns = (self.bboxes, self.scores, self.classes, self.views)
        return ViewBoxes(*(column[rows] for column in columns))


@dataclass(frozen=True)
class VotedBoxes:
    """Distinct boxes of an image, merged over its views, best first.

    Attributes:
        bboxes: Boxes (x1, y1, x2, y2) in pixels, (n, 4), float32.
        scores: Mean scores over the views, (n,), float32.
        classes: Classes, (n,).
        agreement: Agreement of the views on each, from 0 to 1, (n,), float32.

    >>> VotedBoxes(*(np.zeros((0, *shape)) for shape in ((4,), (), (), ()))).scores
    array([], dtype=float64)
    """

    bboxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    agreement: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, rows: np.ndarray) -> VotedBoxes:
        columns = (self.bboxes, self.scores, self.classes, self.agreement)
        return VotedBoxes(*(column[rows] for column in columns))


def vote_boxes(
    union: ViewBoxes, num_views: int, score_thr: float, nms_thr: float, vote_thr: float
) -> VotedBoxes:
    """Merge the boxes of several views of an image, class by class.

    Non-maximum suppression of the union leaves the distinct boxes. Each moves to the
    mean, weighted by score, of all boxes of the union that overlap it by `vote_thr` or
    more, itself included. A view has found a distinct box if one of its own boxes of
    that class overlaps it by at least `nms_thr`, from where on suppression takes both
    as one. The merged score is the mean over all views of the score of the view's box
    that overlaps it most, 0 for a view without one: it does not grow with the number of
    views, and views that all see the same give what one of them gives.

    Args:
        union: Boxes of all views.
        num_views: Number of views, those without any box included.
        score_thr: Minimum score of a box, before and after merging.
        nms_thr: Intersection over union above which two boxes are one.
        vote_thr: Intersection over union from which on a box votes.

    Returns:
        The distinct boxes that reach `score_thr`, best first; of equal scores, in the
        order of suppression.

    >>> boxes = np.array([[0, 0, 10, 10], [0, 0, 12, 10], [30, 0, 40, 10]], np.float32)
    >>> scores, views = np.array([0.9, 0.6, 0.4], np.float32), np.array([0, 1, 1])
    >>> union = ViewBoxes(boxes, scores, np.zeros(3, int), views)
    >>> merged = vote_boxes(union, 2, score_thr=0.1, nms_thr=0.5, vote_thr=0.8)
    >>> merged.bboxes.round(2)
    array([[ 0. ,  0. , 10.8, 10. ],
           [30. ,  0. , 40. , 10. ]], dtype=float32)
    >>> merged.scores.round(2), merged.agreement.round(2)
    (array([0.75, 0.2 ], dtype=float32), array([0.91, 0.5 ], dtype=float32))
    """
    survivors = distinct_boxes(
        union.bboxes, union.scores, union.classes, score_thr, nms_thr
    )
    sized = (union.bboxes[:, 2:] > union.bboxes[:, :2]).all(axis=1)
    voting = union[np.flatnonzero(sized & (union.scores >= score_thr))]
    bboxes = np.zeros((len(survivors), 4), dtype=np.float32)
    scores = np.zeros(len(survivors), dtype=np.float32)
    agreement = np.zeros(len(survivors), dtype=np.float32)
    classes = union.classes[survivors]
    for category in np.unique(classes):
        rows = np.flatnonzero(classes == category)
        kept = union.bboxes[survivors[rows]]
        members = voting[voting.classes == category]
        bboxes[rows] = voted_boxes(kept, members.bboxes, members.scores, vote_thr)
        scores[rows] = mean_scores(kept, members, num_views, nms_thr)
        agreement[rows] = box_agreement(bboxes[rows], members, num_views, nms_thr)
    merged = VotedBoxes(bboxes, scores, classes, agreement)
    order = np.argsort(-scores, kind='stable')
    return merged[order[scores[order] >= score_thr]]


def voted_boxes(
    kept: np.ndarray, bboxes: np.ndarray, scores: np.ndarray, vote_thr: float
) -> np.ndarray:
    """Move boxes to the score-weighted means of the boxes that overlap them.

    Args:
        kept: Boxes to move (x1, y1, x2, y2), (n, 4), each one of `bboxes`.
        bboxes: Boxes that vote, (M, 4).
        scores: Their scores, (M,), not all 0 around a box that is kept.
        vote_thr: Intersection over union from which on a box votes.

    Returns:
        The means, (n, 4), float32. A box that nothing else votes for stays the same.

    >>> bboxes = np.array([[0, 0, 10, 10], [0, 0, 11, 10]], np.float32)
    >>> voted_boxes(bboxes[:1], bboxes, np.array([0.6, 0.2]), vote_thr=0.9).tolist()
    [[0.0, 0.0, 10.25, 10.0]]
    """
    weights = (overlaps(kept, bboxes) >= vote_thr) * scores.astype(np.float64)
    totals = weights.sum(axis=1, keepdims=True)
    sums = weights @ bboxes.astype(np.float64)
    means = np.divide(sums, totals, out=kept.astype(np.float64), where=totals > 0)
    moved: np.ndarray = means.astype(np.float32)
    return moved


def mean_scores(
    kept: np.ndarray, members: ViewBoxes, num_views: int, nms_thr: float
) -> np.ndarray:
    """Average the scores of boxes over all views, 0 for a view without the box.

    Args:
        kept: Distinct boxes of one class (x1, y1, x2, y2), (n, 4).
        members: Boxes of all views of that class.
        num_views: Number of views.
        nms_thr: Intersection over union above which two boxes are one.

    Returns:
        Mean scores, (n,), float32.

    >>> boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9]], np.float32)
    >>> scores, views = np.array([0.75, 0.25]), np.array([0, 2])
    >>> members = ViewBoxes(boxes, scores, np.zeros(2, int), views)
    >>> mean_scores(boxes[:1], members, num_views=4, nms_thr=0.5).tolist()
    [0.25]
    """
    best, index = _best_of_views(kept, members, num_views, nms_thr)
    scores = np.where(best > 0, members.scores.astype(np.float64)[index], 0.0)
    return scores.mean(axis=1).astype(np.float32)


def box_agreement(
    merged: np.ndarray, members: ViewBoxes, num_views: int, nms_thr: float
) -> np.ndarray:
    """Measure how far the views agree on merged boxes.

    It is the mean over all views of the best intersection over union of the view's
    boxes with the merged one, 0 for a view without that box.

    Args:
        merged: Merged boxes of one class (x1, y1, x2, y2), (n, 4).
        members: Boxes of all views of that class.
        num_views: Number of views.
        nms_thr: Intersection over union above which two boxes are one.

    Returns:
        Agreement from 0 to 1, (n,), float32.

    >>> boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 8]], np.float32)
    >>> members = ViewBoxes(boxes, np.ones(2), np.zeros(2, int), np.array([0, 1]))
    >>> box_agreement(boxes[:1], members, num_views=3, nms_thr=0.5).round(2)
    array([0.6], dtype=float32)
    """
    best, _ = _best_of_views(merged, members, num_views, nms_thr)
    return best.mean(axis=1).astype(np.float32)


def overlaps(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Compute the intersections over unions of all pairs of boxes.

    Args:
        one: Boxes (x1, y1, x2, y2), (n, 4).
        other: Boxes, (M, 4).

    Returns:
        Intersections over unions, (n, M), float64.

    >>> box = np.array([[0, 0, 10, 10]])
    >>> overlaps(box, np.array([[0, 0, 10, 5], [20, 0, 30, 10]])).tolist()
    [[0.5, 0.0]]
    """
    pairs = box_iou(
        *(torch.from_numpy(each.astype(np.float64)) for each in (one, other))
    )
    ious: np.ndarray = pairs.numpy()
    return ious


def _best_of_views(
    boxes: np.ndarray, members: ViewBoxes, num_views: int, nms_thr: float
) -> tuple[np.ndarray, np.ndarray]:
    """Best overlap of each view with each box, (n, V), 0 for none, and its member."""
    ious = overlaps(boxes, members.bboxes)
    best = np.zeros((len(boxes), num_views))
    index = np.zeros((len(boxes), num_views), dtype=np.int64)
    for view in np.unique(members.views):
        rows = np.flatnonzero(members.views == view)
        index[:, view] = rows[ious[:, rows].argmax(axis=1)]
        of_view = ious[np.arange(len(boxes)), index[:, view]]
        best[:, view] = np.where(of_view >= nms_thr, of_view, 0)
    return best, index
