"""Guard of an evaluation with fused views against NaN and infinity."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmpose.structures import PoseDataSample

from mmdistill.errors import CheckpointError
from mmdistill.registry import HOOKS


@HOOKS.register_module()
class FiniteGuardHook(Hook):
    """Refuse metrics of a model whose keypoints are all NaN or infinite.

    They would look like those of a bad model. Where only some keypoints are not
    finite, the metrics count them as missed, and the log has their number.
    """

    def __init__(self) -> None:
        self._known = self._unknown = 0

    def before_test_epoch(self, runner: Runner) -> None:
        """Begin to count.

        Args:
            runner: The runner of the evaluation.
        """
        self._known = self._unknown = 0

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[PoseDataSample] | None = None,
    ) -> None:
        """Count the keypoints of a batch.

        Args:
            runner: The runner of the evaluation.
            batch_idx: Number of the batch.
            data_batch: The batch.
            outputs: Data samples with predictions of a wrapper that fuses.
        """
        for sample in outputs or ():
            known = sample.pred_instances.keypoints_known
            self._known += int(known.sum())
            self._unknown += int((~known).sum())

    def after_test_epoch(
        self, runner: Runner, metrics: Mapping[str, float] | None = None
    ) -> None:
        """Check the numbers of all processes.

        Args:
            runner: The runner of the evaluation.
            metrics: The metrics.

        Raises:
            CheckpointError: If no keypoint is finite.
        """
        counts = torch.tensor([self._known, self._unknown])
        all_reduce(counts)
        known, unknown = counts.tolist()
        if unknown and not known:
            raise CheckpointError(
                f'no keypoint is finite of {unknown}: the weights in '
                f'{runner.cfg.get("load_from")} give NaN or infinity. Evaluate others '
                "or, in float16, set distill.views.precision='float32'"
            )
        if unknown:
            print_log(
                f'{unknown} of {known + unknown} keypoints are not finite: they have '
                'score 0 and lie in the middle of their boxes',
                logger='current',
                level=logging.WARNING,
            )
