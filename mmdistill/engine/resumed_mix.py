"""Whether a resumed training goes on with the samples that it began with."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from mmengine.logging import MessageHub, print_log

from mmdistill.engine.told_selection import described

MIX = 'mmdistill/mix'
"""Key of what the student sees, in the message hub and so in every checkpoint."""


def tell_changed_mix(
    message_hub: MessageHub, labeled: Sequence[Any], pseudo: Sequence[Any]
) -> None:
    """Warn where a training is resumed on other samples, and note those of now.

    Labels may be selected anew between two parts of a training; the second one does
    not draw then what a training that was never stopped would have drawn.

    Args:
        message_hub: The runner's; that of the checkpoint where a training is resumed.
        labeled: The labelled data sets.
        pseudo: Those of pseudo-labels.
    """
    mix = [f'{len(source)} labelled instances' for source in labeled]
    # The folder's name alone: a store that was moved is still the same.
    mix += [f'{each.store.root.name}: {described(each.selection)}' for each in pseudo]
    before = message_hub.get_info(MIX, mix)
    if before != mix:
        print_log(
            'the samples are others than those this training began with, so it is not '
            'that of a run that was never stopped: '
            f'{_other_than(before, mix)} before, {_other_than(mix, before)} now',
            logger='current',
            level=logging.WARNING,
        )
    message_hub.update_info(MIX, mix)


def _other_than(these: Sequence[str], those: Sequence[str]) -> str:
    return ' and '.join(each for each in these if each not in those) or 'nothing'
