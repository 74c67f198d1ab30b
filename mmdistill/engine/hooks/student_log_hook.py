"""Loss and accuracy of labeled and of pseudo-labeled samples apart, in the log."""

from __future__ import annotations

import copy
import logging
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmpose.models.pose_estimators.base import BasePoseEstimator
from torch import Tensor, nn

from mmdistill.datasets.samplers.mixed_ratio_batch_sampler import (
    MixedRatioBatchSampler,
)
from mmdistill.errors import UserError
from mmdistill.registry import HOOKS

KINDS = ('labeled', 'pseudo')


@HOOKS.register_module()
class StudentLogHook(Hook):
    """Log what the head reports for each kind of sample, as `loss_kpt/labeled`.

    Every `interval` iterations the head runs once more on the features that the
    training step has made, before the step changes anything: without gradient, on
    the whole batch, so that batch statistics are those of training. The loss is then
    taken of the labeled and of the pseudo-labeled samples alone. Buffers and
    random states are put back, so training goes on as without the hook. It costs a
    forward pass of the head every `interval` iterations; the default is the interval
    at which MMPose's configs log.

    Needs batches of a `MixedRatioBatchSampler`, which says which samples are
    labeled; without them nothing is logged, and the log says so. Of several
    processes the first one tells its own batches.

    Args:
        interval: Iterations from one look to the next, at least 1.

    Raises:
        UserError: If the interval is no such number.
    """

    # After what might change the batch, before the logger and MMEngine's own scalars.
    priority = 'NORMAL'

    def __init__(self, interval: int = 50) -> None:
        if not isinstance(interval, int) or interval < 1:
            raise UserError(f'interval must be at least 1, got {interval!r}')
        self.interval = interval
        self._num_labeled = 0
        self._seen: dict[str, Tensor] = {}
        self._handles: list[Any] = []

    def before_train(self, runner: Runner) -> None:
        """Look whether kinds can be told apart here.

        Args:
            runner: The runner of the training stage.
        """
        batches = runner.train_dataloader.batch_sampler
        model = _bare(runner.model)
        has_head = isinstance(model, BasePoseEstimator) and model.with_head
        if isinstance(batches, MixedRatioBatchSampler) and has_head:
            self._num_labeled = batches.num_labeled
        else:
            self._num_labeled = 0
            print_log(
                'StudentLogHook logs nothing: it needs batches of a '
                'MixedRatioBatchSampler and a model with a head',
                logger='current',
                level=logging.WARNING,
            )

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Listen to this step, if it is one of those that are looked at.

        Args:
            runner: The runner.
            batch_idx: Number of the batch in its epoch.
            data_batch: The batch.
        """
        if not self._num_labeled or (runner.iter + 1) % self.interval:
            return
        model = _bare(runner.model)
        features = model.neck if model.with_neck else model.backbone
        samples: list[Any] = []

        def keep_samples(module: nn.Module, inputs: Any, batch: Mapping) -> None:
            samples[:] = batch['data_samples']

        def look(module: nn.Module, inputs: Any, feats: Any) -> None:
            # Activation checkpointing runs it twice; the first time counts.
            if samples and not self._seen:
                self._seen = losses_apart(
                    model.head, feats, samples, self._num_labeled, model.train_cfg
                )

        self._handles = [
            model.data_preprocessor.register_forward_hook(keep_samples),
            features.register_forward_hook(look),
        ]

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict | None = None,
    ) -> None:
        """Hand what was seen to the log.

        Args:
            runner: The runner.
            batch_idx: Number of the batch in its epoch.
            data_batch: The batch.
            outputs: What the training step returned.
        """
        while self._handles:
            self._handles.pop().remove()
        for name, value in self._seen.items():
            runner.message_hub.update_scalar(f'train/{name}', value.item())
        self._seen = {}


@torch.no_grad()
def losses_apart(
    head: Any,
    feats: Any,
    samples: Sequence[Any],
    num_labeled: int,
    train_cfg: Mapping[str, Any],
) -> dict[str, Tensor]:
    """What a head reports for the labeled and the other samples of a batch.

    Args:
        head: Head of an estimator; it stays as it is, buffers included.
        feats: Features of the batch, tensors (B, ...) or sequences of such.
        samples: Data samples of the batch, B of them, the labeled ones first.
        num_labeled: How many are labeled.
        train_cfg: The estimator's.

    Returns:
        Scalars by name and kind, as `loss_kpt/labeled`.
    """
    apart = {}
    rows = (slice(0, num_labeled), slice(num_labeled, len(samples)))
    with _unchanged(head):
        # Copies, as a head may write into its features.
        feats = _mapped(feats, torch.clone)
        outputs = head.forward(feats)
        for kind, chosen in zip(KINDS, rows, strict=True):
            # A copy that shares all weights, and answers with what is known already.
            part = copy.copy(head)
            known, own = (
                _mapped(each, operator.itemgetter(chosen)) for each in (outputs, feats)
            )
            part.forward = lambda *_, known=known: known
            reported = part.loss(own, list(samples[chosen]), train_cfg=train_cfg)
            for name, value in reported.items():
                values = value if isinstance(value, (list, tuple)) else [value]
                apart[f'{name}/{kind}'] = torch.stack([v.mean() for v in values]).sum()
    return apart


@contextmanager
def _unchanged(head: nn.Module) -> Iterator[None]:
    """Put back buffers and random states that a forward pass changes."""
    buffers = [(buffer, buffer.clone()) for buffer in head.buffers()]
    devices = {p.device for p in head.parameters() if p.device.type == 'cuda'}
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            for buffer, before in buffers:
                buffer.copy_(before)
            # Else mixed precision would train with the casts made without gradient.
            torch.clear_autocast_cache()


def _mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The tensors of a structure changed, in the structure they come in."""
    if isinstance(value, (list, tuple)):
        return type(value)(_mapped(each, change) for each in value)
    return change(value)


def _bare(model: nn.Module) -> Any:
    return model.module if is_model_wrapper(model) else model
