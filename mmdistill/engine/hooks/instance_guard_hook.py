"""Hook that names a batch without an instance, on which a student has no loss."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpose.models.heads.hybrid_heads import RTMOHead, YOLOXPoseHead

from mmdistill.engine.runner import unwrap_model
from mmdistill.errors import DataError
from mmdistill.registry import HOOKS


@HOOKS.register_module()
class InstanceGuardHook(Hook):
    """Stop a training at a batch whose images have no instance left.

    RTMO, and YOLOX-Pose in its last epochs, fail there without a word on the data.
    Pseudo-labeled images always have an instance, so this can come in a finish on
    labeled ones alone, or in small batches of another sampler.

    Raises:
        DataError: If a batch has no instance and the head needs one.
    """

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Look for an instance in the batch.

        Args:
            runner: The runner of the training stage.
            batch_idx: Number of the batch in its epoch.
            data_batch: The batch.

        Raises:
            DataError: If there is none and the head needs one.
        """
        samples = data_batch['data_samples']
        if any(len(sample.gt_instance_labels) for sample in samples):
            return
        head = getattr(unwrap_model(runner.model), 'head', None)
        regresses = isinstance(head, YOLOXPoseHead) and head.use_aux_loss
        if isinstance(head, RTMOHead) or regresses:
            raise DataError(
                f'none of the {len(samples)} images of iteration {runner.iter} has an '
                f'instance left after augmentation, and a {type(head).__name__} has no '
                'loss on such a batch; raise train_dataloader.batch_size, or soften '
                'the pipeline of the labeled set'
            )
