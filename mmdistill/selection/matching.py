"""From a finished store and a labeled set to a selection.

What a selection does to a store, counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmdistill.config.selection_options import COUNTED_THR, SelectionOptions
from mmdistill.errors import UserError
from mmdistill.functional.count_matching import (
    counting_curve,
    limit_threshold,
    match_groups,
    match_keypoint_types,
    match_keypoints,
)
from mmdistill.selection.counts import LabeledCounts, Part, UnlabeledCounts
from mmdistill.selection.scores import (
    StoreScores,
    read_keypoint_scores,
    read_scores,
)
from mmdistill.selection.selection import Selection
from mmdistill.selection.thresholds import Threshold, format_range, threshold_index
from mmdistill.store import LabelStore
from mmdistill.store.sources import Sources

SCORED_THR = 0.2
"""Keypoint score above which a keypoint counts in the score of an instance."""


def select(
    store: LabelStore, labeled: LabeledCounts, options: SelectionOptions
) -> Selection:
    """Choose pseudo-labels of a store.

    Instances are matched first, by the keypoints that score above
    `options.counted_thr`. Where the keypoint threshold is matched too, this is done
    on the instances chosen; those that are left without a visible keypoint go.

    Args:
        store: A complete store.
        labeled: Counts of the labeled set.
        options: How to choose.

    Raises:
        UserError: If no image could be read, nothing is kept, or the labeled set's
            keypoints are others than the store's.
    """
    found, draft, visible = _drafted(store, labeled, options)
    if not visible.any():
        raise UserError(_nothing_kept(store, found, draft))
    thresholds, means = counting_curve(draft.compared(found.scores)[2], found.images)
    return replace(
        draft,
        unlabeled=count_unlabeled(found, visible, store.num_keypoints),
        parts=count_parts(found, visible, draft, store.num_keypoints),
        curve_thresholds=tuple(thresholds.tolist()),
        curve_means=tuple(means.tolist()),
    )


def _drafted(
    store: LabelStore, labeled: LabeledCounts, options: SelectionOptions
) -> tuple[StoreScores, Selection, np.ndarray]:
    """Scores, the thresholds that are chosen by them, and what they leave visible."""
    _check_keypoints(store, labeled, options)
    found = read_scores(store, options.counted_thr, options.criterion != 'score')
    _check_read(store, found)
    draft = Selection(
        options,
        _groups(found, labeled, options),
        (options.counted_thr,) * store.num_keypoints,
        labeled,
        UnlabeledCounts(found.images, found.failed, len(found.scores), 0),
    )
    draft = replace(draft, thresholds=_thresholds(found, draft))
    return found, *_with_keypoints(store, found, draft)


def _groups(
    found: StoreScores, labeled: LabeledCounts, options: SelectionOptions
) -> tuple[Threshold, ...]:
    """Who has a threshold, which is not matched yet."""
    if options.score_thr is not None:
        return (Threshold(None, None, options.score_thr),)
    sources = found.sources.names if options.group_by == 'source' else (None,)
    categories: list[int | None] = [None]
    stored = set(np.unique(found.scores.category_ids).tolist())
    annotated = {category for category, _ in labeled.categories}
    if options.separates_categories(stored, annotated):
        categories = sorted(stored | annotated)
    return tuple(Threshold(s, c, None) for s in sources for c in categories)


def _thresholds(found: StoreScores, draft: Selection) -> tuple[Threshold, ...]:
    options = draft.options
    if options.score_thr is not None:
        return draft.thresholds
    _, groups, values = draft.compared(found.scores)
    names = found.sources.names
    of_sources = np.bincount(found.sources.index[found.read], minlength=len(names))
    images = dict(zip(names, of_sources.tolist(), strict=True))
    targets = [
        draft.labeled.mean(options.labeled_images, group.category_id)
        * (found.images if group.source is None else images[group.source])
        for group in draft.thresholds
    ]
    return tuple(
        _limited(group, match.threshold, options)
        for group, match in zip(
            draft.thresholds, match_groups(values, groups, targets), strict=True
        )
    )


def _limited(group: Threshold, matched: float, options: SelectionOptions) -> Threshold:
    """A group's threshold, within min_thr and max_thr."""
    if matched == np.inf:
        return group
    limited = limit_threshold(matched, options.min_thr, options.max_thr)
    return replace(group, score_thr=limited, matched=float(matched))


