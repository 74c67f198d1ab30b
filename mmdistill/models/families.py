"""Which family of heads a model belongs to, asked of what its head returns."""

from __future__ import annotations

from typing import Any

import torch
from mmpose.models import BottomupPoseEstimator

from mmdistill.errors import UserError
from mmdistill.models.adapter import Adapter
from mmdistill.models.heatmap_adapter import HeatmapAdapter, last_stage

FUSABLE = 'top-down estimators whose head returns one heatmap per keypoint'


def build_adapter(module: Any, use_udp: bool | None = None) -> Adapter:
    """The adapter for a model's head.

    Args:
        module: A pose estimator of MMPose.
        use_udp: Whether crops are cut with MMPose's UDP warp; by default as the
            model's codec needs it.

    Raises:
        UserError: If the model's head is of no family that can be fused.
    """
    decoder = getattr(getattr(module, 'head', None), 'decoder', None)
    if not hasattr(decoder, 'heatmap_size'):
        raise _refusal(module, 'it has no codec of heatmaps')
    if isinstance(module, BottomupPoseEstimator):
        raise _refusal(module, 'it works bottom-up')
    output = last_stage(_head_output(module))
    width, height = (int(length) for length in module.head.decoder.heatmap_size)
    if not isinstance(output, torch.Tensor) or output.shape[2:] != (height, width):
        raise _refusal(module, f'it returns {_described(output)}')
    return HeatmapAdapter(module.head, use_udp)


def _refusal(module: Any, reason: str) -> UserError:
    name = type(getattr(module, 'head', module)).__name__
    return UserError(
        f'{name} can not be fused: {reason}; what can be fused are {FUSABLE}'
    )


@torch.no_grad()
def _head_output(module: Any) -> Any:
    """What the head returns for one blank input."""
    width, height = (int(length) for length in module.head.decoder.input_size)
    parameter = next(module.parameters())
    blank = torch.zeros(1, 3, height, width, device=parameter.device)
    training = module.training
    module.eval()
    output = module.head.forward(module.extract_feat(blank))
    module.train(training)
    return output


def _described(output: object) -> str:
    if isinstance(output, torch.Tensor):
        return f'a tensor of shape {tuple(output.shape)}'
    if isinstance(output, (list, tuple)):
        return f'a {type(output).__name__} of {len(output)}'
    return f'a {type(output).__name__}'
