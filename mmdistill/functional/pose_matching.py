"""Matching of the poses that several views of an image find, and their fused poses.

Where a model finds instances itself, each view gives poses of its own, and none says
which pose of another view is of the same instance. Poses are grouped by their OKS, at
most one of a view in a group, and each group becomes one pose.

Shapes: `N` poses of all views of one image, `K` keypoints, `G` groups. Coordinates are
pixels of the image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch

from mmdistill.functional.fusion import PeakSpread, view_agreement
from mmdistill.functional.scoring import AREA_OF_BOX

ROUNDING = 1e-6
"""Margin of a bound on a logarithm of OKS, far above rounding errors."""


@dataclass(frozen=True)
class ViewPoses:
    """Poses that views of one image found.

    Attributes:
        keypoints: Coordinates (x, y), (N, K, 2).
        keypoint_scores: Score of each keypoint, (N, K).
        bboxes: Boxes (x1, y1, x2, y2), (N, 4).
        scores: Score of each pose, (N,).
        category_ids: Categories, (N,).
        views: Number of the view that found each pose, (N,).

    >>> poses = ViewPoses(
    ...     keypoints=np.array([[[10.0, 10.0], [20.0, 20.0]]]),
    ...     keypoint_scores=np.array([[0.9, 0.8]]),
    ...     bboxes=np.array([[0.0, 0.0, 30.0, 30.0]]),
    ...     scores=np.array([0.5]),
    ...     category_ids=np.array([1]),
    ...     views=np.array([0]),
    ... )
    >>> len(poses), len(join_views([poses, poses[poses.scores > 0.7]]))
    (1, 1)
    """

    keypoints: np.ndarray
    keypoint_scores: np.ndarray
    bboxes: np.ndarray
    scores: np.ndarray
    category_ids: np.ndarray
    views: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, rows: np.ndarray) -> ViewPoses:
        return ViewPoses(*(getattr(self, field.name)[rows] for field in fields(self)))

    @property
    def areas(self) -> np.ndarray:
        """Areas of the boxes, squared pixels, (N,)."""
        return _areas(self.bboxes)


def join_views(parts: Sequence[ViewPoses]) -> ViewPoses:
    """Concatenate the poses of views of one image.

    Args:
        parts: Poses of some views each, at least one part.

    >>> none = ViewPoses(
    ...     np.zeros((0, 2, 2)), np.zeros((0, 2)), np.zeros((0, 4)), *np.zeros((3, 0))
    ... )
    >>> len(join_views([none, none]))
    0
    """
    return ViewPoses(
        *(
            np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(ViewPoses)
        )
    )


def match_poses(poses: ViewPoses, sigmas: np.ndarray, match_thr: float) -> np.ndarray:
    """Group the poses of all views that are of the same instance.

    Poses are taken best first. One joins the group of its category to whose running
    mean its OKS is highest, if that is at least `match_thr` and the group has no pose
    of the same view yet; else it begins a group. In the OKS each keypoint counts by
    the evidence that the group has of it, since the views of a hidden one disagree.

    Args:
        poses: The poses.
        sigmas: Per-keypoint standard deviations of COCO's OKS, (K,).
        match_thr: Minimum OKS of a pose to the mean of a group that it joins.

    Returns:
        Number of each pose's group, from 0 by the score of its best pose, (N,), int64.

    >>> near = np.array([[[10.0, 10.0], [20.0, 20.0]], [[10.5, 10.0], [20.0, 20.5]]])
    >>> poses = ViewPoses(
    ...     keypoints=near,
    ...     keypoint_scores=np.full((2, 2), 0.9),
    ...     bboxes=np.array([[0.0, 0.0, 30.0, 30.0]] * 2),
    ...     scores=np.array([0.5, 0.75]),
    ...     category_ids=np.array([1, 1]),
    ...     views=np.array([0, 1]),
    ... )
    >>> match_poses(poses, np.array([0.05, 0.05]), match_thr=0.5).tolist()
    [0, 0]
    """
    groups = np.full(len(poses), -1)
    order = np.argsort(-poses.scores, kind='stable')
    means = _RunningMeans(poses, sigmas, match_thr)
    seen = np.zeros((len(poses), int(poses.views.max(initial=-1)) + 1), dtype=bool)
    categories = np.zeros(len(poses), dtype=np.int64)
    for row in order.tolist():
        view, category = poses.views[row], poses.category_ids[row]
        count = means.count
        free = (categories[:count] == category) & ~seen[:count, view]
        near = np.flatnonzero(free & ~means.beyond_reach(row))
        similar = means.similarity(row, near)
        best = int(similar.argmax()) if len(near) else -1
        joins = best >= 0 and similar[best] >= match_thr
        group = int(near[best]) if joins else count
        means.add(group, row)
        categories[group], seen[group, view], groups[row] = category, True, group
    return groups


class _RunningMeans:
    """Weighted means of the keypoints and boxes of groups that grow.

    An OKS is a mean over keypoints, each of which is at least as far from that of a
    group as the extents of both keep apart. So most groups of a large image are known
    to be out of reach by four numbers, and only the others are compared by keypoints.
    """

    def __init__(self, poses: ViewPoses, sigmas: np.ndarray, match_thr: float) -> None:
        self.count = 0
        self._poses = poses
        self._points = poses.keypoints.astype(np.float64)
        self._pose_evidence = evidence_of(poses.scores, poses.keypoint_scores)
        self._pose_weights = np.maximum(poses.scores, 0)
        self._pose_extents = _extents(self._points)
        self._keypoints = np.zeros(self._points.shape)
        self._evidence = np.zeros(self._points.shape[:2])
        self._bboxes = np.zeros((len(poses), 4))
        self._weights = np.zeros(len(poses))
        self._areas = np.ones(len(poses))
        self._extents = np.zeros(self._pose_extents.shape)
        self._variances = (2 * np.asarray(sigmas, dtype=np.float64)) ** 2
        widest = self._variances.max(initial=0)
        self._reach = (
            2
            * widest
            * (-math.log(match_thr) + ROUNDING if match_thr > 0 else math.inf)
        )

    def beyond_reach(self, row: int) -> np.ndarray:
        """Mask of the groups to whose mean the OKS of a pose is too low, (G,)."""
        low, high = self._extents[: self.count].swapaxes(0, 1)
        pose_low, pose_high = self._pose_extents[row]
        gaps = np.maximum(low - pose_high, pose_low - high).clip(min=0)
        squares: np.ndarray = np.einsum('gi,gi->g', gaps, gaps)
        return squares > self._reach * self._areas[: self.count]

    def similarity(self, row: int, groups: np.ndarray) -> np.ndarray:
        """OKS of a pose to the means of some groups, (len(groups),)."""
        squares = ((self._points[row] - self._keypoints[groups]) ** 2).sum(axis=-1)
        areas = self._areas[groups][:, None]
        near = np.exp(-squares / (2 * areas * self._variances))
        evidence = self._evidence[groups]
        total = evidence.sum(axis=1, keepdims=True)
        shares = np.where(total > 0, evidence, 1)
        similar: np.ndarray = (near * shares).sum(axis=1) / shares.sum(axis=1)
        return similar

    def add(self, group: int, row: int) -> None:
        """Add a pose to a group, or begin the next one with it."""
        evidence, weight = self._pose_evidence[row], self._pose_weights[row]
        if group == self.count:
            self.count += 1
            self._keypoints[group] = self._points[row]
            self._bboxes[group] = self._poses.bboxes[row]
        self._evidence[group] += evidence
        self._weights[group] += weight
        steps = self._points[row] - self._keypoints[group]
        self._keypoints[group] += steps * _share(evidence, self._evidence[group])
        step = self._poses.bboxes[row] - self._bboxes[group]
        self._bboxes[group] += step * _share(weight, self._weights[group])
        area = AREA_OF_BOX * _areas(self._bboxes[group][None])[0]
        self._areas[group] = max(area, 1.0)
        self._extents[group] = _extents(self._keypoints[group])


def evidence_of(scores: np.ndarray, keypoint_scores: np.ndarray) -> np.ndarray:
    """Compute the evidence of keypoints: the score of the pose times their own.

    Negative scores count as 0.

    Args:
        scores: Scores of poses, (...).
        keypoint_scores: Scores of their keypoints, (..., K).

    >>> evidence_of(np.array([0.5]), np.array([[0.5, -0.1]])).tolist()
    [[0.25, 0.0]]
    """
    evidence: np.ndarray = np.clip(scores, 0, None)[..., None] * np.clip(
        keypoint_scores, 0, None
    )
    return evidence


@dataclass(frozen=True)
class MergedPoses:
    """Fused poses of the groups of one image, best first.

    Attributes:
        keypoints: Coordinates (x, y), (G, K, 2), float64.
        keypoint_scores: Score of each keypoint, (G, K).
        keypoint_agreement: Agreement of the views on each keypoint, 1 being best; a
            view that did not find the instance counts 0, (G, K).
        bboxes: Boxes (x1, y1, x2, y2), (G, 4).
        scores: Score of each pose, (G,).
        category_ids: Categories, (G,).
        num_views: Number of views that found each, (G,), int32.

    >>> pose = np.zeros((1, 2, 2))
    >>> scores = pose[..., 0]
    >>> len(MergedPoses(pose, scores, scores, np.zeros((1, 4)), *np.ones((3, 1))))
    1
    """

    keypoints: np.ndarray
    keypoint_scores: np.ndarray
    keypoint_agreement: np.ndarray
    bboxes: np.ndarray
    scores: np.ndarray
    category_ids: np.ndarray
    num_views: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, rows: np.ndarray) -> MergedPoses:
        return MergedPoses(*(getattr(self, field.name)[rows] for field in fields(self)))


def merge_poses(
    poses: ViewPoses,
    groups: np.ndarray,
    num_views: int | np.ndarray,
    sigmas: np.ndarray,
    scores_of_all: bool = False,
) -> MergedPoses:
    """Fuse the poses of each group.

    Keypoints are means weighted by their evidence, boxes by the scores of the poses.
    The score of a pose is the sum over its views divided by the number of views, so a
    view that did not find it counts 0, as in a mean of heatmaps.

    Args:
        poses: The poses of all views.
        groups: Number of each pose's group, as of `match_poses`, (N,).
        num_views: Number of views that showed the image, or each group, (G,).
        sigmas: Per-keypoint standard deviations of COCO's OKS, (K,).
        scores_of_all: Whether a view that did not find an instance counts 0 in the
            scores of its keypoints too. By default these are means over the views that
            found it; where the score of a pose is the mean of its keypoints' scores,
            both must be taken alike.

    >>> near = np.array([[[10.0, 10.0], [20.0, 20.0]], [[12.0, 10.0], [20.0, 20.0]]])
    >>> poses = ViewPoses(
    ...     keypoints=near,
    ...     keypoint_scores=np.full((2, 2), 0.5),
    ...     bboxes=np.array([[0.0, 0.0, 30.0, 30.0], [0.0, 0.0, 30.0, 60.0]]),
    ...     scores=np.array([0.5, 0.5]),
    ...     category_ids=np.array([1, 1]),
    ...     views=np.array([0, 1]),
    ... )
    >>> sigmas = np.array([0.05, 0.05])
    >>> merged = merge_poses(poses, np.array([0, 0]), num_views=4, sigmas=sigmas)
    >>> merged.keypoints[0].tolist(), merged.scores.tolist()
    ([[11.0, 10.0], [20.0, 20.0]], [0.25])
    >>> merged.bboxes.tolist(), merged.num_views.tolist()
    ([[0.0, 0.0, 30.0, 45.0]], [2])
    """
    count = int(groups.max(initial=-1)) + 1
    members = np.bincount(groups, minlength=count)
    views = np.maximum(np.broadcast_to(num_views, count), members)
    best = _best_of(groups, poses.scores, count)
    bboxes = _weighted_boxes(poses, groups, best)
    keypoints, spread = _mean_and_spread(poses, groups, best)
    agreement = view_agreement(
        torch.from_numpy(spread),
        torch.from_numpy(AREA_OF_BOX * _areas(bboxes)),
        torch.as_tensor(np.asarray(sigmas, dtype=np.float64)),
    ).numpy()
    scores = _sums(poses.scores, groups, count) / np.maximum(views, 1)
    of_keypoints = views if scores_of_all else members
    merged = MergedPoses(
        keypoints=keypoints,
        keypoint_scores=_sums(poses.keypoint_scores, groups, count)
        / np.maximum(of_keypoints, 1)[:, None],
        keypoint_agreement=agreement * (members / np.maximum(views, 1))[:, None],
        bboxes=bboxes,
        scores=scores,
        category_ids=poses.category_ids[best],
        num_views=members.astype(np.int32),
    )
    return merged[np.argsort(-scores, kind='stable')]


def _mean_and_spread(
    poses: ViewPoses, groups: np.ndarray, best: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean keypoints, (G, K, 2), and their spread, (G, K)."""
    num_keypoints = poses.keypoints.shape[1]
    if not len(poses):
        return np.zeros((0, num_keypoints, 2)), np.zeros((0, num_keypoints))
    evidence = evidence_of(poses.scores, poses.keypoint_scores).astype(np.float64)
    peaks = PeakSpread(len(best))
    for view in np.unique(poses.views):
        # A group has at most one pose of a view.
        rows = np.flatnonzero(poses.views == view)
        peaks.add(
            torch.from_numpy(poses.keypoints[rows].astype(np.float64)),
            torch.from_numpy(evidence[rows]),
            torch.from_numpy(groups[rows]),
        )
    seen = peaks.evidence().numpy() > 0
    # A keypoint without evidence lies where the best pose has it.
    mean = np.where(seen[..., None], peaks.mean().numpy(), poses.keypoints[best])
    return mean, peaks.result().numpy()