def _with_keypoints(
    store: LabelStore, found: StoreScores, draft: Selection
) -> tuple[Selection, np.ndarray]:
    """The selection with its keypoint thresholds, and how many keypoints they leave.

    Returns:
        The selection, and the visible keypoints of each candidate, 0 where it is not
        kept, (M,).
    """
    chosen = draft.above_threshold(found.scores)
    visible = np.where(chosen, found.scores.counted, 0)
    if not draft.options.matches_keypoints or not chosen.any():
        return draft, visible
    scores = read_keypoint_scores(store, chosen)
    labeled = draft.labeled
    if draft.options.keypoint_thr == 'count':
        thresholds = np.full(
            scores.shape[1], match_keypoints(scores, labeled.mean_keypoints)
        )
    else:
        shares = np.array(labeled.keypoints) / labeled.instances
        thresholds = match_keypoint_types(scores, shares)
    stored = tuple(None if thr == np.inf else float(thr) for thr in thresholds)
    draft = replace(draft, keypoint_thrs=stored)
    visible[chosen] = draft.visible(scores).sum(axis=1)
    return draft, visible


def _check_keypoints(
    store: LabelStore, labeled: LabeledCounts, options: SelectionOptions
) -> None:
    if options.matches_keypoints and len(labeled.keypoints) != store.num_keypoints:
        raise UserError(
            f'keypoint_thr={options.keypoint_thr!r} compares keypoints of both sets, '
            f'which must be the same: the labeled set has {len(labeled.keypoints)}, '
            f'the label store {store.root} {store.num_keypoints}; set a number, as '
            '--keypoint-thr 0.2'
        )


def _check_read(store: LabelStore, found: StoreScores) -> None:
    if found.images == 0:
        raise UserError(
            f'none of the {found.failed} images of the label store '
            f'{store.root} could be read, the first because: {found.first_failure}'
        )


def _nothing_kept(store: LabelStore, found: StoreScores, draft: Selection) -> str:
    """Why nothing is kept, and what keeps something: that was tried."""
    counted = int((found.scores.counted > 0).sum())
    start = f'nothing of the label store {store.root} would be kept: '
    if not len(found.scores):
        floor = store.manifest.get('score_floor')
        return (
            f'{start}0 candidates on {found.images} images. A candidate is '
            'stored when its score, that of its box times the mean of its keypoint '
            f'scores above {SCORED_THR}, reaches distill.labeling.score_floor '
            f'({floor}): look at the teacher and the boxes, or label with '
            'distill.labeling.score_floor=0 into another folder in distill.store'
        )
    start += (
        f'{len(found.scores)} candidates on {found.images} images, threshold '
        f'{format_range(draft.score_thrs)}, {counted} of them with a keypoint above '
        f'{draft.options.counted_thr}; look at the teacher and the boxes'
    )
    for changes in _changes(store, found, draft):
        options = replace(draft.options, **changes)
        if _drafted(store, draft.labeled, options)[2].any():
            flags = [f'--{k.replace("_", "-")} {v}' for k, v in changes.items()]
            return (
                f'{start}, or keep some with tools/select_labels.py {" ".join(flags)}'
            )
    return f'{start}: no threshold keeps one'


