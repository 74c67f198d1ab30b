"""Candidates of a store beside what is true of them.

Shapes: `M` candidates that could be labels, `K` keypoints.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from mmdistill.audits.truth import read_truth
from mmdistill.errors import UserError
from mmdistill.functional.audit import average_precision
from mmdistill.functional.true_matching import (
    TrueInstances,
    keypoint_errors,
    match,
    similarity,
)
from mmdistill.labels import LabelStore
from mmdistill.labels.columns import Candidates

OKS_THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
"""COCO's, over which its average precision is the mean."""
PAIRED_OKS = 0.1
"""From this OKS on, a candidate's keypoints are compared with an instance's: it means
that person, however badly. At 0.5 the worst errors would be left out."""


@dataclass(frozen=True)
class Evidence:
    """Candidates with a visible keypoint, judged.

    Attributes:
        scores: Instance scores, (M,).
        keypoint_scores: Scores of the keypoints, (M, K).
        keypoint_agreement: How far the views agree, (M, K).
        correct: Which found a true instance at each of `OKS_THRESHOLDS`, (10, M).
        counted: Which count: not those that found an ignored instance, (10, M).
        errors: Keypoint errors in units of the instance's size, (M, K), NaN where
            nothing is known.
        pairs: Names each candidate's box and the instance its errors are against,
            the same for each store of the same boxes; (M,), text.
        images: Images that could be read.
        failed: Images that could not.
        num_true: True instances on the images that could be read.
    """

    scores: np.ndarray
    keypoint_scores: np.ndarray
    keypoint_agreement: np.ndarray
    correct: np.ndarray
    counted: np.ndarray
    errors: np.ndarray
    pairs: np.ndarray
    images: int
    failed: int
    num_true: int

    def mean_average_precision(self) -> float:
        """COCO's AP: the mean over `OKS_THRESHOLDS`; NaN without true instances."""
        return float(
            np.mean(
                [
                    average_precision(self.scores, correct, counted, self.num_true)
                    for correct, counted in zip(self.correct, self.counted, strict=True)
                ]
            )
        )


def gather(
    store: LabelStore, ann_file: Path, sigmas: np.ndarray, keypoint_thrs: np.ndarray
) -> Evidence:
    """Judge the candidates of a store.

    Args:
        store: A complete store of labelled images.
        ann_file: COCO json with the true annotations of its images.
        sigmas: Per-keypoint standard deviations of COCO's OKS, (K,).
        keypoint_thrs: Keypoint scores above which keypoints are visible, (K,).

    Raises:
        UserError: If the store is not complete, the json does not fit, or no image
            could be read.
    """
    labels = store.read()
    truths = read_truth(ann_file, store.num_keypoints)
    usable = (labels.candidates.keypoint_scores > keypoint_thrs).any(axis=1)
    image_index = labels.image_index[usable]
    candidates = labels.candidates[np.flatnonzero(usable)]
    ends = np.searchsorted(image_index, np.arange(len(labels.sizes) + 1))
    parts = [
        _judge(candidates[ends[i] : ends[i + 1]], truths[path], sigmas, path)
        for i, path in enumerate(labels.paths.to_pylist())
        if labels.failures[i] is None
    ]
    failed = len(labels.failures) - len(parts)
    if not parts:
        raise UserError(f'none of the {failed} audited images could be read')
    return replace(join(parts), failed=failed)


def join(parts: Sequence[Evidence]) -> Evidence:
    """Several evidences as one.

    Args:
        parts: At least one, of different images.
    """
    axes = dict(correct=1, counted=1)
    columns = {
        field.name: [getattr(part, field.name) for part in parts]
        for field in fields(Evidence)
    }
    return Evidence(
        **{
            name: np.concatenate(values, axis=axes.get(name, 0))
            if isinstance(values[0], np.ndarray)
            else sum(values)
            for name, values in columns.items()
        }
    )


def errors_in_common(
    found: Mapping[str, Evidence], keypoint_thrs: np.ndarray
) -> dict[str, float]:
    """Mean keypoint error of each evidence over what all of them compare.

    Args:
        found: Evidences of the same boxes, labelled in different ways.
        keypoint_thrs: Scores above which keypoints are visible, in the last of them,
            (K,).

    Returns:
        Errors in units of the instance's size; NaN where they have no keypoint in
        common.
    """
    paired = [e.pairs[~np.isnan(e.errors).all(axis=1)] for e in found.values()]
    common = functools.reduce(np.intersect1d, paired)
    *_, last = found.values()
    visible = _rows(last, common, last.keypoint_scores) > keypoint_thrs
    return {
        name: _mean(_rows(evidence, common, evidence.errors)[visible])
        for name, evidence in found.items()
    }


def _rows(evidence: Evidence, pairs: np.ndarray, values: np.ndarray) -> np.ndarray:
    order = np.argsort(evidence.pairs, kind='stable')
    return values[order[np.searchsorted(evidence.pairs[order], pairs)]]


def _mean(errors: np.ndarray) -> float:
    known = errors[~np.isnan(errors)]
    return float(known.mean()) if len(known) else float('nan')


def _judge(
    candidates: Candidates, truth: TrueInstances, sigmas: np.ndarray, path: str
) -> Evidence:
    order = np.argsort(-candidates.instance_scores, kind='stable')
    candidates = candidates[order]
    similar = similarity(candidates.keypoints, truth, sigmas)
    found = np.stack([match(similar, truth, thr) for thr in OKS_THRESHOLDS])
    # The last element is that of candidates without an instance.
    ignored = np.append(truth.ignored, False)[found]
    paired = match(similar, truth, PAIRED_OKS)
    paired = np.where(np.append(truth.ignored, False)[paired], -1, paired)
    names = [
        f'{path} {box.tolist()} {instance}'
        for box, instance in zip(candidates.bboxes, paired, strict=True)
    ]
    return Evidence(
        scores=candidates.instance_scores,
        keypoint_scores=candidates.keypoint_scores,
        keypoint_agreement=candidates.keypoint_agreement,
        correct=(found >= 0) & ~ignored,
        counted=~ignored,
        errors=keypoint_errors(candidates.keypoints, truth, paired),
        pairs=np.array(names, dtype=object),
        images=1,
        failed=0,
        num_true=int((~truth.ignored).sum()),
    )
