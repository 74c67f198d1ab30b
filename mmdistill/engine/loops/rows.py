"""Rows of a label store, made of predictions.

A data sample becomes one row: candidates without duplicates, quantized and finite.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from mmpose.structures import PoseDataSample

from mmdistill.functional.boxes import boxes_on_image
from mmdistill.functional.finite import box_middles, known_keypoints
from mmdistill.functional.oks import distinct_poses
from mmdistill.functional.quantization import (
    STEPS_OF_SCORE,
    STEPS_PER_PIXEL,
    rounded,
    rounded_scores,
)
from mmdistill.functional.scoring import AREA_OF_BOX, instance_scores
from mmdistill.store.schema import (
    FAILED,
    NONE_FINITE,
    OK,
    SOME_NOT_FINITE,
    Candidates,
    ImageRow,
    empty_candidates,
)


def sample_to_row(
    sample: PoseDataSample, sigmas: Sequence[float], score_floor: float, nms_thr: float
) -> ImageRow:
    """Convert the predictions on one image to its row.

    Two candidates on the same person would count twice, so of any two of a category
    whose OKS exceeds `nms_thr` only the better one is kept, as in MMPose's
    `CocoMetric`. Coordinates are rounded to 1/64 pixel, scores of keypoints and
    agreement to 1/1024: finer digits are noise and would be most of the store.

    A keypoint that is not finite is never a label: it has score 0 and agreement 0, and
    the center of its box as its coordinates. An instance without a finite keypoint is
    not a candidate, and an image whose instances have none has failed. Neither is one
    whose box, found by a model, lies beyond the image.

    Args:
        sample: The image's data sample, with `pred_instances`.
        sigmas: Per-keypoint OKS sigmas, (K,).
        score_floor: Instance score below which a candidate is not stored.
        nms_thr: OKS above which only the better of two candidates is stored.
    """
    if sample.metainfo['status'] != OK or not has_instances(sample):
        return _row(sample, empty_candidates(len(sigmas)))
    candidates, finite = _candidates(sample)
    if not finite.any():
        row = _row(sample, empty_candidates(len(sigmas)))
        return replace(row, status=FAILED, reason=NONE_FINITE)
    scored = finite.any(axis=1) & (candidates.instance_scores >= score_floor)
    if 'instance_scores' in sample.pred_instances:
        scored &= (candidates.bboxes[:, 2:] > candidates.bboxes[:, :2]).all(axis=1)
    distinct = _distinct(candidates, scored, np.array(sigmas), nms_thr)
    row = _row(sample, candidates[distinct])
    return row if finite.all() else _with_note(row, SOME_NOT_FINITE)


def has_instances(sample: PoseDataSample) -> bool:
    """Whether a model predicted an instance on an image.

    Args:
        sample: The image's data sample; one without boxes may have no predictions.
    """
    return 'pred_instances' in sample and len(sample.pred_instances) > 0


def boxes_to_row(sample: PoseDataSample) -> ImageRow:
    """Convert the detections on one image to its row, without keypoints.

    Boxes and scores that are not finite are left out.

    Args:
        sample: The image's data sample, with `pred_instances`.
    """
    detected = sample.pred_instances
    finite = np.isfinite(detected.bboxes).all(axis=1) & np.isfinite(
        detected.bbox_scores
    )
    boxes = detected[finite]
    no_keypoints = np.zeros((len(boxes), 0), dtype=np.float32)
    candidates = Candidates(
        bboxes=boxes.bboxes,
        bbox_scores=boxes.bbox_scores,
        keypoints=no_keypoints[..., None].repeat(2, axis=2),
        keypoint_scores=no_keypoints,
        keypoint_agreement=no_keypoints,
        instance_scores=boxes.bbox_scores,
        category_ids=boxes.category_ids,
        bbox_agreement=boxes.get('bbox_agreement'),
    )
    row = _row(sample, candidates)
    return row if finite.all() else _with_note(row, SOME_NOT_FINITE)


def _with_note(row: ImageRow, note: str) -> ImageRow:
    """Append a note to the row of an image that was read."""
    return replace(row, reason='; '.join(filter(None, [row.reason, note])))


def _row(sample: PoseDataSample, candidates: Candidates) -> ImageRow:
    height, width = sample.metainfo['ori_shape']
    return ImageRow(
        path=sample.metainfo['path'],
        width=width,
        height=height,
        status=sample.metainfo['status'],
        reason=sample.metainfo['reason'],
        candidates=candidates,
        source=sample.metainfo.get('source', ''),
    )


def _candidates(sample: PoseDataSample) -> tuple[Candidates, np.ndarray]:
    """Return all predictions, and which of their keypoints are finite, (N, K), bool."""
    predicted = sample.pred_instances
    found = 'instance_scores' in predicted
    given = predicted if found else sample.gt_instances
    categories = given.get('category_ids', np.ones(len(predicted)))
    # Values beyond float32 become infinite when rounded.
    with np.errstate(invalid='ignore', over='ignore'):
        keypoints = rounded(predicted.keypoints, STEPS_PER_PIXEL)
        scores = rounded_scores(predicted.keypoint_scores, STEPS_OF_SCORE)
        agreement = rounded(predicted.keypoint_agreement, STEPS_OF_SCORE)
    finite = known_keypoints(keypoints, scores, agreement)
    finite &= np.isfinite(predicted.bboxes).all(axis=1)[:, None]
    finite &= np.isfinite(predicted.bbox_scores)[:, None]
    finite &= predicted.get('keypoints_known', True)
    scores = np.where(finite, scores, np.float32(0))
    centers = box_middles(predicted.bboxes)[:, None]
    candidates = Candidates(
        bboxes=_found_boxes(sample) if found else predicted.bboxes,
        bbox_scores=predicted.bbox_scores,
        keypoints=np.where(finite[..., None], keypoints, centers),
        keypoint_scores=scores,
        keypoint_agreement=np.where(finite, agreement, np.float32(0)),
        instance_scores=predicted.instance_scores
        if found
        else instance_scores(predicted.bbox_scores, scores),
        category_ids=np.asarray(categories, dtype=np.int32),
        num_views=predicted.get('num_views'),
    )
    return candidates, finite


def _found_boxes(sample: PoseDataSample) -> np.ndarray:
    """Boxes that a model found, which may lie beyond the image, clipped to it."""
    height, width = sample.metainfo['ori_shape']
    return boxes_on_image(sample.pred_instances.bboxes, width, height)


def _distinct(
    candidates: Candidates, scored: np.ndarray, sigmas: np.ndarray, nms_thr: float
) -> np.ndarray:
    """Suppress duplicates within each category; return kept indices, best first.

    Args:
        candidates: The candidates.
        scored: Mask of those that count, (N,), bool.
        sigmas: Per-keypoint OKS sigmas, (K,).
        nms_thr: OKS above which only the better of two is kept.
    """
    categories = candidates.category_ids
    kept = [np.zeros(0, dtype=np.int64)]
    for category in np.unique(categories[scored]):
        indices = np.flatnonzero(scored & (categories == category))
        bboxes = candidates.bboxes[indices]
        distinct = distinct_poses(
            candidates.keypoints[indices],
            candidates.instance_scores[indices],
            AREA_OF_BOX * (bboxes[:, 2:] - bboxes[:, :2]).prod(axis=1),
            sigmas,
            nms_thr,
        )
        kept.append(indices[distinct])
    merged = np.concatenate(kept)
    return merged[np.argsort(-candidates.instance_scores[merged], kind='stable')]
