"""Whether the student is about to see what it should."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from mmengine.logging import print_log

from mmdistill.dataset_members import is_countable
from mmdistill.engine.labeled_counts import count_members, join_counts
from mmdistill.errors import UserError
from mmdistill.labels.counts import LabeledCounts

FAR_OFF = 3
"""More than so many times the aim, or less than one such part, is told."""


def check_slots(batches: Any, sources: Sequence[Any]) -> None:
    """Make sure that the labelled slots of a batch are the labelled set's.

    The sampler can not see which source is labelled.

    Args:
        batches: The batch sampler.
        sources: The data sets that it draws from.

    Raises:
        UserError: If its `labeled_source` is one of pseudo-labels.
    """
    for number in getattr(batches, 'labeled_source', ()):
        if hasattr(sources[number], 'selection'):
            raise UserError(
                f'labeled_source must be the position of the labelled set among the '
                f'sources, got {number}, which is the pseudo-labels'
            )


def check_pseudo(pseudo: Any) -> None:
    """Make sure that pseudo-labels train something, and tell when they are far off.

    Args:
        pseudo: A `PseudoLabelDataset`.

    Raises:
        UserError: If there is none, or none has a visible keypoint.
    """
    if len(pseudo) == 0:
        raise UserError(
            f'the selection of {pseudo.store.root} is empty, so the student would '
            'learn from labels alone; select others with tools/select_labels.py'
        )
    if pseudo.num_visible_keypoints == 0:
        raise UserError(
            f'the {len(pseudo)} pseudo-labels of {pseudo.store.root} carry no visible '
            'keypoint, so they would train nothing; select with a lower keypoint '
            'threshold, as with tools/select_labels.py --keypoint-thr 0'
        )
    aim = pseudo.selection.aim
    if not aim / FAR_OFF <= len(pseudo) <= aim * FAR_OFF:
        print_log(
            f'{len(pseudo)} pseudo-labels of {pseudo.store.root} are '
            f'{len(pseudo) / aim:.2f} times the {aim:.1f} that count matching aims at; '
            'look at them with tools/draw_labels.py, select others with '
            'tools/select_labels.py',
            logger='current',
            level=logging.WARNING,
        )


def check_labeled(labeled: Sequence[Any], pseudo: Sequence[Any]) -> None:
    """Make sure that every selection was matched to a labelled set that is trained on.

    A labelled set that it was not matched to, or that can not be counted, is told.

    Args:
        labeled: The labelled data sets.
        pseudo: Those of pseudo-labels.

    Raises:
        UserError: If there is no labelled set, or a selection belongs to none.
    """
    if not labeled:
        raise UserError(
            'CountMatchingHook needs a labelled set beside the pseudo-labels to '
            'compare their counts with, got none; a training on pseudo-labels '
            'alone goes without this hook'
        )
    counted = [source for source in labeled if is_countable(source)]
    members = [count_members(source) for source in counted]
    counts = [join_counts(each) for each in members]
    for source in pseudo:
        matched = source.selection.labeled
        if len(counted) == len(labeled) and _fits(members, matched):
            continue
        others = [each for each in counts if each.fingerprint != matched.fingerprint]
        if len(others) == len(counts):
            _refuse_or_warn(source, counts, len(labeled) - len(counted))
        elif others or len(counted) < len(labeled):
            _warn(
                f'the selection of {source.store.root} was matched to one of '
                f'{len(labeled)} labelled sets; it does not count the others: '
                f'{_listed(others, len(labeled) - len(counted))}'
            )


def _fits(members: Sequence[Sequence[LabeledCounts]], matched: LabeledCounts) -> bool:
    """Whether a selection was matched to all labelled sets together."""
    together = join_counts([each for counts in members for each in counts])
    return together.fingerprint == matched.fingerprint


def _refuse_or_warn(
    pseudo: Any, counts: Sequence[LabeledCounts], uncounted: int
) -> None:
    matched = pseudo.selection.labeled
    what = (
        f'the selection of {pseudo.store.root} was matched to a labelled set of '
        f'{matched.instances} instances on {matched.images} images, training uses '
    )
    if uncounted:
        _warn(
            f'{what}others ({_listed(counts, uncounted)}): whether it belongs to one '
            'of those that can not be counted was not checked'
        )
        return
    raise UserError(
        f'{what}another one of {_listed(counts, 0)}; select anew with '
        'tools/select_labels.py'
    )


def _listed(counts: Sequence[LabeledCounts], uncounted: int) -> str:
    listed = [f'{each.instances} on {each.images}' for each in counts]
    if uncounted:
        listed.append(f'{uncounted} without an annotation file to count')
    return ' and '.join(listed)


def _warn(text: str) -> None:
    print_log(text, logger='current', level=logging.WARNING)