def _changes(
    store: LabelStore, found: StoreScores, draft: Selection
) -> Iterator[dict[str, Any]]:
    """Options that may keep something where nothing is kept, the mildest first."""
    if (found.scores.counted > 0).any():
        best = _just_at(draft.compared(found.scores)[2].max())
        # Where keypoints are matched, the thresholds of instances may keep enough.
        if draft.options.matches_keypoints:
            yield dict(keypoint_thr=COUNTED_THR)
        yield dict(score_thr=best)
        yield dict(keypoint_thr=draft.options.counted_thr, score_thr=best)
        return
    best = max(_best_known(table) for table in store.scan(['keypoint_scores']))
    if best == -np.inf:
        return
    keypoint_thr = _just_at(best / 2 if best > 0 else 2 * best - 1)
    yield dict(keypoint_thr=keypoint_thr)
    options = replace(draft.options, keypoint_thr=keypoint_thr)
    scores = read_scores(store, keypoint_thr, options.criterion != 'score').scores
    other = replace(draft, options=options)
    values = other.compared(scores)[2]
    yield dict(keypoint_thr=keypoint_thr, score_thr=_just_at(values.max()))


def _best_known(table: pa.Table) -> float:
    """The best score of keypoints that something is known of; -inf without any."""
    scores = pc.list_flatten(pc.list_flatten(table['keypoint_scores'])).to_numpy()
    return float(scores[scores != 0].max(initial=-np.inf))


def _just_at(value: float) -> float:
    """A number with few digits that a value reaches."""
    return math.floor(float(value) * 1e4) / 1e4


def count_unlabeled(
    found: StoreScores, visible: np.ndarray, num_keypoints: int
) -> UnlabeledCounts:
    """Count what is kept.

    Args:
        found: The scores of a store.
        visible: Visible keypoints of each candidate, 0 where it is not kept, (M,).
        num_keypoints: Keypoints of each candidate.
    """
    kept = visible > 0
    numbers = np.repeat(np.arange(len(found.read)), found.num_candidates)
    left = np.bincount(numbers[kept], minlength=len(found.read))
    seen = int(visible.sum())
    return UnlabeledCounts(
        images=found.images,
        failed=found.failed,
        candidates=len(kept),
        kept=int(kept.sum()),
        kept_keypoints=seen,
        dropped_keypoints=int(kept.sum()) * num_keypoints - seen,
        emptied=int(((found.num_candidates > 0) & (left == 0)).sum()),
    )


def count_parts(
    found: StoreScores, visible: np.ndarray, selection: Selection, num_keypoints: int
) -> tuple[Part, ...]:
    """Count what is kept of each source and category.

    Args:
        found: The scores of a store.
        visible: Visible keypoints of each candidate, 0 where it is not kept, (M,).
        selection: Which thresholds hold.
        num_keypoints: Keypoints of each candidate.

    Returns:
        The parts, source by source in the order of their first image; categories that
        a source has no candidate of are left out when there are several.
    """
    scores, kept = found.scores, visible > 0
    names = scores.sources.names
    categories, columns = np.unique(scores.category_ids, return_inverse=True)
    shape = (len(names), max(len(categories), 1))
    index = scores.sources.index * shape[1] + columns
    candidates, kept_ones, seen = (
        np.bincount(index, weights, minlength=shape[0] * shape[1]).astype(int)
        for weights in (None, kept, visible)
    )
    of_sources = np.bincount(found.sources.index[found.read], minlength=shape[0])
    numbers = categories if len(categories) else np.array([1])
    cells = Sources(names, np.repeat(np.arange(shape[0]), shape[1]))
    of_cells = np.tile(numbers, shape[0])
    places = threshold_index(selection.thresholds, of_cells, cells)
    parts = []
    for cell in np.flatnonzero((candidates > 0) | (shape[1] == 1)).tolist():
        threshold = selection.thresholds[places[cell]]
        parts.append(
            Part(
                source=names[cells.index[cell]],
                category_id=int(of_cells[cell]),
                score_thr=threshold.score_thr,
                images=int(of_sources[cells.index[cell]]),
                candidates=int(candidates[cell]),
                kept=int(kept_ones[cell]),
                kept_keypoints=int(seen[cell]),
                dropped_keypoints=int(kept_ones[cell] * num_keypoints - seen[cell]),
                labeled_mean=selection.labeled.mean(
                    selection.labeled_images, threshold.category_id
                ),
            )
        )
    return tuple(parts)
