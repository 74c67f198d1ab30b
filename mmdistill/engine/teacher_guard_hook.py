"""A teacher whose checkpoint does not fit labels nothing."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner.checkpoint import CheckpointLoader

from mmdistill.config_types import is_type
from mmdistill.engine import checkpoint as _loaders  # noqa: F401  (registers them)
from mmdistill.engine.fitting_weights import load_fitting
from mmdistill.errors import UserError
from mmdistill.metainfo import in_number_order
from mmdistill.registry import HOOKS

if TYPE_CHECKING:
    from mmengine.runner import Runner


def check_keypoint_count(model: Any, labeled: int) -> None:
    """Make sure that a teacher gives out as many keypoints as the labels have.

    Args:
        model: The fusing wrapper of the teacher.
        labeled: Keypoints of the labeled set.

    Raises:
        UserError: If it gives out another number.
    """
    predicted = model.num_keypoints
    if predicted != labeled:
        raise UserError(
            f'the teacher predicts {predicted} keypoints, the labelled set has '
            f'{labeled}'
        )


def check_keypoint_names(
    checkpoint: Mapping[str, Any], wanted: Sequence[str] | None
) -> None:
    """Make sure that a teacher was trained on the keypoints of the labels.

    Args:
        checkpoint: The teacher's checkpoint; one that records no names passes.
        wanted: Names of the labels' keypoints, (K,); None if they are not known.

    Raises:
        UserError: If it records other names.
    """
    meta = (checkpoint.get('meta') or {}).get('dataset_meta') or {}
    names = meta.get('keypoint_id2name')
    if names is None or wanted is None:
        return
    recorded = list(in_number_order(names).values())
    if recorded != list(wanted):
        raise UserError(
            f'the teacher checkpoint was trained on the keypoints {recorded}, '
            f'the labelled set has {list(wanted)}'
        )


def check_teacher(stage: Config) -> None:
    """Compare a teacher with its checkpoint, before any unlabeled image is looked for.

    Args:
        stage: The config of stage 1; a checkpoint that is not a file of this machine
            is left to the run itself.

    Raises:
        UserError: If the checkpoint does not fit the teacher, or the teacher's
            keypoints are not those of the labels.
    """
    if not Path(str(stage.load_from)).is_file():
        return
    guard = next(
        each for each in stage.custom_hooks if is_type(each, 'TeacherGuardHook')
    )
    names = guard.get('keypoint_names')
    init_default_scope(stage.get('default_scope') or 'mmpose')
    checkpoint = CheckpointLoader.load_checkpoint(stage.load_from, map_location='cpu')
    if isinstance(checkpoint, dict):
        check_keypoint_names(checkpoint, names)
    model = MODELS.build(copy.deepcopy(stage.model))
    load_fitting(model.module, checkpoint)
    check_keypoint_count(model, len(names))


@HOOKS.register_module()
class TeacherGuardHook(Hook):
    """Refuse a teacher that is not wholly loaded from its checkpoint.

    MMEngine only warns when keys are missing, and goes on with random weights.

    Args:
        keypoint_names: Keypoints that the labels shall have. A checkpoint that
            records others is refused.
        role: 'teacher', or 'tested' where a model is evaluated.
    """

    priority = 'VERY_HIGH'

    def __init__(
        self, keypoint_names: Sequence[str] | None = None, role: str = 'teacher'
    ) -> None:
        self.keypoint_names = keypoint_names
        self.role = role
        self._loaded = False

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare the checkpoint with the model, key by key.

        Args:
            runner: The runner; its model is the fusing wrapper of the teacher.
            checkpoint: What was loaded.

        Raises:
            UserError: If a weight is missing or of another shape, or the checkpoint
                is of another network or records other keypoints.
        """
        if isinstance(checkpoint, dict):
            check_keypoint_names(checkpoint, self.keypoint_names)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        weights = load_fitting(model.module, checkpoint, self.role)
        if isinstance(checkpoint, dict):
            # The host loads it once more, and would list all that is left out.
            checkpoint['state_dict'] = weights
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
        if self.keypoint_names is not None:
            check_keypoint_count(model, len(self.keypoint_names))
