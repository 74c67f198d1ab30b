"""Captions and sentences of the reports: the conclusion, in words and numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan, nan
from statistics import fmean

import numpy as np

from mmdistill.audits.metrics import FUSED
from mmdistill.audits.result import Audit, AuditedImages, ThresholdMetrics
from mmdistill.functional.label_quality import Binned
from mmdistill.reports.results_table import Results
from mmdistill.reports.statistics import STEP, ReportData
from mmdistill.selection import Selection
from mmdistill.selection.counts import LabeledStatistics
from mmdistill.selection.threshold_groups import format_range

NOT_SELECTED = (
    'Nothing is selected yet, so there is no threshold and no kept or rejected label: '
    'run tools/select_labels.py with the config, then make this report again.'
)
NOTHING_MATCHED = (
    'No label matched a labeled instance, so nothing is known of the error of '
    'keypoints.'
)
NO_BOX_MATCHED = (
    'No label matched a labeled box, so nothing is known of the error of boxes.'
)
PRECISION_RECALL = (
    'On images whose labels are known. Left of a matched threshold recall is bought '
    'with wrong labels, right of it precision with lost ones.'
)


def store_summary(data: ReportData, selection: Selection | None) -> str:
    """Summarize a store and its selection, or how to make one."""
    images = f'{data.num_images:,} images'
    if selection is None:
        return f'{images}, {len(data.scores):,} candidates. {NOT_SELECTED}'
    return f'{images}: {selection_summary(selection)}.'


def selection_summary(selection: Selection) -> str:
    """Summarize the counts of a selection in one line."""
    labeled, unlabeled = selection.labeled, selection.unlabeled
    rule = 'matched' if selection.rule == 'count' else 'set by hand'
    return (
        f'{unlabeled.kept:,} of {unlabeled.candidates:,} candidates kept, '
        f'{selection.options.compared} threshold '
        f'{format_range(selection.score_thrs, 3)} ({rule}): '
        f'{unlabeled.mean:.2f} per unlabeled image, '
        f'{labeled.mean(selection.labeled_images):.2f} per labeled image'
    )


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
    invisible = int((data.visible == 0).sum())
    if invisible:
        words += (
            f' {invisible:,} are rejected because no keypoint of theirs is visible.'
        )
    return words


def curve_caption(selection: Selection) -> str:
    """Compare the means of instances per image of both sides."""
    unlabeled = selection.unlabeled.mean
    labeled = selection.labeled.mean(selection.labeled_images)
    words = (
        f'At the threshold an unlabeled image carries {unlabeled:.2f} instances and a '
        f'labeled one {labeled:.2f} (over {selection.labeled_images} images). '
    )
    if abs(unlabeled - labeled) <= 0.05 * labeled:
        return words + 'The student will see instances as often on both.'
    frequency = 'more rarely' if unlabeled < labeled else 'more often'
    words += f'The student will see instances {frequency} on unlabeled images.'
    highest = max(selection.curve_means, default=np.inf)
    if unlabeled < labeled and unlabeled >= highest:
        which = '' if selection.of_boxes else ' with a visible keypoint'
        words += f' Every candidate{which} is kept already.'
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


def calibration_caption(
    scale: str, calibration: Binned, plural: str = 'keypoints'
) -> str:
    """State whether the error of keypoints falls with their score or agreement.

    Args:
        scale: 'score' or 'agreement'.
        calibration: Errors in bins of it, of which one is known at least.
        plural: Name of what errors are of, in the plural.
    """
    known = np.flatnonzero(~np.isnan(calibration.error))
    first, last = calibration.error[known[0]], calibration.error[known[-1]]
    relation = 'predicts the error' if last < first else 'does not predict the error'
    return (
        f'{calibration.count.sum():,.0f} {plural}. Mean error {first:.3g} in the '
        f'lowest bin, {last:.3g} in the highest: {scale} {relation}.'
    )


def correlation_caption(scale: str, correlations: Mapping[str, float]) -> str:
    """State how well a quantity orders keypoints by their error.

    Args:
        scale: 'score' or 'agreement'.
        correlations: Rank correlations with the error by quantity.

    Returns:
        A sentence that begins with a space; empty if the correlation is not known.
    """
    own, product = (correlations.get(name, nan) for name in (scale, 'product'))
    if isnan(own):
        return ''
    return (
        f' Rank correlation with the error {own:+.2f}, of the product of both ranks '
        f'{product:+.2f}; -1 is perfect.'
    )


def gains_caption(gains: Mapping[str, float]) -> str:
    """State the gain of fused views over each other kind, by their AP."""
    differences = [
        f'{gains[FUSED] - ap:+.3f} against {name}'
        for name, ap in gains.items()
        if FUSED in gains and name != FUSED
    ]
    if not differences:
        return 'AP of the labels.'
    return f'Fused views: {", ".join(differences)}.'


def results_caption(results: Results) -> str:
    """State the lead of the student, and what bars and lines are."""
    bars = 'Bars are means, lines standard deviations over seeds.'
    return f'{student_lead(results)} {bars}'.strip()


def student_lead(results: Results) -> str:
    """State by how much the student leads the baseline; empty if one is missing."""
    if not {'student', 'baseline'} <= results.rows.keys():
        return ''
    student, baseline = (fmean(results.rows[n][0]) for n in ('student', 'baseline'))
    gain = student - baseline
    if isnan(gain):
        return ''
    side = 'ahead of' if gain > 0 else 'behind' if gain < 0 else 'level with'
    return (
        f'The student is {side} the baseline in {results.metrics[0]}: '
        f'{student:.3f} against {baseline:.3f} ({gain:+.3f}).'
    )


def part_name(part: ThresholdMetrics) -> str:
    """Format the source and category of a threshold; empty if it is for all."""
    words = [] if part.source is None else [part.source or 'images without a source']
    words += [] if part.category_id is None else [f'category {part.category_id}']
    return ', '.join(words)


def error_unit(audit: Audit) -> str:
    """Unit of errors: of distances the square root of the instance's area."""
    return '1 − IoU' if audit.of_boxes else 'of the instance’s size'


def parts(audit: Audit) -> str:
    """What errors are of, in the plural."""
    return 'boxes' if audit.of_boxes else 'keypoints'


def nothing_matched(audit: Audit) -> str:
    """Say that no error is known."""
    return NO_BOX_MATCHED if audit.of_boxes else NOTHING_MATCHED


def audited_lines(audited: AuditedImages) -> list[str]:
    """Format sentences about the audited images and their boxes."""
    lines = [
        f'audited: {audited.ann_file}, {audited.instances} instances on '
        f'{audited.images} images that could be read ({audited.failed} not)',
        f'boxes: {audited.boxes}; {audited.candidates} candidates',
    ]
    if audited.folds:
        lines.append(
            f'{audited.folds} folds, each labeled by a teacher that was trained on '
            f'the others with {audited.teacher_config}'
        )
    if audited.images_trained_on:
        lines.append(
            f'{audited.images_trained_on} of the images are among those the teacher '
            'was trained on: the labels look better than they are'
        )
    return lines
