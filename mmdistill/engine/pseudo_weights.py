"""Weights of pseudo-labels as a training starts: checked with its losses, logged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.logging import print_log

from mmdistill.config.loss_power import power_of_source, unknown_losses
from mmdistill.datasets.pseudo_label_dataset import PseudoLabelDataset
from mmdistill.datasets.pseudo_sources import PseudoSource
from mmdistill.errors import ConfigError
from mmdistill.utils.logging import warn


def check_loss_power(pseudo: Sequence[PseudoLabelDataset], config: Config) -> None:
    """Make sure that weighted pseudo-labels know how the losses count weights.

    `tools/train.py` states it; a mix that is stated by hand and trained by MMPose's own
    tools may lack it.

    Args:
        pseudo: Data sets of pseudo-labels.
        config: Config of the training.

    Raises:
        ConfigError: If one has another `loss_power` than the losses, or the model
            cannot train with its weights.
    """
    head = (config.get('model') or {}).get('head') or {}
    if unknown_losses(head):
        return
    for source in pseudo:
        power = power_of_source(head, source.pseudo_weight, source.weights)
        if power in (None, source.loss_power):
            continue
        raise ConfigError(
            f'the losses of {head.get("type")} count keypoint weights at a power of '
            f'{power}, got {source.loss_power} for {source.store.root}: state '
            f'loss_power={power} for its PseudoLabelDataset, as tools/train.py does'
        )


def log_weights(pseudo: Sequence[PseudoSource]) -> None:
    """Log what keypoints of pseudo-labels weigh; nothing where all weigh 1.

    Args:
        pseudo: Data sets of pseudo-labels.
    """
    for source in pseudo:
        if not isinstance(source, PseudoLabelDataset) or not source.is_weighted:
            continue
        print_log(weights_sentence(source), logger='current')
        weights = source.visible_weights
        uneven = source.weights is not None and source.weights.varies
        if uneven and np.ptp(weights) == 0:
            warn(
                f'all keypoints of {source.store.root} weigh {weights[0]:.3f}: their '
                'values are all alike, as agreement is where the teacher had one view; '
                'weights.criterion may be another one'
            )


def weights_sentence(pseudo: PseudoLabelDataset) -> str:
    """Describe what the visible keypoints of pseudo-labels weigh.

    Args:
        pseudo: The data set.
    """
    weights = pseudo.visible_weights * pseudo.pseudo_weight
    low, middle, high = np.quantile(weights, (0.25, 0.5, 0.75))
    rules = [] if pseudo.weights is None else [str(pseudo.weights)]
    if pseudo.pseudo_weight != 1:
        rules.append(f'pseudo_weight {pseudo.pseudo_weight:g}')
    text = (
        f'keypoints of {pseudo.store.root} weigh by {"; ".join(rules)}: mean '
        f'{weights.mean(dtype=np.float64):.3f}, quartiles {low:.3f}, {middle:.3f} and '
        f'{high:.3f}, from {weights.min():.3f} to {weights.max():.3f}'
    )
    if pseudo.loss_power != 1:
        text += '; the loss squares weights, so it gets their roots'
    return text


def weight_notes(pseudo: Sequence[PseudoSource]) -> list[Any]:
    """The rules of all weights, for a comparison with those of a resumed run.

    Args:
        pseudo: Data sets of pseudo-labels; those where all weigh 1 have none.
    """
    return [
        f'weights of {each.store.root.name} by {each.weights}'
        for each in pseudo
        if isinstance(each, PseudoLabelDataset) and each.weights is not None
    ]
