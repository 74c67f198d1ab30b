"""Candidates of a store, matched with true instances.

Shapes: `M` candidates with a visible keypoint, `K` keypoints, `S` sources that they are
treated as (see `unlabeled_selection`). A box without keypoints counts as one keypoint:
its score is that of the box, its error what the box lacks of the true one, 1 - IoU.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from mmdistill.audits.unlabeled_selection import SelectionOutcome, UnlabeledSelection
from mmdistill.datasets.coco.ground_truth import read_truth
from mmdistill.errors import DataError
from mmdistill.functional.label_quality import average_precision, mean_error
from mmdistill.functional.oks import (
    TrueInstances,
    box_similarity,
    keypoint_errors,
    match,
    similarity,
)
from mmdistill.selection import Selection
from mmdistill.store import LabelStore
from mmdistill.store.schema import Candidates

OKS_THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
"""OKS thresholds of COCO's mean average precision, and its IoU thresholds of boxes."""
PAIRED_OKS = 0.1
"""Minimum OKS for keypoint errors: the candidate is of that person, however badly
localized. At 0.5 the largest errors would be left out. For boxes it is an IoU."""
BOX = 'box'
"""Name of a box without keypoints where keypoints are named."""


@dataclass(frozen=True)
class MatchedCandidates:
    """Candidates with a visible keypoint, matched with true instances.

    Attributes:
        scores: Instance scores, (M,).
        keypoint_scores: Scores of the keypoints, (M, K).
        keypoint_agreement: How far the views agree, (M, K).
        categories: Categories, zeros where they are not separated, (M,).
        outcome: Outcome of the selection of the unlabeled set.
        correct: Whether a candidate matches a true instance at each of
            `OKS_THRESHOLDS`, (10, M).
        counted: Whether a candidate counts: not if it matches an ignored instance,
            (10, M).
        errors: Keypoint errors in units of the instance's size, (M, K), NaN where
            unknown.
        pairs: Key of each candidate's box and paired instance, equal for stores of the
            same boxes; of the instance alone where boxes were fitted around poses,
            which depend on the views; (M,), str.
        paths: Key of each candidate's image, (M,), str.
        images: Number of images that could be read.
        failed: Number of images that could not be read.
        true_categories: Category of each true instance on the images that could be
            read, zeros where they are not separated, (G,).
    """

    scores: np.ndarray
    keypoint_scores: np.ndarray
    keypoint_agreement: np.ndarray
    categories: np.ndarray
    outcome: SelectionOutcome
    correct: np.ndarray
    counted: np.ndarray
    errors: np.ndarray
    pairs: np.ndarray
    paths: np.ndarray
    images: int
    failed: int
    true_categories: np.ndarray

    @property
    def num_true(self) -> int:
        """Number of true instances on the images that could be read."""
        return len(self.true_categories)

    def mean_average_precision(self) -> float:
        """Compute COCO's AP: the mean over `OKS_THRESHOLDS` and the true categories.

        Returns:
            The mean; NaN without true instances.
        """
        precisions = [
            average_precision(self.scores[own], correct[own], counted[own], num_true)
            for category, num_true in self._true_counts()
            for own in [self.categories == category]
            for correct, counted in zip(self.correct, self.counted, strict=True)
        ]
        return float(np.mean(precisions)) if precisions else float('nan')

    def _true_counts(self) -> Iterator[tuple[int, int]]:
        """Iterate over the categories of true instances and their counts."""
        pair = np.unique(self.true_categories, return_counts=True)
        return zip(*(values.tolist() for values in pair), strict=True)


def match_candidates(
    store: LabelStore,
    ann_file: Path,
    sigmas: np.ndarray,
    unlabeled_selection: UnlabeledSelection,
) -> MatchedCandidates:
    """Match the candidates of a store with true instances.

    A candidate matches only instances of its own category if the selection separates
    categories or both sides have several (`SelectionOptions.categories`).

    Args:
        store: A complete store of labeled images.
        ann_file: COCO json with the true annotations of its images.
        sigmas: Per-keypoint standard deviations of COCO's OKS, (K,); none for boxes,
            which are matched by their IoU.
        unlabeled_selection: The selection of the unlabeled set.

    Raises:
        UserError: If the store is not complete, the json does not match it, or no image
            could be read.
    """
    labels = store.read()
    classes = (store.manifest.get('detector') or {}).get('categories')
    truths = read_truth(ann_file, store.num_keypoints, classes)
    usable = unlabeled_selection.selection.trains(labels.candidates.keypoint_scores)
    image_index = labels.image_index[usable]
    candidates = labels.candidates[np.flatnonzero(usable)]
    if not _separates_categories(
        unlabeled_selection.selection, candidates, truths.values()
    ):
        candidates = replace(candidates, category_ids=0 * candidates.category_ids)
        truths = {path: _without_categories(truth) for path, truth in truths.items()}
    outcome = unlabeled_selection.apply(labels.candidates[np.flatnonzero(usable)])
    # Boxes that are fitted or found depend on the views.
    fitted = not store.num_keypoints or not {'box_fit', 'match_thr'}.isdisjoint(
        store.manifest.get('views', {})
    )
    ends = np.searchsorted(image_index, np.arange(len(labels.sizes) + 1))
    matched = [
        _match_image(
            candidates[rows], outcome[rows], truths[path], sigmas, path, fitted
        )
        for i, path in enumerate(labels.paths.to_pylist())
        for rows in [slice(ends[i], ends[i + 1])]
        if labels.failures[i] is None
    ]
    failed = len(labels.failures) - len(matched)
    if not matched:
        raise DataError(f'none of the {failed} audited images could be read')
    return replace(join(matched), failed=failed)


