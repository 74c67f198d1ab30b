"""A teacher whose checkpoint does not fit labels nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

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
        self._check_names(checkpoint)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        state_dict = {
            re.sub(r'^module\.', '', key): value
            for key, value in checkpoint.get('state_dict', checkpoint).items()
        }
        try:
            # A trial load: the model's own hooks rename what older versions saved.
            result = model.module.load_state_dict(state_dict, strict=True)
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
                    f'model {type(model.module).__name__}, the first is {keys[0]}; '
                    'give the config it was trained with in distill.teacher.config'
                )
        self._loaded = True

    def before_test(self, runner: Runner) -> None:
        """Make sure that a checkpoint was loaded at all.

        Args:
            runner: The runner.

        Raises:
            UserError: If none was.
        """
        if not self._loaded:
            raise UserError(
                'a teacher needs its trained weights: give distill.teacher.checkpoint '
                '(load_from), got none'
            )

    def _check_names(self, checkpoint: dict) -> None:
        meta = checkpoint.get('meta', {}).get('dataset_meta') or {}
        names = meta.get('keypoint_id2name')
        if names is None or self.keypoint_names is None:
            return
        recorded = [names[i] for i in sorted(names)]
        if recorded != list(self.keypoint_names):
            raise UserError(
                f'the teacher checkpoint was trained on the keypoints {recorded}, '
                f'the labelled set has {list(self.keypoint_names)}'
            )


def _first_misfit(error: RuntimeError) -> str:
    """The first key of torch's list of misfits, which can be hundreds long."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[min(1, len(lines) - 1)].split('", ')[0]
