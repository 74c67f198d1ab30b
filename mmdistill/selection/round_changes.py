"""Figures of the labels of a round, and what changed since the round before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmdistill.functional.churn import (
    PosedInstances,
    moved_keypoints,
    same_instances,
)
from mmdistill.functional.scoring import masked_mean
from mmdistill.selection.selection import Selection, read_selection
from mmdistill.store.schema import Candidates, StoredLabels
from mmdistill.store.store import LabelStore

IMAGES_AT_ONCE = 4096
"""Images whose candidates are compared at once."""


@dataclass(frozen=True)
class RoundLabels:
    """Figures of the labels of a round.

    Attributes:
        thresholds: Distinct thresholds of the selection, ascending.
        candidates: Number of candidates.
        kept: Number of those that are kept.
        keypoints: Number of their visible keypoints.
        score: Mean instance score of the kept candidates.
        agreement: Mean agreement of the views on their visible keypoints.
        moved: Share of these keypoints that moved since the round before; None in the
            first one.

    >>> labels = label_figures(store, selection)
    >>> labels.candidates, labels.kept, labels.moved
    (3, 2, None)
    """

    thresholds: tuple[float, ...]
    candidates: int
    kept: int
    keypoints: int
    score: float
    agreement: float
    moved: float | None = None


def label_figures(store: LabelStore, selection: Selection | None = None) -> RoundLabels:
    """Compute the figures of the labels of a store.

    Args:
        store: A complete store.
        selection: Its selection; read when None.

    Raises:
        StoreError: If the store is damaged or has no selection.

    >>> label_figures(store, selection).thresholds
    (0.75,)
    """
    selection = selection or read_selection(store)
    labels = store.read()
    candidates = labels.candidates
    kept = selection.kept(candidates, labels.candidate_sources)
    visible = selection.visible(candidates.keypoint_scores[kept])
    agreement = masked_mean(candidates.keypoint_agreement[kept], visible)
    return RoundLabels(
        thresholds=tuple(selection.score_thrs),
        candidates=len(candidates),
        kept=int(kept.sum()),
        keypoints=int(visible.sum()),
        score=_mean(candidates.instance_scores[kept]),
        agreement=_mean(agreement),
    )


def moved_share(now: LabelStore, before: LabelStore, sigmas: np.ndarray) -> float:
    """Compute the share of the kept keypoints that moved since the round before.

    A kept candidate is compared with the same one of the store before, kept there or
    not; where there is none, all of its keypoints moved.

    Args:
        now: Store of this round, with a selection.
        before: Store of the round before, of the same images.
        sigmas: Per-keypoint standard deviations of COCO's OKS, (K,).

    Returns:
        The share, from 0 to 1; 0 where nothing is kept.

    Raises:
        StoreError: If a store is damaged, or the first has no selection.

    >>> selection.write(store)
    >>> moved_share(store, store, np.full(2, 0.1))
    0.0
    """
    selection = read_selection(now)
    labels, earlier = now.read(), before.read()
    kept = selection.kept(labels.candidates, labels.candidate_sources)
    visible = selection.visible(labels.candidates.keypoint_scores[kept])
    poses = _posed(labels.candidates, labels.image_index, np.flatnonzero(kept))
    earlier_poses = _earlier(labels, earlier)
    moved = 0
    for start in range(0, len(labels.paths), IMAGES_AT_ONCE):
        block = slice(start, start + IMAGES_AT_ONCE)
        rows, others = _of_images(poses, block), _of_images(earlier_poses, block)
        instances, known = _part(poses, rows), _part(earlier_poses, others)
        matches = same_instances(instances, known, sigmas)
        moved += int((moved_keypoints(instances, known, matches) & visible[rows]).sum())
    total = int(visible.sum())
    return moved / total if total else 0.0


def _mean(values: np.ndarray) -> float:
    return float(values.mean(dtype=np.float64)) if len(values) else 0.0


def _earlier(labels: StoredLabels, earlier: StoredLabels) -> PosedInstances:
    """The candidates of an earlier store, by the images' numbers in the later one."""
    numbers = {path: number for number, path in enumerate(labels.paths.to_pylist())}
    # A store that grew may have its images in another order.
    renumbered = [numbers.get(path, -1) for path in earlier.paths.to_pylist()]
    images = np.array(renumbered, dtype=np.int64)[earlier.image_index]
    order = np.argsort(images, kind='stable')
    return _posed(earlier.candidates, images, order[images[order] >= 0])


def _posed(
    candidates: Candidates, images: np.ndarray, rows: np.ndarray
) -> PosedInstances:
    return PosedInstances(
        candidates.keypoints[rows], candidates.bboxes[rows], images[rows]
    )


def _of_images(poses: PosedInstances, images: slice) -> slice:
    """The rows of the instances of a range of images."""
    first, last = np.searchsorted(poses.images, (images.start, images.stop))
    return slice(int(first), int(last))


def _part(poses: PosedInstances, rows: slice) -> PosedInstances:
    return PosedInstances(poses.keypoints[rows], poses.bboxes[rows], poses.images[rows])
