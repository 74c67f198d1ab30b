"""Whether and how boxes are fitted around poses: by the option, the store, the set."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from mmengine.logging import print_log

from mmdistill.errors import UserError
from mmdistill.functional.box_fit import BoxFit, PoseFill, fit_like
from mmdistill.labels import LabelStore

LEAST_OVERLAP = 0.6
"""Overlap below which boxes of a labeled set say nothing of where a pose is in them."""


@dataclass(frozen=True)
class RefitOption:
    """The option `distill.labeling.refit_boxes`.

    Attributes:
        on: Whether boxes are fitted around the poses of a first look.
        stated: Whether the config states it. If it does not, a store goes on as it was
            begun, and boxes are not fitted where those of the labeled set do not
            follow their poses.
    """

    on: bool
    stated: bool = True


def settle_fit(
    option: RefitOption, labeled: PoseFill | None, store: LabelStore
) -> BoxFit | None:
    """Decide how boxes are fitted, and log it.

    A store keeps the margins that it was begun with, so that it can be continued when
    the labeled set has changed.

    Args:
        option: Whether they are.
        labeled: The fill of the labeled set; None where it can not be measured.
        store: The store that is begun or continued.

    Returns:
        The fit; None where boxes stay as they are.

    Raises:
        UserError: If the store's manifest is damaged.
    """
    held = held_fit(store) if store.exists else None
    if held is not None and (option.on or not option.stated):
        _log_fit(held, f'as {store.root} was begun')
        return held
    if not option.on:
        return None
    if store.exists and not option.stated:
        print_log(
            f'the label store {store.root} was begun without boxes fitted around poses '
            'and goes on so; label into another folder to have them fitted',
            logger='current',
        )
        return None
    return _fit_of(labeled, option.stated)


def held_fit(store: LabelStore) -> BoxFit | None:
    """How the boxes of a store were fitted.

    Args:
        store: A store that was begun.

    Returns:
        The fit; None if they were not.

    Raises:
        UserError: If its manifest is damaged.
    """
    views = store.manifest.get('views')
    held = views.get('box_fit') if isinstance(views, Mapping) else None
    if held is None:
        return None
    try:
        return BoxFit.of_json(held)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f'the manifest of {store.root} is damaged: box_fit is {held!r}'
        ) from error


def _fit_of(labeled: PoseFill | None, stated: bool) -> BoxFit | None:
    """The fit with the labeled set's margins, where they say something."""
    if labeled is None:
        print_log(
            'boxes are not fitted around poses: no labeled sample has a box and two '
            'keypoints to take margins from',
            logger='current',
            level=logging.WARNING,
        )
        return None
    if labeled.overlap < LEAST_OVERLAP and not stated:
        print_log(
            'boxes are not fitted around poses: those of the labeled set do not follow '
            f'their poses either (median overlap {labeled.overlap:.2f}); '
            'distill.labeling.refit_boxes=True fits them all the same',
            logger='current',
        )
        return None
    fit = fit_like(labeled)
    _log_fit(fit, 'as in the labeled set')
    return fit


def _log_fit(fit: BoxFit, why: str) -> None:
    margins = ', '.join(f'{100 * margin:.0f} %' for margin in fit.margins)
    print_log(
        'each box is fitted around the pose that a first look finds in it: left, top, '
        f'right and bottom margins of {margins} of the diagonal of the pose, {why} '
        '(distill.labeling.refit_boxes)',
        logger='current',
    )
