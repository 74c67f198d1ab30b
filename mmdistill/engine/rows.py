"""From a predicted data sample to a row of the label store."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmpose.evaluation.functional import oks_nms
from mmpose.structures import PoseDataSample

from mmdistill.functional.rounding import (
    STEPS_OF_SCORE,
    STEPS_PER_PIXEL,
    rounded,
)
from mmdistill.functional.scoring import AREA_OF_BOX, instance_scores
from mmdistill.labels.columns import OK, Candidates, ImageRow, empty_candidates


def sample_to_row(
    sample: PoseDataSample, sigmas: Sequence[float], score_floor: float, nms_thr: float
) -> ImageRow:
    """Arrange what was predicted on one image as its row.

    Two candidates on the same person would count twice, so of any two of a category
    whose OKS exceeds `nms_thr` only the better one stays, as in MMPose's `CocoMetric`.
    Coordinates are rounded to 1/64 pixel, scores of keypoints and agreement to
    1/1024: what is finer is noise and would be most of the store.

    Args:
        sample: The image's data sample, with `pred_instances`.
        sigmas: Per-keypoint OKS sigmas, (K,).
        score_floor: Instance score below which a candidate is not stored.
        nms_thr: OKS above which of two candidates only the better is stored.
    """
    candidates = empty_candidates(len(sigmas))
    if sample.metainfo['status'] == OK and len(sample.gt_instances.bboxes):
        found = _candidates(sample)
        found = found[found.instance_scores >= score_floor]
        candidates = found[_distinct(found, np.array(sigmas), nms_thr)]
    return _row(sample, candidates)


def boxes_to_row(sample: PoseDataSample) -> ImageRow:
    """Arrange what was detected on one image as its row, without keypoints.

    Args:
        sample: The image's data sample, with `pred_instances`.
    """
    found = sample.pred_instances
    nothing = np.zeros((len(found), 0), dtype=np.float32)
    candidates = Candidates(
        bboxes=found.bboxes,
        bbox_scores=found.bbox_scores,
        keypoints=nothing[..., None].repeat(2, axis=2),
        keypoint_scores=nothing,
        keypoint_agreement=nothing,
        instance_scores=found.bbox_scores,
        category_ids=found.category_ids,
    )
    return _row(sample, candidates)


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


def _candidates(sample: PoseDataSample) -> Candidates:
    predicted = sample.pred_instances
    categories = sample.gt_instances.get('category_ids', np.ones(len(predicted)))
    scores = rounded(predicted.keypoint_scores, STEPS_OF_SCORE)
    return Candidates(
        bboxes=predicted.bboxes,
        bbox_scores=predicted.bbox_scores,
        keypoints=rounded(predicted.keypoints, STEPS_PER_PIXEL),
        keypoint_scores=scores,
        keypoint_agreement=rounded(predicted.keypoint_agreement, STEPS_OF_SCORE),
        instance_scores=instance_scores(predicted.bbox_scores, scores),
        category_ids=np.asarray(categories, dtype=np.int32),
    )


def _distinct(found: Candidates, sigmas: np.ndarray, nms_thr: float) -> np.ndarray:
    """Rows that stay, best first."""
    stay = [
        rows[_distinct_in_one(found[rows], sigmas, nms_thr)]
        for category in np.unique(found.category_ids)
        for rows in [np.flatnonzero(found.category_ids == category)]
    ]
    together = np.concatenate([np.zeros(0, dtype=np.int64), *stay])
    return together[np.argsort(-found.instance_scores[together], kind='stable')]


def _distinct_in_one(
    found: Candidates, sigmas: np.ndarray, nms_thr: float
) -> np.ndarray:
    """Rows that stay, best first."""
    sides = found.bboxes[:, 2:] - found.bboxes[:, :2]
    poses = [
        dict(
            keypoints=np.column_stack([keypoints, scores]),
            score=score,
            area=area,
        )
        for keypoints, scores, score, area in zip(
            found.keypoints,
            found.keypoint_scores,
            found.instance_scores,
            AREA_OF_BOX * sides.prod(axis=1),
            strict=True,
        )
    ]
    return np.array(oks_nms(poses, nms_thr, sigmas), dtype=np.int64)
