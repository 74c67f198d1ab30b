"""Summaries of a selection: a sentence and a table for the log, scalars for plots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmengine.logging import print_log

from mmdistill.selection.counts import Part
from mmdistill.selection.selection import Selection
from mmdistill.selection.threshold_groups import Threshold, format_range
from mmdistill.utils.logging import format_table, warn

HEAD = (
    *('source', 'category', 'threshold', 'images', 'candidates', 'kept', 'dropped'),
    *('per image', 'labeled', 'keypoints', 'dropped', 'per instance'),
)
"""Column heads of the table."""
OF_KEYPOINTS = HEAD.index('keypoints')
"""First of the columns about keypoints."""


def summarize(selection: Selection) -> str:
    """Describe a selection in a sentence for the log.

    Args:
        selection: The selection.

    >>> summarize(selection)[:60]
    'instance score threshold 0.7500 (matched): 2 of 3 candidates'
    """
    labeled, unlabeled = selection.labeled, selection.unlabeled
    how = 'matched' if selection.rule == 'count' else 'set by hand'
    if len(selection.thresholds) > 1:
        how += f' for {len(selection.thresholds)} sources and categories'
    return (
        f'{selection.options.compared} threshold '
        f'{format_range(selection.score_thrs)} ({how}): '
        f'{unlabeled.kept} of {unlabeled.candidates} candidates kept, '
        f'{unlabeled.dropped} dropped; {unlabeled.mean:.3f} instances per unlabeled '
        f'image ({unlabeled.images} read, {unlabeled.failed} failed) against '
        f'{labeled.mean(selection.labeled_images):.3f} per labeled image, counted over '
        f'{selection.labeled_images} images ({labeled.instances} instances on '
        f'{labeled.annotated_images} of {labeled.images} images: '
        f'{labeled.mean("all"):.3f} over all, '
        f'{labeled.mean("annotated"):.3f} over annotated); {unlabeled.emptied} images '
        f'lost all their candidates.{_summarize_keypoints(selection)}'
    )


def selection_table(selection: Selection) -> str:
    """Format the counts of each source and category as a table, with totals.

    Args:
        selection: The selection.

    >>> print(selection_table(selection).splitlines()[-1].split()[:6])
    ['all', 'all', '2', '3', '2', '1']
    """
    unlabeled = selection.unlabeled
    rows = [
        _row(part.source or '-', str(part.category_id), part)
        for part in selection.parts
    ]
    total = Part(
        *('all', None, None),
        *(unlabeled.images, unlabeled.candidates, unlabeled.kept),
        *(unlabeled.kept_keypoints, unlabeled.dropped_keypoints),
        selection.labeled.mean(selection.labeled_images),
    )
    table = [HEAD, *rows, _row('all', 'all', total)]
    # Boxes have no keypoints, the last columns.
    shown = OF_KEYPOINTS if selection.of_boxes else None
    return format_table([row[:shown] for row in table])


def log_selection(selection: Selection, prefix: str = '') -> None:
    """Log the summary of a selection and its warnings.

    Args:
        selection: The selection.
        prefix: Beginning of the line.

    >>> log_selection(selection, 'count matching: ')
    """
    print_log(f'{prefix}{summarize(selection)}', logger='current')
    for line in warnings(selection):
        warn(line)


def warnings(selection: Selection) -> list[str]:
    """List warnings: thresholds that were limited, categories without labels.

    Args:
        selection: The selection.

    >>> warnings(selection)
    []
    """
    options = selection.options
    lines = []
    for threshold in selection.thresholds:
        matched, limited = threshold.matched, threshold.score_thr
        if matched is not None and limited is not None and matched != limited:
            side = 'below the floor' if matched < limited else 'above the cap'
            lines.append(
                f'the matched threshold {matched:.4f}{_scope(threshold)} lies {side} '
                f'and became {limited:.4f}: the counts do not match'
            )
    bare = [
        str(threshold.category_id)
        for threshold in selection.thresholds
        if threshold.category_id is not None
        and not selection.labeled.mean(options.labeled_images, threshold.category_id)
    ]
    if bare:
        lines.append(
            'nothing is kept of categories that the labeled set does not have: '
            f"{', '.join(sorted(set(bare)))}; categories='together' counts all alike"
        )
    return lines


def scalars(selection: Selection, store: str = '') -> dict[str, float]:
    """Collect the scalars of a selection by name, for MMEngine's visualizer.

    Args:
        selection: The selection.
        store: Name of its store where there are several, used in each name.

    >>> values = scalars(selection)
    >>> values['count_matching/threshold'], values['count_matching/kept_instances']
    (0.75, 2.0)
    """
    labeled, unlabeled = selection.labeled, selection.unlabeled
    values = {
        'instances_per_labeled_image': labeled.mean(selection.labeled_images),
        'instances_per_unlabeled_image': unlabeled.mean,
        'kept_instances': unlabeled.kept,
        'dropped_instances': unlabeled.dropped,
        'keypoints_per_labeled_instance': labeled.mean_keypoints,
        'keypoints_per_kept_instance': unlabeled.mean_keypoints,
        'kept_keypoints': unlabeled.kept_keypoints,
        'dropped_keypoints': unlabeled.dropped_keypoints,
        'emptied_images': unlabeled.emptied,
    }
    if selection.of_boxes:
        values = {name: value for name, value in values.items() if 'point' not in name}
    for threshold in selection.thresholds:
        if threshold.score_thr is not None:
            values[f'threshold{_scope(threshold, "/")}'] = threshold.score_thr
    prefix = f'count_matching/{store}/' if store else 'count_matching/'
    return {f'{prefix}{name}': float(value) for name, value in values.items()}


def store_names(roots: Sequence[Path]) -> list[str]:
    """Name several stores by the shortest distinct ends of their paths.

    Args:
        roots: Folders of the stores.

    Returns:
        A name each; empty where all are the same store.

    >>> store_names([Path('work/a/labels'), Path('work/b/labels')])
    ['a/labels', 'b/labels']
    """
    paths = [root.resolve().parts for root in roots]
    different = len(set(paths))
    if different < 2:
        return [''] * len(paths)
    for length in range(1, max(map(len, paths)) + 1):
        names = ['/'.join(path[-length:]) for path in paths]
        if len(set(names)) == different:
            break
    return names


def _row(source: str, category: str, part: Part) -> list[str]:
    threshold = '' if source == 'all' else format_range([part.score_thr])
    keypoints = part.kept_keypoints / part.kept if part.kept else 0
    return [
        *(source, category, threshold, str(part.images), str(part.candidates)),
        *(str(part.kept), str(part.candidates - part.kept)),
        *(f'{part.mean:.3f}', f'{part.labeled_mean:.3f}'),
        *(str(part.kept_keypoints), str(part.dropped_keypoints), f'{keypoints:.2f}'),
    ]


def _summarize_keypoints(selection: Selection) -> str:
    if selection.of_boxes:
        return ''
    unlabeled = selection.unlabeled
    how = 'matched' if selection.options.matches_keypoints else 'set by hand'
    return (
        f' Keypoint score threshold {format_range(selection.keypoint_thrs)} ({how}): '
        f'{unlabeled.kept_keypoints} keypoints kept, {unlabeled.dropped_keypoints} of '
        f'kept instances dropped; {unlabeled.mean_keypoints:.3f} visible keypoints per '
        f'pseudo-label against {selection.labeled.mean_keypoints:.3f} per labeled '
        'instance'
    )


def _scope(threshold: Threshold, separator: str = ' of ') -> str:
    """Source and category of a threshold; empty where it is for all."""
    source = [] if threshold.source is None else [threshold.source or 'the one source']
    category = (
        [] if threshold.category_id is None else [f'category {threshold.category_id}']
    )
    return ''.join(f'{separator}{name}' for name in source + category)
