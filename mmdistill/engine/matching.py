"""From a finished store and a labelled set to a selection."""

from __future__ import annotations

import numpy as np

from mmdistill.errors import UserError
from mmdistill.functional.count_matching import counting_curve, match_count
from mmdistill.labels import LabelStore, Selection
from mmdistill.labels.scores import StoreScores, read_scores
from mmdistill.labels.selection import LabeledCounts, UnlabeledCounts

OVER = ('all', 'annotated')


def select_by_count(
    store: LabelStore, labeled: LabeledCounts, over: str, keypoint_thr: float
) -> Selection:
    """Match instances per unlabelled image to instances per labelled image.

    Args:
        store: A complete store.
        labeled: Counts of the labelled set.
        over: Labelled images that count, 'all' or 'annotated'.
        keypoint_thr: Keypoint score above which a keypoint is visible.

    Raises:
        UserError: If `over` is neither, or no image could be read, or nothing is
            kept.
    """
    if over not in OVER:
        raise UserError(f"over must be 'all' or 'annotated', got {over!r}")
    scores = _scores_of(store, keypoint_thr)
    match = match_count(scores.selectable, labeled.mean(over) * scores.images)
    return _selection(
        'count', store, scores, match.threshold, labeled, over, keypoint_thr
    )


def select_by_score(
    store: LabelStore,
    labeled: LabeledCounts,
    over: str,
    keypoint_thr: float,
    score_thr: float,
) -> Selection:
    """Keep what scores at least `score_thr`, with the same counts written down.

    Args:
        store: A complete store.
        labeled: Counts of the labelled set, to compare with.
        over: Labelled images that count, 'all' or 'annotated'.
        keypoint_thr: Keypoint score above which a keypoint is visible.
        score_thr: The instance score.

    Raises:
        UserError: If no image could be read, or nothing is kept.
    """
    scores = _scores_of(store, keypoint_thr)
    return _selection('score', store, scores, score_thr, labeled, over, keypoint_thr)


def described(selection: Selection) -> str:
    """What a selection does, in the words of the log."""
    labeled, unlabeled = selection.labeled, selection.unlabeled
    how = 'matched' if selection.rule == 'count' else 'set by hand'
    return (
        f'instance score threshold {selection.score_thr:.4f} ({how}): '
        f'{unlabeled.kept} of {unlabeled.candidates} candidates kept, '
        f'{unlabeled.dropped} dropped; {unlabeled.mean:.3f} instances per unlabelled '
        f'image ({unlabeled.images} read, {unlabeled.failed} failed) against '
        f'{labeled.mean(selection.over):.3f} per labelled image, counted over '
        f'{selection.over} images ({labeled.instances} instances on '
        f'{labeled.annotated_images} of {labeled.images} images: '
        f'{labeled.mean("all"):.3f} over all, '
        f'{labeled.mean("annotated"):.3f} over annotated)'
    )


def _selection(
    rule: str,
    store: LabelStore,
    scores: StoreScores,
    score_thr: float,
    labeled: LabeledCounts,
    over: str,
    keypoint_thr: float,
) -> Selection:
    kept = int((scores.selectable >= np.float32(score_thr)).sum())
    if kept == 0:
        raise UserError(
            f'nothing of the label store {store.root} would be kept: '
            f'{len(scores.selectable)} candidates on {scores.images} images, threshold '
            f'{score_thr:.4g}; look at the teacher and the boxes, or set a lower one '
            'with tools/select_labels.py --score-thr'
        )
    thresholds, means = counting_curve(scores.selectable, scores.images)
    return Selection(
        rule=rule,
        score_thr=float(score_thr),
        keypoint_thr=keypoint_thr,
        over=over,
        labeled=labeled,
        unlabeled=UnlabeledCounts(
            scores.images, scores.failed, scores.candidates, kept
        ),
        curve_thresholds=tuple(thresholds.tolist()),
        curve_means=tuple(means.tolist()),
    )


def _scores_of(store: LabelStore, keypoint_thr: float) -> StoreScores:
    scores = read_scores(store, keypoint_thr)
    if scores.images == 0:
        raise UserError(
            f'none of the {scores.failed} images of the label store '
            f'{store.root} could be read, the first because: {scores.first_failure}'
        )
    return scores
