"""Tags and loss weights of pseudo-labeled samples that a pipeline has packed.

A module of its own: two data sets tag, a hook counts, and the meta field by which they
agree stands once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

MARK = 'pseudo'
"""Meta field of pseudo-labeled data samples; labeled ones do not have it."""
CLEAN = 'clean'
"""Meta field of data samples that were drawn without noise; others do not have it."""


def tag_pseudo(sample: Any) -> Any:
    """Tag a packed sample as pseudo-labeled.

    Args:
        sample: Output of a pipeline; one that is not packed, or None, is unchanged.
    """
    return _tag(sample, MARK)


def tag_clean(sample: Any) -> Any:
    """Tag a packed sample as drawn without noise.

    Args:
        sample: Output of a pipeline; one that is not packed, or None, is unchanged.
    """
    return _tag(sample, CLEAN)


def _tag(sample: Any, field: str) -> Any:
    if isinstance(sample, dict) and 'data_samples' in sample:
        sample['data_samples'].set_metainfo({field: True})
    return sample


def count_pseudo_labels(samples: Sequence[Any]) -> int:
    """Count the tagged samples of a batch.

    Args:
        samples: The data samples of the batch.
    """
    return sum(sample.get(MARK, False) for sample in samples)


def noised_rows(samples: Sequence[Any], sources: str) -> list[bool]:
    """List which samples of a batch the noise is for.

    Args:
        samples: The data samples of the batch, B of them.
        sources: 'pseudo' for the pseudo-labeled ones alone, else 'all'.

    Returns:
        A flag for each sample; those drawn clean are never noised.
    """
    return [
        not sample.get(CLEAN, False) and (sources == 'all' or sample.get(MARK, False))
        for sample in samples
    ]


WEIGHTS = ('keypoint_weights', 'keypoints_visible_weights')
"""Fields by which losses of MMPose weight each keypoint."""


def scale_keypoint_weights(
    sample: Any, weight: float, loss_power: float | Sequence[float] = 1
) -> Any:
    """Multiply the keypoint weights of a packed sample by a factor.

    Codecs derive weights from visibilities in different ways: those of regression
    round them, those of heatmaps leave targets below one half empty. The weights that
    all heads use exist only after the codec.

    Args:
        sample: Output of a pipeline; one that is not packed is unchanged.
        weight: The factor, at least 0.
        loss_power: Power of a keypoint weight that the loss counts, 2 where it is
            squared, or one for each level of targets; the weights are multiplied by
            that root of the factor.
    """
    if weight == 1 or not isinstance(sample, dict) or 'data_samples' not in sample:
        return sample
    labels = sample['data_samples'].gt_instance_labels
    factors = (_root(weight, loss_power), weight)
    for key, factor in zip(WEIGHTS, factors, strict=True):
        if key in labels:
            labels.set_field(labels[key] * factor, key)
    return sample


def _root(weight: float, loss_power: float | Sequence[float]) -> Any:
    """A factor of the weights that a loss counts at a power, or at one per level."""
    if isinstance(loss_power, Sequence):
        return torch.tensor([weight ** (1 / power) for power in loss_power])[
            :, None, None
        ]
    return weight ** (1 / loss_power)
