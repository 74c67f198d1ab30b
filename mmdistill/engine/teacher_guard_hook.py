"""A teacher whose checkpoint does not fit labels nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from mmdistill.errors import UserError
from mmdistill.registry import HOOKS


@HOOKS.register_module()
class TeacherGuardHook(Hook):
    """Refuse a teacher that is not wholly loaded from its checkpoint.

    MMEngine only warns when keys are missing, and goes on with random weights.

    Args:
        keypoint_names: Keypoints that the labels shall have. A checkpoint that
            records others is refused.
    """

    priority = 'VERY_HIGH'

    def __init__(self, keypoint_names: Sequence[str] | None = None) -> None:
        self.keypoint_names = keypoint_names
        self._loaded = False

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare the checkpoint with the model, key by key.

        Args:
            runner: The runner; its model is the fusing wrapper of the teacher.
            checkpoint: What was loaded.

        Raises:
            UserError: If a key is missing, unknown or of another shape, or the
                checkpoint records other keypoints.
        """
        if isinstance(checkpoint, dict):
            self._check_names(checkpoint)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        load_teacher(model.module, checkpoint)
        self._loaded = True

    def before_test(self, runner: Runner) -> None:
        """Make sure that a checkpoint was loaded at all.

        Args:
            runner: The runner.

        Raises:
            UserError: If none was, or the model has another number of keypoints.
        """
        if not self._loaded:
            raise UserError(
                'a teacher needs its trained weights: give distill.teacher.checkpoint '
                '(load_from), got none'
            )
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        head = getattr(model.module, 'head', None)
        outputs = getattr(head, 'out_channels', None)
        if None not in (outputs, self.keypoint_names):
            self._check_outputs(outputs)

    def _check_outputs(self, outputs: int | None) -> None:
        if outputs != len(self.keypoint_names or ()):
            raise UserError(
                f'the teacher predicts {outputs} keypoints, the labelled set has '
                f'{len(self.keypoint_names or ())}'
            )

    def _check_names(self, checkpoint: dict) -> None:
        meta = (checkpoint.get('meta') or {}).get('dataset_meta') or {}
        names = meta.get('keypoint_id2name')
        if names is None or self.keypoint_names is None:
            return
        recorded = [names[i] for i in sorted(names)]
        if recorded != list(self.keypoint_names):
            raise UserError(
                f'the teacher checkpoint was trained on the keypoints {recorded}, '
                f'the labelled set has {list(self.keypoint_names)}'
            )


def load_teacher(teacher: nn.Module, checkpoint: Any) -> None:
    """Load a teacher's checkpoint into it, and refuse one that does not fit.

    Args:
        teacher: The pose estimator.
        checkpoint: What was read of its file.

    Raises:
        UserError: If a key is missing, unknown or of another shape.
    """
    weights = checkpoint
    if isinstance(checkpoint, dict):
        weights = checkpoint.get('state_dict', checkpoint)
    if not isinstance(weights, dict):
        raise UserError(
            f'a teacher checkpoint must hold weights by name, got a '
            f'{type(weights).__name__}'
        )
    state_dict = {
        re.sub(r'^module\.', '', key): value for key, value in weights.items()
    }
    try:
        # The model's own hooks rename what older versions saved.
        result = teacher.load_state_dict(state_dict, strict=False)
    except RuntimeError as error:
        raise UserError(
            f'the teacher checkpoint does not fit its model: {_first_misfit(error)}'
        ) from error
    wrong = {
        'misses': [k for k in result.missing_keys if 'num_batches' not in k],
        'has unknown': result.unexpected_keys,
    }
    for what, keys in wrong.items():
        if keys:
            raise UserError(
                f'the teacher checkpoint {what} {len(keys)} of the keys of its '
                f'model {type(teacher).__name__}, the first is {keys[0]}; '
                'give the config it was trained with in distill.teacher.config'
            )


def _first_misfit(error: RuntimeError) -> str:
    """The first key of torch's list of misfits, which can be hundreds long."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[min(1, len(lines) - 1)].split('", ')[0]
