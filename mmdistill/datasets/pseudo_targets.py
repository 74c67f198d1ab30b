"""Targets of pseudo-labels: weights that follow their keypoints, another sigma.

A weight is carried as the host carries one: `keypoints_visible` is (1, K, 2), with
visibility and weight, so that flips permute both. The converters of the host drop it,
and its codecs do not use it; both are helped here, step by step, so that no config
changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmpose.datasets.transforms import (
    GenerateTarget,
    KeypointConverter,
    SingleHandConverter,
)

from mmdistill.config.target_sigma import widened_encoder
from mmdistill.errors import ConfigError
from mmdistill.functional.keypoint_weights import weights_for_power

CONVERTERS = (KeypointConverter, SingleHandConverter)
CARRIED = 'keypoints_visible_weights'
"""Key at which `GenerateTarget` leaves the weights that came with visibilities."""


class PseudoTargets:
    """Runner of pipelines that gives targets of pseudo-labels their own weights.

    Args:
        sigma: Factor of the codec's sigma.
        loss_power: Power of a keypoint weight that the student's loss counts, or one
            for each level of targets; see `weights_for_power`.
    """

    def __init__(
        self, sigma: float = 1.0, loss_power: float | Sequence[float] = 1
    ) -> None:
        self.sigma = sigma
        self.loss_power = loss_power
        self._wider: dict[int, tuple[GenerateTarget, GenerateTarget]] = {}

    def run(self, pipeline: Any, results: dict) -> Any:
        """Run the transforms of a pipeline on a sample with weights.

        Args:
            pipeline: A `Compose`, also one that ends before targets are made.
            results: The sample; its `keypoints_visible` is (1, K, 2).

        Returns:
            The sample, or None if a transform rejects it.

        Raises:
            ConfigError: If it is packed without a target whose weights are known.
        """
        sample: Any = results
        weighted = False
        for step in pipeline.transforms:
            if isinstance(step, CONVERTERS):
                sample = _converted(step, sample)
            elif isinstance(step, GenerateTarget):
                sample = self._weighted(self._target(step)(sample))
                weighted = True
            else:
                sample = step(sample)
            if sample is None:
                return None
        if 'data_samples' in sample and not weighted:
            raise ConfigError(
                'weights of a PseudoLabelDataset need a GenerateTarget among the steps '
                'of the pipeline that packs its samples, got '
                f'{[type(step).__name__ for step in pipeline.transforms]}'
            )
        return sample

    def _target(self, step: GenerateTarget) -> GenerateTarget:
        """The step with this sigma, looked up since pipelines may be switched."""
        if self.sigma == 1:
            return step
        if id(step) not in self._wider:
            wider = GenerateTarget(
                encoder=widened_encoder(step.encoder_cfg, self.sigma),
                multilevel=step.multilevel,
                use_dataset_keypoint_weights=step.use_dataset_keypoint_weights,
            )
            # The step is kept too, so that its id stays its own.
            self._wider[id(step)] = (step, wider)
        return self._wider[id(step)][1]

    def _weighted(self, sample: Any) -> Any:
        """Multiply what the codec weighs keypoints with by the weights carried."""
        if sample is None:
            return None
        given, carried = sample.get('keypoint_weights'), sample[CARRIED]
        if given is None:
            raise ConfigError(
                'weights of a PseudoLabelDataset need a codec that makes '
                'keypoint_weights, as those of heatmaps, SimCC and regression do'
            )
        if isinstance(given, list):
            powers = powers_of_levels(self.loss_power, len(given))
            sample['keypoint_weights'] = [
                _times(level, carried, power)
                for level, power in zip(given, powers, strict=True)
            ]
        else:
            (power,) = powers_of_levels(self.loss_power, 1)
            sample['keypoint_weights'] = _times(given, carried, power)
        return sample


def powers_of_levels(
    loss_power: float | Sequence[float], levels: int
) -> Sequence[float]:
    """List the power of each level of targets.

    Args:
        loss_power: One for all, or one for each.
        levels: Number of levels.

    Raises:
        ConfigError: If it has another number of levels.
    """
    if not isinstance(loss_power, Sequence):
        return [loss_power] * levels
    if len(loss_power) != levels:
        raise ConfigError(
            f'loss_power must have a number for each of the {levels} levels of '
            f'targets, got {list(loss_power)}'
        )
    return loss_power


def _times(given: np.ndarray, carried: np.ndarray, power: float) -> np.ndarray:
    product: np.ndarray = given * weights_for_power(carried, power)
    return product.astype(given.dtype)


def _converted(step: Any, sample: dict) -> Any:
    """Convert keypoints, and their weights by the same rule as their coordinates."""
    visible, hand = sample['keypoints_visible'], sample.get('hand_type')
    weights = np.repeat(visible[..., 1:], 2, axis=2)
    mapped = step(
        dict(keypoints=weights, keypoints_visible=visible[..., 0], hand_type=hand)
    )
    sample = step(sample)
    sample['keypoints_visible'][..., 1] *= mapped['keypoints'][..., 0]
    return sample


def without_weights(sample: Any) -> Any:
    """A sample that was not packed, with visibilities alone, as others have them.

    Args:
        sample: Output of the last pipeline; one that is packed is unchanged.
    """
    if isinstance(sample, dict) and 'keypoints_visible' in sample:
        visible = sample['keypoints_visible']
        sample['keypoints_visible'] = visible[..., 0] if visible.ndim == 3 else visible
    return sample
