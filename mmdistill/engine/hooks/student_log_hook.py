"""Hook that logs loss and accuracy per kind of sample: labeled and pseudo-labeled."""

from __future__ import annotations

import copy
import functools
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.runner import Runner
from mmpose.models.heads.hybrid_heads import YOLOXPoseHead
from mmpose.models.pose_estimators.base import BasePoseEstimator
from torch import Tensor, nn

from mmdistill.datasets.samplers.mixed_ratio_batch_sampler import (
    MixedRatioBatchSampler,
)
from mmdistill.engine.runner import unwrap_model
from mmdistill.errors import ConfigError
from mmdistill.registry import HOOKS
from mmdistill.utils.logging import warn

KINDS = ('labeled', 'pseudo')
REPORTED = ('loss', 'acc')
"""Parts of the names by which MMEngine and MMPose know losses and accuracies."""
FAILURES = (AttributeError, IndexError, RuntimeError, TypeError, ValueError)
"""Errors of heads on samples without an instance, or with a single one."""


@HOOKS.register_module()
class StudentLogHook(Hook):
    """Log the losses of the head for each kind of sample, as `loss_kpt/labeled`.

    Every `interval` iterations the head runs once more on the features that the
    training step has made, before the step changes anything: without gradient, on
    the whole batch, so that batch statistics are those of training. The loss is then
    taken over the labeled and over the pseudo-labeled samples alone. Buffers and
    random states are restored, so training is the same as without the hook. It costs a
    forward pass of the head every `interval` iterations; the default is the interval
    at which MMPose's configs log.

    Needs batches of a `MixedRatioBatchSampler`, which orders samples by kind; without
    them nothing is logged but a warning. Of several processes rank 0 logs its own
    batches. In a finish, whose batches are labeled, there is nothing to log for
    pseudo-labeled samples, and neither is where the head cannot tell: RTMO needs two
    positives of a kind. Of several processes heads of YOLOX-Pose's family are not
    logged, since their losses wait for those of all others.

    Args:
        interval: Iterations between two logged steps, at least 1.

    Raises:
        UserError: If the interval is not an integer of at least 1.
    """

    # After hooks that may change the batch, before the logger and MMEngine's scalars.
    priority = 'NORMAL'

    def __init__(self, interval: int = 50) -> None:
        if not isinstance(interval, int) or interval < 1:
            raise ConfigError(f'interval must be at least 1, got {interval!r}')
        self.interval = interval
        self._batches: MixedRatioBatchSampler | None = None
        self._losses: dict[str, Tensor] = {}
        self._handles: list[Any] = []
        self._warned = False

    def before_train(self, runner: Runner) -> None:
        """Check that batches say which samples are labeled, and that there is a head.

        Args:
            runner: The runner of the training stage.
        """
        batches = runner.train_dataloader.batch_sampler
        model = unwrap_model(runner.model)
        has_head = isinstance(model, BasePoseEstimator) and model.with_head
        self._batches = None
        if not (isinstance(batches, MixedRatioBatchSampler) and has_head):
            warn(
                'StudentLogHook logs nothing: it needs batches of a '
                'MixedRatioBatchSampler and a model with a head'
            )
        elif isinstance(model.head, YOLOXPoseHead) and get_world_size() > 1:
            warn(
                f'StudentLogHook logs nothing: losses of a {type(model.head).__name__} '
                'are normalized over all processes, so one kind alone cannot be told'
            )
        else:
            self._batches = batches

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Register forward hooks, if this step is to be logged.

        Args:
            runner: The runner.
            batch_idx: Number of the batch in its epoch.
            data_batch: The batch.
        """
        if self._batches is None or (runner.iter + 1) % self.interval:
            return
        num_labeled = self._batches.num_labeled_in(runner.iter)
        model = unwrap_model(runner.model)
        features = model.neck if model.with_neck else model.backbone
        samples: list[Any] = []

        def keep_samples(module: nn.Module, inputs: Any, batch: Mapping) -> None:
            samples[:] = batch['data_samples']

        def log_losses(module: nn.Module, inputs: Any, feats: Any) -> None:
            # Activation checkpointing runs it twice; the first run counts.
            if samples and not self._losses:
                self._losses = losses_by_kind(
                    model.head, feats, samples, num_labeled, model.train_cfg, self._warn
                )

        self._handles = [
            model.data_preprocessor.register_forward_hook(keep_samples),
            features.register_forward_hook(log_losses),
        ]

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict | None = None,
    ) -> None:
        """Pass the losses of this step to the log.

        Args:
            runner: The runner.
            batch_idx: Number of the batch in its epoch.
            data_batch: The batch.
            outputs: Outputs of the training step.
        """
        while self._handles:
            self._handles.pop().remove()
        for name, value in self._losses.items():
            runner.message_hub.update_scalar(f'train/{name}', value.item())
        self._losses = {}
        if self._batches is not None and self._batches.is_finishing(runner.iter):
            _forget_pseudo(runner.message_hub)

    def _warn(self, kind: str, error: Exception) -> None:
        """Say once that a step has no loss of a kind of samples."""
        if not self._warned:
            self._warned = True
            warn(
                f'StudentLogHook logs no loss of the {kind} samples of a step, as the '
                f'head has none for them alone ({type(error).__name__}: {error}); '
                'further such steps are left out without a word'
            )


def _forget_pseudo(message_hub: MessageHub) -> None:
    """Drop scalars of pseudo-labeled samples, which the log would repeat for ever."""
    scalars = message_hub.log_scalars
    for name in [name for name in scalars if name.endswith(f'/{KINDS[1]}')]:
        del scalars[name]


@torch.no_grad()
def losses_by_kind(
    head: Any,
    feats: Any,
    samples: Sequence[Any],
    num_labeled: int,
    train_cfg: Mapping[str, Any],
    on_error: Callable[[str, Exception], None] | None = None,
) -> dict[str, Tensor]:
    """Compute the losses of a head for the labeled and the other samples of a batch.

    Args:
        head: Head of an estimator; it is left unchanged, buffers included.
        feats: Features of the batch, tensors (B, ...) or sequences of such.
        samples: Data samples of the batch, B of them, the labeled ones first.
        num_labeled: Number of labeled samples.
        train_cfg: `train_cfg` of the estimator.
        on_error: Called with a kind and the error where the head fails on its samples
            alone, as without an instance in them; without it the error is raised.

    Returns:
        Scalars by name and kind, as `loss_kpt/labeled`: losses and accuracies, whatever
        else a head reports; none of a kind without samples, or on which it fails.
    """
    losses = {}
    rows = (slice(0, num_labeled), slice(num_labeled, len(samples)))
    with _unchanged(head):
        # Copies: a head may write into its features.
        feats = _map_tensors(feats, torch.clone)
        # Of the whole batch, once, if the loss asks for it: CID's does not, and its
        # forward pass is that of a test.
        outputs = functools.cache(lambda: head.forward(feats))
        for kind, chosen in zip(KINDS, rows, strict=True):
            if not samples[chosen]:
                continue
            # A copy that shares all weights and returns the outputs of the batch.
            head_copy = copy.copy(head)
            take = operator.itemgetter(chosen)
            head_copy.forward = lambda *_, take=take: _map_tensors(outputs(), take)
            try:
                reported = head_copy.loss(
                    _map_tensors(feats, take),
                    list(samples[chosen]),
                    train_cfg=train_cfg,
                )
            except FAILURES as error:
                if on_error is None:
                    raise
                on_error(kind, error)
                continue
            losses.update(
                {f'{name}/{kind}': value for name, value in _scalars(reported)}
            )
    return losses


def _scalars(reported: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    """Losses and accuracies among what a head reports, each as a scalar."""
    for name, value in reported.items():
        values = value if isinstance(value, (list, tuple)) else [value]
        # RTMO also reports a number of samples and overlaps, as numbers or tensors.
        if any(word in name for word in REPORTED):
            yield name, torch.stack([each.mean() for each in values]).sum()


@contextmanager
def _unchanged(head: nn.Module) -> Iterator[None]:
    """Restore the buffers and random states that a forward pass changes."""
    buffers = [(buffer, buffer.clone()) for buffer in head.buffers()]
    devices = {p.device for p in head.parameters() if p.device.type == 'cuda'}
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            for buffer, before in buffers:
                buffer.copy_(before)
            # Mixed precision would else train with casts made without gradient.
            torch.clear_autocast_cache()


def _map_tensors(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Apply a function to all tensors of a nested structure."""
    if isinstance(value, (list, tuple)):
        return type(value)(_map_tensors(item, change) for item in value)
    return change(value)
