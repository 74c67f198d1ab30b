"""Candidates of a store beside what is true of them.

Shapes: `M` candidates that could be labels, `K` keypoints, `S` sources that they are
tried as (see `rules`).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from mmdistill.audits.ground_truth import read_truth
from mmdistill.audits.unlabeled_selection import SelectionOutcome, UnlabeledSelection
from mmdistill.errors import DataError
from mmdistill.functional.metrics import average_precision, mean_error
from mmdistill.functional.oks import (
    TrueInstances,
    keypoint_errors,
    match,
    similarity,
)
from mmdistill.selection import Selection
from mmdistill.store import LabelStore
from mmdistill.store.schema import Candidates

OKS_THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
"""COCO's, over which its average precision is the mean."""
PAIRED_OKS = 0.1
"""From this OKS on, a candidate's keypoints are compared with an instance's: it means
that person, however badly. At 0.5 the worst errors would be left out."""


@dataclass(frozen=True)
class MatchedCandidates:
    """Candidates with a visible keypoint, judged.

    Attributes:
        scores: Instance scores, (M,).
        keypoint_scores: Scores of the keypoints, (M, K).
        keypoint_agreement: How far the views agree, (M, K).
        categories: Categories, zeros where they are not told apart, (M,).
        judged: What the pile's selection says of them.
        correct: Which found a true instance at each of `OKS_THRESHOLDS`, (10, M).
        counted: Which count: not those that found an ignored instance, (10, M).
        errors: Keypoint errors in units of the instance's size, (M, K), NaN where
            nothing is known.
        pairs: Names each candidate's box and the instance its errors are against,
            the same for each store of the same boxes; (M,), text.
        images: Images that could be read.
        failed: Images that could not.
        true_categories: Category of each true instance on the images that could be
            read, zeros where they are not told apart, (G,).
    """

    scores: np.ndarray
    keypoint_scores: np.ndarray
    keypoint_agreement: np.ndarray
    categories: np.ndarray
    judged: SelectionOutcome
    correct: np.ndarray
    counted: np.ndarray
    errors: np.ndarray
    pairs: np.ndarray
    images: int
    failed: int
    true_categories: np.ndarray

    @property
    def num_true(self) -> int:
        """True instances on the images that could be read."""
        return len(self.true_categories)

    def mean_average_precision(self) -> float:
        """COCO's AP: the mean over `OKS_THRESHOLDS` and the true categories.

        Returns:
            The mean; NaN without true instances.
        """
        found = [
            average_precision(self.scores[own], correct[own], counted[own], num_true)
            for category, num_true in self._true_counts()
            for own in [self.categories == category]
            for correct, counted in zip(self.correct, self.counted, strict=True)
        ]
        return float(np.mean(found)) if found else float('nan')

    def _true_counts(self) -> Iterator[tuple[int, int]]:
        """Each category of true instances, and how many it has."""
        pair = np.unique(self.true_categories, return_counts=True)
        return zip(*(each.tolist() for each in pair), strict=True)


def match_candidates(
    store: LabelStore, ann_file: Path, sigmas: np.ndarray, rules: UnlabeledSelection
) -> MatchedCandidates:
    """Judge the candidates of a store.

    A candidate finds instances of its own category only, where the selection tells
    categories apart or both sides have several (`SelectionOptions.categories`).

    Args:
        store: A complete store of labeled images.
        ann_file: COCO json with the true annotations of its images.
        sigmas: Per-keypoint standard deviations of COCO's OKS, (K,).
        rules: The selection of the pile.

    Raises:
        UserError: If the store is not complete, the json does not fit, or no image
            could be read.
    """
    labels = store.read()
    truths = read_truth(ann_file, store.num_keypoints)
    usable = rules.selection.visible(labels.candidates.keypoint_scores).any(axis=1)
    image_index = labels.image_index[usable]
    candidates = labels.candidates[np.flatnonzero(usable)]
    if not _apart(rules.selection, candidates, truths.values()):
        candidates = replace(candidates, category_ids=0 * candidates.category_ids)
        truths = {path: _alike(truth) for path, truth in truths.items()}
    judged = rules.judged(labels.candidates[np.flatnonzero(usable)])
    ends = np.searchsorted(image_index, np.arange(len(labels.sizes) + 1))
    parts = [
        _compare(candidates[rows], judged[rows], truths[path], sigmas, path)
        for i, path in enumerate(labels.paths.to_pylist())
        for rows in [slice(ends[i], ends[i + 1])]
        if labels.failures[i] is None
    ]
    failed = len(labels.failures) - len(parts)
    if not parts:
        raise DataError(f'none of the {failed} audited images could be read')
    return replace(join(parts), failed=failed)


