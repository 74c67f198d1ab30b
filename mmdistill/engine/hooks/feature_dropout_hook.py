"""Hook that drops feature channels of the student while it trains."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpose.models.pose_estimators.base import BasePoseEstimator
from torch import Tensor, nn

from mmdistill.config.kinds import Range
from mmdistill.config.noise_options import SOURCES
from mmdistill.datasets.sample_tags import noised_rows
from mmdistill.engine.runner import unwrap_model
from mmdistill.errors import ConfigError
from mmdistill.functional.feature_dropout import channel_factors, scale_channels
from mmdistill.functional.permutation import hash_key
from mmdistill.registry import HOOKS

RATES = Range(0, 0.9)


@HOOKS.register_module()
class FeatureDropoutHook(Hook):
    """Drop channels of the features that the head sees, in training steps alone.

    Works behind any backbone: it takes the output of the neck where there is one, else
    that of the backbone, and changes neither the model's parts nor its checkpoints.
    Validation, labeling and what other hooks compute see all channels.

    The channels that a step drops follow from the run's seed, the iteration and the
    rank, so that a resumed training drops those of one that was never stopped.

    Args:
        rate: Share of the channels that are dropped, from 0 to 0.9.
        sources: 'pseudo' if rows of pseudo-labeled samples alone lose channels, 'all'
            if all rows do. Those that were drawn clean never do.

    Raises:
        ConfigError: If the rate or `sources` is out of its range.
    """

    # Before hooks that look at the features of a step, which are those of training.
    priority = 'ABOVE_NORMAL'

    def __init__(self, rate: float, sources: str = 'pseudo') -> None:
        if rate not in RATES:
            raise ConfigError(
                f'rate of FeatureDropoutHook must be {RATES}, got {rate!r}'
            )
        if sources not in SOURCES:
            raise ConfigError(
                f'sources of FeatureDropoutHook must be one of {", ".join(SOURCES)}, '
                f'got {sources!r}'
            )
        self.rate = rate
        self.sources = sources
        self._rows: list[bool] = []
        self._seed = 0
        self._handle: Any = None

    def before_train(self, runner: Runner) -> None:
        """Register with the model's neck, or its backbone where it has none.

        Args:
            runner: The runner of the training stage.

        Raises:
            ConfigError: If the model is no pose estimator.
        """
        model = unwrap_model(runner.model)
        if not isinstance(model, BasePoseEstimator):
            raise ConfigError(
                'FeatureDropoutHook drops features of a pose estimator of MMPose, got '
                f'the model {type(model).__name__}; leave the hook out, or set '
                'distill.noise.feature_dropout to 0'
            )
        features = model.neck if model.with_neck else model.backbone
        self._handle = features.register_forward_hook(self._drop)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Note which rows of the batch lose channels.

        Args:
            runner: The runner.
            batch_idx: Number of the batch in its epoch.
            data_batch: The batch, its samples tagged.
        """
        self._rows = noised_rows(data_batch['data_samples'], self.sources)
        key = hash_key(runner.seed or 0, runner.iter, get_rank())
        # Seeds of torch's generators are 64 bits with a sign.
        self._seed = key >> 1

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict | None = None,
    ) -> None:
        """Leave all further forward passes alone.

        Args:
            runner: The runner.
            batch_idx: Number of the batch in its epoch.
            data_batch: The batch.
            outputs: Outputs of the training step.
        """
        self._rows = []

    def after_train(self, runner: Runner) -> None:
        """Remove what was registered.

        Args:
            runner: The runner.
        """
        if self._handle is not None:
            self._handle.remove()
        self._handle = None

    def _drop(self, module: nn.Module, inputs: Any, features: Any) -> Any:
        if not (module.training and any(self._rows)):
            return None
        # Made here: a copy of the model has a copy of this hook, and torch before 2.6
        # cannot copy a generator.
        generator = torch.Generator()
        generator.manual_seed(self._seed)
        return self._dropped(features, generator)

    def _dropped(self, features: Any, generator: torch.Generator) -> Any:
        """The features, tensors (B, C, ...) or sequences of such, without channels."""
        if isinstance(features, (list, tuple)):
            return type(features)(self._dropped(each, generator) for each in features)
        if not isinstance(features, Tensor) or len(features) != len(self._rows):
            raise ConfigError(
                'FeatureDropoutHook needs features with a row for each of the '
                f'{len(self._rows)} samples of a batch, got {_described(features)}; '
                'set distill.noise.feature_dropout to 0'
            )
        factors = channel_factors(self._rows, features.shape[1], self.rate, generator)
        return scale_channels(features, factors)


def _described(features: Any) -> str:
    if isinstance(features, Tensor):
        return f'a tensor of shape {tuple(features.shape)}'
    return f'a {type(features).__name__}'
