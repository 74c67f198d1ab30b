"""Captions of the page's plots: the conclusion, in words and numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmdistill.reports.statistics import STEP, ReportData
from mmdistill.selection import Selection
from mmdistill.selection.counts import LabeledStatistics


def scores_caption(data: ReportData, selection: Selection | None) -> str:
    """Describe how much the number of labels depends on the threshold."""
    if selection is None:
        return (
            f'{len(data.scores):,} candidates by their instance score. Two humps with '
            'a valley between them are easy to cut; one hump is not.'
        )
    words = (
        f'A threshold {STEP} higher would lose {data.lost:,} of {data.num_kept:,} '
        f'labels, one {STEP} lower would gain {data.won:,}. The fewer, the less '
        'depends on its exact value.'
    )
    blind = int((data.visible == 0).sum())
    if blind:
        words += f' {blind:,} are rejected because no keypoint of theirs is visible.'
    return words


def curve_caption(selection: Selection) -> str:
    """Compare the means of instances per image of both sides."""
    ours, theirs = (
        selection.unlabeled.mean,
        selection.labeled.mean(selection.labeled_images),
    )
    words = (
        f'At the threshold an unlabeled image carries {ours:.2f} instances and a '
        f'labeled one {theirs:.2f} (over {selection.labeled_images} images). '
    )
    if abs(ours - theirs) <= 0.05 * theirs:
        return words + 'The student will see instances as often on both.'
    rarity = 'more rarely' if ours < theirs else 'more often'
    words += f'The student will see instances {rarity} on unlabeled images.'
    if ours < theirs and ours >= max(selection.curve_means, default=np.inf):
        words += ' Every candidate with a visible keypoint is kept already.'
    return words


def per_image_caption(data: ReportData, labeled: LabeledStatistics | None) -> str:
    """Count the images without labels."""
    unlabeled = int((data.labels_per_image == 0).sum())
    share = unlabeled / max(len(data.labels_per_image), 1)
    words = (
        f'{share:.1%} of the unlabeled images carry no label ({unlabeled:,}; '
        f'{data.emptied:,} of them had candidates and lost them all)'
    )
    if labeled is None:
        return f'{words}. Give --config to see the labeled images beside them.'
    return f'{words}, {np.mean(labeled.per_image == 0):.1%} of the labeled ones.'


def per_label_caption(data: ReportData, labeled: LabeledStatistics | None) -> str:
    """Compare the visible keypoints of a label with those of a labeled instance."""
    visible = data.visible[data.kept]
    mean = visible.mean() if len(visible) else 0.0
    words = f'A label carries {mean:.1f} visible keypoints on average'
    if labeled is None:
        return f'{words}. The others train nothing.'
    return (
        f'{words}, a labeled instance {labeled.visible.sum(axis=1).mean():.1f}. '
        'Where labels carry more, the teacher says more than annotators did; where '
        'they carry fewer, the threshold of keypoints is severe.'
    )


def per_type_caption(
    names: Sequence[str], shares: np.ndarray, labeled: LabeledStatistics | None
) -> str:
    """Name the keypoint types that labels have most and fewest of."""
    names = [name.replace('_', ' ') for name in names]
    most, least = names[int(shares.argmax())], names[int(shares.argmin())]
    words = (
        f'Visible on most labels: {most} ({shares.max():.0%}); on fewest: {least} '
        f'({shares.min():.0%}).'
    )
    if labeled is None:
        return f'{words} The student learns a type only where it is visible.'
    deficit = labeled.visible.mean(axis=0) - shares
    worst = int(deficit.argmax())
    if deficit[worst] <= 0:
        return f'{words} No type is rarer on labels than on labeled instances.'
    return (
        f'{words} Against labeled instances, {names[worst]} is lacking most, by '
        f'{100 * deficit[worst]:.0f} percentage points.'
    )


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Compute Spearman's rank correlation of arrays (M,); NaN if one is constant."""
    if len(a) < 2 or (a == a[0]).all() or (b == b[0]).all():
        return np.nan
    return float(np.corrcoef(_ranks(a), _ranks(b))[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    """Rank values, (M,); equal values share the mean of their ranks."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[group]


def agreement_caption(correlation: float) -> str:
    """Interpret the rank correlation of score and agreement."""
    if np.isnan(correlation):
        return 'Score or agreement is the same everywhere: nothing to compare.'
    if correlation > 0.7:
        meaning = 'agreement adds little to the score'
    elif correlation > 0.3:
        meaning = 'agreement adds information to the score'
    else:
        meaning = 'agreement is nearly independent of the score'
    return (
        f'Rank correlation {correlation:.2f}: {meaning}. High scores low in the plot '
        'are the labels to check.'
    )
