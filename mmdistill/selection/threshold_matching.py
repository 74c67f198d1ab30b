"""Count matching of a complete store and a labeled set.

The thresholds of instances, and of keypoints where asked for, are matched to the counts
of the labeled set (Data Distillation, section 4.2), and the kept candidates are counted
by source and category.
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
from mmdistill.errors import StoreError
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
from mmdistill.selection.threshold_groups import (
    Threshold,
    format_range,
    threshold_index,
)
from mmdistill.store import LabelStore
from mmdistill.store.image_sources import Sources
from mmdistill.store.manifest import optional_columns
from mmdistill.store.schema import BOX_AGREEMENT

SCORED_THR = 0.2
"""Keypoint score above which a keypoint counts in the score of an instance."""


def select(
    store: LabelStore, labeled: LabeledCounts, options: SelectionOptions
) -> Selection:
    """Select the pseudo-labels of a store by count matching.

    Instances are matched first, by the keypoints that score above
    `options.counted_thr`. Where the keypoint threshold is matched too, this is done
    on the selected instances; those without a visible keypoint are dropped.

    Args:
        store: A complete store.
        labeled: Counts of the labeled set.
        options: Options of the selection.

    Raises:
        UserError: If no image could be read, nothing is kept, or the labeled set's
            keypoints differ from the store's.

    >>> selection = select(store, labeled, SelectionOptions())
    >>> selection.unlabeled.kept, selection.score_thrs
    (2, [0.75])
    """
    stored, draft, visible = _drafted(store, labeled, options)
    if not visible.any():
        raise StoreError(_nothing_kept(store, stored, draft))
    thresholds, means = counting_curve(draft.compared(stored.scores)[2], stored.images)
    return replace(
        draft,
        unlabeled=count_unlabeled(stored, visible, store.num_keypoints),
        parts=count_parts(stored, visible, draft, store.num_keypoints),
        curve_thresholds=tuple(thresholds.tolist()),
        curve_means=tuple(means.tolist()),
    )


def count_unlabeled(
    stored: StoreScores, visible: np.ndarray, num_keypoints: int
) -> UnlabeledCounts:
    """Count the kept candidates and keypoints of a store.

    Args:
        stored: The scores of a store.
        visible: Visible keypoints of each candidate, 0 where it is not kept, (M,); 1
            of a box that is kept.
        num_keypoints: Keypoints of each candidate; 0 for boxes.

    >>> counts = count_unlabeled(read_scores(store, 0.2, False), np.array([2, 0, 1]), 2)
    >>> counts.kept, counts.kept_keypoints, counts.dropped_keypoints
    (2, 3, 1)
    """
    kept = visible > 0
    numbers = np.repeat(np.arange(len(stored.read)), stored.num_candidates)
    kept_per_image = np.bincount(numbers[kept], minlength=len(stored.read))
    kept_keypoints = int(visible.sum()) if num_keypoints else 0
    return UnlabeledCounts(
        images=stored.images,
        failed=stored.failed,
        candidates=len(kept),
        kept=int(kept.sum()),
        kept_keypoints=kept_keypoints,
        dropped_keypoints=int(kept.sum()) * num_keypoints - kept_keypoints,
        emptied=int(((stored.num_candidates > 0) & (kept_per_image == 0)).sum()),
    )


def count_parts(
    stored: StoreScores, visible: np.ndarray, selection: Selection, num_keypoints: int
) -> tuple[Part, ...]:
    """Count the kept candidates and keypoints of each source and category.

    Args:
        stored: The scores of a store.
        visible: Visible keypoints of each candidate, 0 where it is not kept, (M,); 1
            of a box that is kept.
        selection: The selection with its thresholds.
        num_keypoints: Keypoints of each candidate; 0 for boxes.

    Returns:
        Counts, source by source in the order of their first image; categories of
        which a source has no candidate are left out when there are several.

    >>> scores = read_scores(store, 0.2, agreement=False)
    >>> [part.kept for part in count_parts(scores, np.array([2, 0, 1]), selection, 2)]
    [2]
    """
    scores, kept = stored.scores, visible > 0
    names = scores.sources.names
    categories, columns = np.unique(scores.category_ids, return_inverse=True)
    shape = (len(names), max(len(categories), 1))
    of_keypoints = visible if num_keypoints else np.zeros_like(visible)
    index = scores.sources.index * shape[1] + columns
    candidates, kept_candidates, visible_keypoints = (
        np.bincount(index, weights, minlength=shape[0] * shape[1]).astype(int)
        for weights in (None, kept, of_keypoints)
    )
    source_images = np.bincount(stored.sources.index[stored.read], minlength=shape[0])
    numbers = categories if len(categories) else np.array([1])
    cells = Sources(names, np.repeat(np.arange(shape[0]), shape[1]))
    cell_categories = np.tile(numbers, shape[0])
    indices = threshold_index(selection.thresholds, cell_categories, cells)
    parts = []
    for cell in np.flatnonzero((candidates > 0) | (shape[1] == 1)).tolist():
        threshold = selection.thresholds[indices[cell]]
        parts.append(
            Part(
                source=names[cells.index[cell]],
                category_id=int(cell_categories[cell]),
                score_thr=threshold.score_thr,
                images=int(source_images[cells.index[cell]]),
                candidates=int(candidates[cell]),
                kept=int(kept_candidates[cell]),
                kept_keypoints=int(visible_keypoints[cell]),
                dropped_keypoints=int(
                    kept_candidates[cell] * num_keypoints - visible_keypoints[cell]
                ),
                labeled_mean=selection.labeled.mean(
                    selection.labeled_images, threshold.category_id
                ),
            )
        )
    return tuple(parts)


def _drafted(
    store: LabelStore, labeled: LabeledCounts, options: SelectionOptions
) -> tuple[StoreScores, Selection, np.ndarray]:
    """Scores, thresholds, and the number of visible keypoints of each candidate."""
    _check_keypoints(store, labeled, options)
    stored = read_scores(store, options.counted_thr, options.criterion != 'score')
    _check_read(store, stored)
    draft = Selection(
        options,
        _groups(stored, labeled, options),
        (options.counted_thr,) * store.num_keypoints,
        labeled,
        UnlabeledCounts(stored.images, stored.failed, len(stored.scores), 0),
    )
    draft = replace(draft, thresholds=_thresholds(stored, draft))
    return stored, *_with_keypoints(store, stored, draft)


def _groups(
    stored: StoreScores, labeled: LabeledCounts, options: SelectionOptions
) -> tuple[Threshold, ...]:
    """Sources and categories with a threshold of their own, not matched yet."""
    if options.score_thr is not None:
        return (Threshold(None, None, options.score_thr),)
    sources = stored.sources.names if options.group_by == 'source' else (None,)
    categories: list[int | None] = [None]
    candidate_categories = set(np.unique(stored.scores.category_ids).tolist())
    annotated = {category for category, _ in labeled.categories}
    if options.separates_categories(candidate_categories, annotated):
        categories = sorted(candidate_categories | annotated)
    return tuple(Threshold(s, c, None) for s in sources for c in categories)


def _thresholds(stored: StoreScores, draft: Selection) -> tuple[Threshold, ...]:
    """Match the threshold of each group to the labeled mean."""
    options = draft.options
    if options.score_thr is not None:
        return draft.thresholds
    _, groups, values = draft.compared(stored.scores)
    names = stored.sources.names
    counts = np.bincount(stored.sources.index[stored.read], minlength=len(names))
    images = dict(zip(names, counts.tolist(), strict=True))
    targets = [
        draft.labeled.mean(options.labeled_images, group.category_id)
        * (stored.images if group.source is None else images[group.source])
        for group in draft.thresholds
    ]
    return tuple(
        _limited(group, match.threshold, options)
        for group, match in zip(
            draft.thresholds, match_groups(values, groups, targets), strict=True
        )
    )


def _limited(group: Threshold, matched: float, options: SelectionOptions) -> Threshold:
    """Limit the matched threshold of a group to min_thr and max_thr."""
    if matched == np.inf:
        return group
    limited = limit_threshold(matched, options.min_thr, options.max_thr)
    return replace(group, score_thr=limited, matched=float(matched))


def _with_keypoints(
    store: LabelStore, stored: StoreScores, draft: Selection
) -> tuple[Selection, np.ndarray]:
    """Match the keypoint thresholds, and count visible keypoints.

    Returns:
        The selection, and the visible keypoints of each candidate, 0 where it is not
        kept, (M,).
    """
    above = draft.above_threshold(stored.scores)
    visible = np.where(above, stored.scores.counted, 0)
    if not draft.options.matches_keypoints or not above.any():
        return draft, visible
    scores = read_keypoint_scores(store, above)
    labeled = draft.labeled
    if draft.options.keypoint_thr == 'count':
        thresholds = np.full(
            scores.shape[1], match_keypoints(scores, labeled.mean_keypoints)
        )
    else:
        shares = np.array(labeled.keypoints) / labeled.instances
        thresholds = match_keypoint_types(scores, shares)
    limits = tuple(None if thr == np.inf else float(thr) for thr in thresholds)
    draft = replace(draft, keypoint_thrs=limits)
    visible[above] = draft.visible(scores).sum(axis=1)
    return draft, visible


def _check_boxes(store: LabelStore, options: SelectionOptions) -> None:
    """Refuse for boxes what compares keypoints, or an agreement that is not stored."""
    stated = options.keypoint_thr
    if stated != SelectionOptions.keypoint_thr:
        raise StoreError(
            f'the {store.kind.name} {store.root} holds boxes, which have no keypoints: '
            f'leave keypoint_thr out, got {stated!r}'
        )
    recorded = BOX_AGREEMENT in optional_columns(store.manifest)
    if options.criterion != 'score' and not recorded:
        raise StoreError(
            f'criterion={options.criterion!r} compares the agreement of views, which '
            f'the {store.kind.name} {store.root} does not have; set '
            "criterion='score', or label in several views into another folder"
        )


def _check_keypoints(
    store: LabelStore, labeled: LabeledCounts, options: SelectionOptions
) -> None:
    if not store.num_keypoints:
        _check_boxes(store, options)
        return
    if options.matches_keypoints and len(labeled.keypoints) != store.num_keypoints:
        raise StoreError(
            f'keypoint_thr={options.keypoint_thr!r} compares keypoints of both sets, '
            f'which must be the same: the labeled set has {len(labeled.keypoints)}, '
            f'the label store {store.root} {store.num_keypoints}; set a number, as '
            '--keypoint-thr 0.2'
        )


def _check_read(store: LabelStore, stored: StoreScores) -> None:
    if stored.images == 0:
        raise StoreError(
            f'none of the {stored.failed} images of the label store '
            f'{store.root} could be read, the first because: {stored.first_failure}'
        )


def _nothing_kept(store: LabelStore, stored: StoreScores, draft: Selection) -> str:
    """Explain why nothing is kept, with options that were tried and keep something."""
    counted = int((stored.scores.counted > 0).sum())
    start = f'nothing of the label store {store.root} would be kept: '
    if not len(stored.scores) and not store.num_keypoints:
        floor = store.manifest['detector'].get('score_thr')
        return (
            f'{start}0 boxes on {stored.images} images. A box is stored when its score '
            f'reaches the floor of the detector ({floor}): look at the teacher and its '
            'classes, or label with a lower distill.labeling.score_floor into another '
            'folder in distill.store'
        )
    if not len(stored.scores):
        floor = store.manifest.get('score_floor')
        rule = (
            ', that of its box times the mean of its keypoint scores above '
            f'{SCORED_THR},'
        )
        if 'instance_score' in store.manifest.get('views', {}):
            # The teacher found the instance itself, and scored it.
            rule = ''
        return (
            f'{start}0 candidates on {stored.images} images. A candidate is '
            f'stored when its score{rule} reaches distill.labeling.score_floor '
            f'({floor}): look at the teacher and the boxes, or label with '
            'distill.labeling.score_floor=0 into another folder in distill.store'
        )
    with_keypoint = (
        f', {counted} of them with a keypoint above {draft.options.counted_thr}'
        if store.num_keypoints
        else ''
    )
    start += (
        f'{len(stored.scores)} candidates on {stored.images} images, threshold '
        f'{format_range(draft.score_thrs)}{with_keypoint}; look at the teacher and '
        'the boxes'
    )
    for changes in _changes(store, stored, draft):
        options = replace(draft.options, **changes)
        if _drafted(store, draft.labeled, options)[2].any():
            flags = [f'--{k.replace("_", "-")} {v}' for k, v in changes.items()]
            return (
                f'{start}, or keep some with tools/select_labels.py {" ".join(flags)}'
            )
    return f'{start}: no threshold keeps one'


def _changes(
    store: LabelStore, stored: StoreScores, draft: Selection
) -> Iterator[dict[str, Any]]:
    """Options that may keep a candidate where none is kept, the mildest first."""
    if (stored.scores.counted > 0).any():
        best = _just_at(draft.compared(stored.scores)[2].max())
        # Where keypoints are matched, the thresholds of instances may keep enough.
        if draft.options.matches_keypoints:
            yield dict(keypoint_thr=COUNTED_THR)
        yield dict(score_thr=best)
        if not draft.of_boxes:
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
    """Best score of the known keypoints; -inf without any."""
    scores = pc.list_flatten(pc.list_flatten(table['keypoint_scores'])).to_numpy()
    return float(scores[scores != 0].max(initial=-np.inf))


def _just_at(value: float) -> float:
    """Round a value down to four decimals, as a threshold that it reaches."""
    return math.floor(float(value) * 1e4) / 1e4
