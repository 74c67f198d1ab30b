"""From a predicted data sample to a row of the label store.

What produced a label store, written into its manifest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import mmengine
import mmpose
import numpy as np
import torch
from mmpose.evaluation.functional import oks_nms
from mmpose.structures import PoseDataSample
from torch import nn

import mmdistill
from mmdistill.functional.finite import box_middles, known_keypoints
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
    """Arrange what was predicted on one image as its row.

    Two candidates on the same person would count twice, so of any two of a category
    whose OKS exceeds `nms_thr` only the better one stays, as in MMPose's `CocoMetric`.
    Coordinates are rounded to 1/64 pixel, scores of keypoints and agreement to
    1/1024: what is finer is noise and would be most of the store.

    A keypoint that is not finite is never a label: it has score 0 and agreement 0, and
    the middle of its box as its coordinates. An instance without another keypoint is
    no candidate, and an image without another instance has failed.

    Args:
        sample: The image's data sample, with `pred_instances`.
        sigmas: Per-keypoint OKS sigmas, (K,).
        score_floor: Instance score below which a candidate is not stored.
        nms_thr: OKS above which of two candidates only the better is stored.
    """
    nothing = empty_candidates(len(sigmas))
    if sample.metainfo['status'] != OK or not len(sample.gt_instances.bboxes):
        return _row(sample, nothing)
    found, known = _candidates(sample)
    if not known.any():
        return replace(_row(sample, nothing), status=FAILED, reason=NONE_FINITE)
    found = found[known.any(axis=1) & (found.instance_scores >= score_floor)]
    row = _row(sample, found[_distinct(found, np.array(sigmas), nms_thr)])
    return row if known.all() else _with_note(row, SOME_NOT_FINITE)


def boxes_to_row(sample: PoseDataSample) -> ImageRow:
    """Arrange what was detected on one image as its row, without keypoints.

    Boxes and scores that are not finite are left out.

    Args:
        sample: The image's data sample, with `pred_instances`.
    """
    detected = sample.pred_instances
    finite = np.isfinite(detected.bboxes).all(axis=1) & np.isfinite(
        detected.bbox_scores
    )
    found = detected[finite]
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
    row = _row(sample, candidates)
    return row if finite.all() else _with_note(row, SOME_NOT_FINITE)


def _with_note(row: ImageRow, note: str) -> ImageRow:
    """A row of an image that was read, with one more thing to be said of it."""
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
    """All predictions, and which of their keypoints are finite, (N, K), bool."""
    predicted = sample.pred_instances
    categories = sample.gt_instances.get('category_ids', np.ones(len(predicted)))
    # What float32 does not hold is infinite once it is rounded.
    with np.errstate(invalid='ignore', over='ignore'):
        keypoints = rounded(predicted.keypoints, STEPS_PER_PIXEL)
        scores = rounded_scores(predicted.keypoint_scores, STEPS_OF_SCORE)
        agreement = rounded(predicted.keypoint_agreement, STEPS_OF_SCORE)
    known = known_keypoints(keypoints, scores, agreement)
    known &= np.isfinite(predicted.bboxes).all(axis=1)[:, None]
    known &= np.isfinite(predicted.bbox_scores)[:, None]
    known &= predicted.get('keypoints_known', True)
    scores = np.where(known, scores, np.float32(0))
    middles = box_middles(predicted.bboxes)[:, None]
    candidates = Candidates(
        bboxes=predicted.bboxes,
        bbox_scores=predicted.bbox_scores,
        keypoints=np.where(known[..., None], keypoints, middles),
        keypoint_scores=scores,
        keypoint_agreement=np.where(known, agreement, np.float32(0)),
        instance_scores=instance_scores(predicted.bbox_scores, scores),
        category_ids=np.asarray(categories, dtype=np.int32),
    )
    return candidates, known


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


VERSIONS = {
    'mmdistill': mmdistill.__version__,
    'mmengine': mmengine.__version__,
    'torch': torch.__version__,
}
"""Of what every stage runs on."""


def weights_sha256(module: nn.Module) -> str:
    """Hash of a model's weights as they are in memory, wherever they came from."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        array = tensor.detach().cpu().contiguous()
        digest.update(f'{name} {tuple(array.shape)} {array.dtype}'.encode())
        digest.update(array.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def make_manifest(
    model: Any,
    dataset: Any,
    chunk_size: int,
    score_floor: float,
    nms_thr: float,
    checkpoint: str,
) -> dict[str, Any]:
    """Everything that decides what a store holds, as JSON values.

    `about` names paths, which may move; the rest must agree for a run to be
    continued. The store itself adds the images and their boxes.

    Args:
        model: The fusing wrapper, its `module` the teacher with its weights.
        dataset: The unlabeled images.
        chunk_size: Images in a chunk.
        score_floor: Instance score below which nothing is stored.
        nms_thr: OKS above which of two candidates only the better is stored.
        checkpoint: Where the teacher's weights came from.
    """
    return {
        'about': {**dataset.about(), 'checkpoint': checkpoint},
        'teacher': {
            'architecture': hashlib.sha256(repr(model.module).encode()).hexdigest(),
            'weights': weights_sha256(model.module),
        },
        'views': model.provenance(),
        **dataset.provenance(),
        'chunk_size': chunk_size,
        'score_floor': score_floor,
        'nms_thr': nms_thr,
        'steps': {'pixel': STEPS_PER_PIXEL, 'score': STEPS_OF_SCORE},
        'versions': {**VERSIONS, 'mmpose': mmpose.__version__},
    }