def join(parts: Sequence[MatchedCandidates]) -> MatchedCandidates:
    """Several evidences as one.

    Args:
        parts: At least one, of different images.
    """
    axes = dict(correct=1, counted=1)
    columns = {
        field.name: [getattr(part, field.name) for part in parts]
        for field in fields(MatchedCandidates)
    }
    joined: dict[str, Any] = {
        name: np.concatenate(values, axis=axes.get(name, 0))
        if isinstance(values[0], np.ndarray)
        else sum(values)
        for name, values in columns.items()
        if name != 'judged'
    }
    return MatchedCandidates(
        judged=SelectionOutcome.joined(columns['judged']), **joined
    )


def errors_in_common(
    found: Mapping[str, MatchedCandidates], selection: Selection
) -> dict[str, float]:
    """Mean keypoint error of each evidence over what all of them compare.

    Args:
        found: Evidences of the same boxes, labeled in different ways.
        selection: What says which keypoints are visible, in the last of them.

    Returns:
        Errors in units of the instance's size; NaN where they have no keypoint in
        common.
    """
    paired = [e.pairs[~np.isnan(e.errors).all(axis=1)] for e in found.values()]
    common = functools.reduce(np.intersect1d, paired)
    *_, last = found.values()
    visible = selection.visible(_rows(last, common, last.keypoint_scores))
    return {
        name: mean_error(_rows(evidence, common, evidence.errors)[visible])
        for name, evidence in found.items()
    }


def _rows(
    evidence: MatchedCandidates, pairs: np.ndarray, values: np.ndarray
) -> np.ndarray:
    order = np.argsort(evidence.pairs, kind='stable')
    return values[order[np.searchsorted(evidence.pairs[order], pairs)]]


def _apart(
    selection: Selection, candidates: Candidates, truths: Iterable[TrueInstances]
) -> bool:
    """Whether categories are told apart, by the rule that the selection follows."""
    if any(thr.category_id is not None for thr in selection.thresholds):
        return True
    annotated = {number for truth in truths for number in truth.category_ids.tolist()}
    stored = np.unique(candidates.category_ids).tolist()
    return selection.options.separates_categories(stored, annotated)


def _alike(truth: TrueInstances) -> TrueInstances:
    return replace(truth, category_ids=0 * truth.category_ids)


def _compare(
    candidates: Candidates,
    judged: SelectionOutcome,
    truth: TrueInstances,
    sigmas: np.ndarray,
    path: str,
) -> MatchedCandidates:
    """Evidence of one image."""
    order = np.argsort(-candidates.instance_scores, kind='stable')
    candidates = candidates[order]
    similar = similarity(candidates.keypoints, truth, sigmas)
    similar[candidates.category_ids[:, None] != truth.category_ids] = 0
    found = np.stack([match(similar, truth, thr) for thr in OKS_THRESHOLDS])
    # The last element is that of candidates without an instance.
    ignored = np.append(truth.ignored, False)[found]
    paired = match(similar, truth, PAIRED_OKS)
    paired = np.where(np.append(truth.ignored, False)[paired], -1, paired)
    names = [
        f'{path} {box.tolist()} {instance}'
        for box, instance in zip(candidates.bboxes, paired, strict=True)
    ]
    return MatchedCandidates(
        scores=candidates.instance_scores,
        keypoint_scores=candidates.keypoint_scores,
        keypoint_agreement=candidates.keypoint_agreement,
        categories=candidates.category_ids,
        judged=judged[order],
        correct=(found >= 0) & ~ignored,
        counted=~ignored,
        errors=keypoint_errors(candidates.keypoints, truth, paired),
        pairs=np.array(names, dtype=object),
        images=1,
        failed=0,
        true_categories=truth.category_ids[~truth.ignored],
    )
