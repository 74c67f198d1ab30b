"""What the labels were worth, and what to try next, by what was measured.

Each advice rests on a number of this work: of the audit, of the selection, of the
student's own log or of the comparison. Where no number points anywhere, it says so.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np

from mmdistill.audits.label_views import SINGLE_VIEW
from mmdistill.audits.metrics import FUSED
from mmdistill.audits.result import Audit, read_audit
from mmdistill.config.detectors import distills_boxes
from mmdistill.config.recipe import Recipe
from mmdistill.engine.hooks.student_log_hook import KINDS
from mmdistill.pipeline.verdict import Verdict
from mmdistill.selection.selection import Selection, read_selection
from mmdistill.stages.label_config import label_store

STRICT_OKS = '0.5'
GOOD_PRECISION = 0.9
"""Share of right labels from which on a threshold is not worth a word."""
WORTH = 0.03
"""Gain of precision from which on another threshold is worth a try."""
FEWEST_LEFT = 0.5
"""Share of the recall that another threshold must leave."""
MUCH_LOWER = 0.8
"""Ratio of two losses from which on one is much lower."""
LAST_SHARE = 0.2
"""Part of the log, its end, that losses are averaged over."""
MOST_IMAGES = 20_000
"""Images of the largest validation set that one would label; COCO's has 5,000."""
FEW_PER_LABEL = 2
"""Pseudo-labels for each label below which there are few."""


@dataclass(frozen=True)
class Measured:
    """What was measured of a distillation.

    Attributes:
        recipe: Its file, as it is typed.
        audit: The audit, where there is one.
        selection: The selection of the labels.
        losses: Loss of the labeled and of the pseudo-labeled samples at the end of the
            training, where they were logged.
        is_noised: Whether the student is noised.
        of_boxes: Whether it is a detector, which has neither noise nor rounds.
    """

    recipe: str
    audit: Audit | None
    selection: Selection | None
    losses: tuple[float, float] | None
    is_noised: bool
    of_boxes: bool = False

    @staticmethod
    def of(recipe: Recipe, file: str) -> Measured:
        """Read what a finished distillation left.

        Args:
            recipe: The recipe.
            file: Its file, as it is typed.

        Raises:
            UserError: If a file that it left is damaged.
        """
        store = label_store(recipe)
        return Measured(
            recipe=file,
            audit=read_audit(store.root),
            selection=read_selection(store),
            losses=last_losses(Path(recipe.config.work_dir)),
            is_noised=recipe.distill.noise is not None,
            of_boxes=distills_boxes(recipe),
        )


def label_worth(audit: Audit | None) -> str:
    """Say what the labels were worth, by the audit.

    Args:
        audit: The audit; None where there is none.
    """
    if audit is None or not audit.verdict:
        return 'What the labels were worth is not known: they were not audited.'
    gains = audit.gains or {}
    single, fused = gains.get(SINGLE_VIEW, math.nan), gains.get(FUSED, math.nan)
    if math.isnan(single) or math.isnan(fused):
        return f'The labels: {audit.verdict}'
    return (
        f'The labels: {audit.verdict} Their AP on the audited images is {fused:.3f}, '
        f'and {single:.3f} in a single view.'
    )


def next_steps(verdict: Verdict | None, measured: Measured) -> list[str]:
    """List what to try where the student is not better, the most telling first.

    Args:
        verdict: The comparison; None where there is no validation set.
        measured: What was measured.

    Returns:
        Sentences; empty where the student is better than all others.
    """
    if verdict is None or verdict.better:
        return []
    found = [
        *_of_threshold(measured),
        *_of_views(measured),
        *_of_noise_and_share(measured),
        *_of_amount(measured),
        *_of_validation(verdict),
    ]
    remain = 'More unlabeled images of other places and days remain'
    if not measured.of_boxes:
        remain = (
            'More unlabeled images of other places and days, or another round '
            '(distill.rounds), remain'
        )
    nothing = (
        'Nothing that was measured points to one setting: the labels are about as good '
        f'as they were wanted. {remain}'
    )
    return found or [nothing]


def last_losses(work_dir: Path) -> tuple[float, float] | None:
    """Read the losses of labeled and pseudo-labeled samples at the end of a training.

    Args:
        work_dir: Its work folder.

    Returns:
        Means over the last lines of the log; None where they were not logged.
    """
    pairs: list[tuple[float, float]] = []
    for path in sorted(work_dir.rglob('vis_data/scalars.json')):
        lines = path.read_text(encoding='utf-8').splitlines()
        pairs += [pair for line in lines if (pair := _losses_of(line))]
    last = pairs[-math.ceil(len(pairs) * LAST_SHARE) :] if pairs else []
    if not last:
        return None
    return fmean(pair[0] for pair in last), fmean(pair[1] for pair in last)