def _weighted_boxes(
    poses: ViewPoses, groups: np.ndarray, best: np.ndarray
) -> np.ndarray:
    """Boxes of the groups, means weighted by the scores of the poses, (G, 4)."""
    weights = np.clip(poses.scores, 0, None).astype(np.float64)
    total = _sums(weights, groups, len(best))[:, None]
    # Differences from the best box stay exact where there is one box.
    first = poses.bboxes[best].astype(np.float64)
    offsets = (poses.bboxes - first[groups]) * weights[:, None]
    return first + _sums(offsets, groups, len(best)) * _share(1.0, total)


def _best_of(groups: np.ndarray, scores: np.ndarray, count: int) -> np.ndarray:
    """Row of the best pose of each group, the first among equals, (G,)."""
    order = np.argsort(-scores, kind='stable')
    best = np.zeros(count, dtype=np.int64)
    # The last assignment counts, which is that of the best.
    best[groups[order[::-1]]] = order[::-1]
    return best


def _sums(values: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    sums = np.zeros((count, *values.shape[1:]))
    np.add.at(sums, groups, values)
    return sums


def _share(part: np.ndarray | float, total: np.ndarray | float) -> np.ndarray:
    """Part of a total, with an axis for coordinates; 0 where the total is 0."""
    total = np.asarray(total, dtype=np.float64)
    share: np.ndarray = np.divide(
        part, total, out=np.zeros_like(total), where=total > 0
    )
    return share[..., None] if share.ndim == 1 else share


def _extents(keypoints: np.ndarray) -> np.ndarray:
    """Lowest and highest coordinates of keypoints (..., K, 2), (..., 2, 2)."""
    return np.stack([keypoints.min(axis=-2), keypoints.max(axis=-2)], axis=-2)


def _areas(bboxes: np.ndarray) -> np.ndarray:
    areas: np.ndarray = (bboxes[:, 2:] - bboxes[:, :2]).clip(min=0).prod(axis=1)
    return areas