def join(parts: Sequence[MatchedCandidates]) -> MatchedCandidates:
    """Concatenate matched candidates of different images.

    Args:
        parts: At least one.
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
        if name != 'outcome'
    }
    return MatchedCandidates(
        outcome=SelectionOutcome.joined(columns['outcome']), **joined
    )


@dataclass(frozen=True)
class PairedErrors:
    """Keypoint errors of the pairs that all views have in common, P of them.

    Attributes:
        by_view: Errors by view in units of the instance's size, (P, K) each; NaN where
            unknown, or not visible in the last view.
        paths: Key of the image of each pair, (P,), str.
    """

    by_view: Mapping[str, np.ndarray]
    paths: np.ndarray


def pair_errors(
    matched: Mapping[str, MatchedCandidates], selection: Selection
) -> PairedErrors:
    """Pair the keypoint errors of views by box and true instance.

    Args:
        matched: Matched candidates of the same boxes by view.
        selection: Selection that decides which keypoints are visible, in the last
            view.
    """
    paired = [e.pairs[~np.isnan(e.errors).all(axis=1)] for e in matched.values()]
    common = functools.reduce(np.intersect1d, paired)
    *_, last = matched.values()
    visible = selection.visible(_rows(last, common, last.keypoint_scores))
    return PairedErrors(
        {
            name: np.where(
                visible, _rows(candidates, common, candidates.errors), np.nan
            )
            for name, candidates in matched.items()
        },
        _rows(last, common, last.paths),
    )


def errors_in_common(
    matched: Mapping[str, MatchedCandidates], selection: Selection
) -> dict[str, float]:
    """Compute the mean keypoint error of each view over the pairs of all views.

    Args:
        matched: Matched candidates of the same boxes by view.
        selection: Selection that decides which keypoints are visible, in the last
            view.

    Returns:
        Errors in units of the instance's size; NaN if no keypoint is common.
    """
    errors = pair_errors(matched, selection).by_view
    return {name: mean_error(values) for name, values in errors.items()}


def _rows(
    matched: MatchedCandidates, pairs: np.ndarray, values: np.ndarray
) -> np.ndarray:
    order = np.argsort(matched.pairs, kind='stable')
    return values[order[np.searchsorted(matched.pairs[order], pairs)]]


def _separates_categories(
    selection: Selection, candidates: Candidates, truths: Iterable[TrueInstances]
) -> bool:
    """Whether categories are matched separately, as in the selection."""
    if any(thr.category_id is not None for thr in selection.thresholds):
        return True
    annotated = {number for truth in truths for number in truth.category_ids.tolist()}
    stored = np.unique(candidates.category_ids).tolist()
    return selection.options.separates_categories(stored, annotated)


def _without_categories(truth: TrueInstances) -> TrueInstances:
    return replace(truth, category_ids=0 * truth.category_ids)


def _match_image(
    candidates: Candidates,
    outcome: SelectionOutcome,
    truth: TrueInstances,
    sigmas: np.ndarray,
    path: str,
    fitted: bool,
) -> MatchedCandidates:
    """Match the candidates of one image, in boxes that may be fitted around poses."""
    order = np.argsort(-candidates.instance_scores, kind='stable')
    candidates = candidates[order]
    if len(sigmas):
        similar = similarity(candidates.keypoints, truth, sigmas)
    else:
        similar = box_similarity(candidates.bboxes, truth)
    similar[candidates.category_ids[:, None] != truth.category_ids] = 0
    instances = np.stack([match(similar, truth, thr) for thr in OKS_THRESHOLDS])
    # The last element is that of candidates without an instance.
    ignored = np.append(truth.ignored, False)[instances]
    paired = match(similar, truth, PAIRED_OKS)
    paired = np.where(np.append(truth.ignored, False)[paired], -1, paired)
    # No two candidates are paired with the same instance.
    names = [
        f'{path} {"" if fitted else box.tolist()} {instance}'
        for box, instance in zip(candidates.bboxes, paired, strict=True)
    ]
    columns = (candidates.keypoint_scores, candidates.keypoint_agreement)
    errors = keypoint_errors(candidates.keypoints, truth, paired)
    if not len(sigmas):
        # The box as one keypoint; the last column is that of no instance.
        own = np.column_stack([1 - similar, np.full(len(similar), np.nan)])
        errors = own[np.arange(len(own)), paired][:, None]
        columns = (
            candidates.bbox_scores[:, None],
            candidates.bbox_agreement[:, None],
        )
    return MatchedCandidates(
        scores=candidates.instance_scores,
        keypoint_scores=columns[0],
        keypoint_agreement=columns[1],
        categories=candidates.category_ids,
        outcome=outcome[order],
        correct=(instances >= 0) & ~ignored,
        counted=~ignored,
        errors=errors,
        pairs=np.array(names, dtype=object),
        paths=np.full(len(names), path, dtype=object),
        images=1,
        failed=0,
        true_categories=truth.category_ids[~truth.ignored],
    )