def _losses_of(line: str) -> tuple[float, float] | None:
    try:
        entries = json.loads(line)
    except ValueError:  # a run that was killed left half of it
        return None
    sums = [
        sum(
            value
            for name, value in entries.items()
            if name.startswith('loss') and name.endswith(f'/{kind}')
        )
        for kind in KINDS
    ]
    return (sums[0], sums[1]) if all(sums) else None


def _of_threshold(measured: Measured) -> Iterator[str]:
    """A higher threshold, where it leaves labels that are better by much."""
    audit = measured.audit
    if audit is None or audit.matched is None or audit.curve is None:
        return
    precision = audit.matched.precision.get(STRICT_OKS, math.nan)
    recall = audit.matched.recall.get(STRICT_OKS, math.nan)
    if not precision < GOOD_PRECISION:
        return
    by_thr = np.asarray(audit.curve.precision.get(STRICT_OKS, ()))
    left = np.asarray(audit.curve.recall.get(STRICT_OKS, ()))
    fits = (left >= FEWEST_LEFT * recall) & (by_thr >= precision + WORTH)
    right = (
        f'{precision:.0%} of the kept labels are right ({audit.overlap} {STRICT_OKS})'
    )
    if not fits.any():
        yield (
            f'{right}, and no threshold finds better ones without losing most: a '
            'better teacher, or more labels, come first'
        )
        return
    best = int(np.argmax(np.where(fits, by_thr, -1)))
    yield (
        f'{right}; at the threshold {audit.curve.thresholds[best]:.3f} '
        f'{by_thr[best]:.0%} are, and {left[best] / recall:.0%} of them remain: '
        f'python tools/select_labels.py {measured.recipe} --score-thr '
        f'{audit.curve.thresholds[best]:.3f}'
    )


def _of_views(measured: Measured) -> Iterator[str]:
    """Other views, where those of the labeling label no better than one."""
    gains = (measured.audit.gains if measured.audit else None) or {}
    single, fused = gains.get(SINGLE_VIEW, math.nan), gains.get(FUSED, math.nan)
    if fused <= single:
        yield (
            f'the fused views label no better than one alone (AP {fused:.3f} against '
            f'{single:.3f}), so that the labels tell the student little that the '
            'teacher does not know: views nearer to what the teacher was trained on '
            '(distill.views.scales)'
        )


def _of_noise_and_share(measured: Measured) -> Iterator[str]:
    """Noise and share, by how well the student knows both kinds of samples."""
    if measured.losses is None:
        return
    labeled, pseudo = measured.losses
    losses = f'(loss {labeled:.3g} on labels, {pseudo:.3g} on pseudo-labels)'
    if labeled < MUCH_LOWER * pseudo:
        yield (
            'the student knows its labels much better than the pseudo-labels '
            f'{losses}: a smaller share of labels in each batch '
            '(distill.mixing.labeled_share)'
        )
    elif not measured.is_noised and not measured.of_boxes:
        yield (
            f'the pseudo-labels are as easy for the student as its labels {losses}: in '
            'a training several times as long it learns more where it is noised '
            '(distill.noise=dict()), in a short one noise costs more than it gives'
        )


def _of_amount(measured: Measured) -> Iterator[str]:
    """More images, where there are few pseudo-labels."""
    selection = measured.selection
    if selection is None:
        return
    kept, labels = selection.unlabeled.kept, selection.labeled.instances
    if kept < FEW_PER_LABEL * labels:
        yield (
            f'there are {kept} pseudo-labels beside {labels} labels, which is few: '
            'more unlabeled images (distill.unlabeled)'
        )


def _of_validation(verdict: Verdict) -> Iterator[str]:
    """More validation images, where chance may be all of the difference."""
    needed = verdict.images_to_tell()
    if not verdict.enough or needed is None:
        return
    if needed > MOST_IMAGES:
        yield (
            f'the difference is as good as none: not even {MOST_IMAGES} validation '
            f'images would tell it from chance, and there are {verdict.images}'
        )
    else:
        yield (
            f'a difference like this one can be told from chance on about {needed} '
            f'validation images, and there are {verdict.images}'
        )
