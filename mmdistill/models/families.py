"""Which family of heads a model belongs to, asked of what its head returns."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from mmdistill.errors import UserError
from mmdistill.models.heatmap_adapter import HeatmapAdapter, heatmap_axes

FUSABLE = 'top-down estimators whose head returns one heatmap per keypoint'


def build_adapter(module: Any, use_udp: bool) -> HeatmapAdapter:
    """The adapter for a model's head.

    Args:
        module: A pose estimator of MMPose.
        use_udp: Whether crops are cut with MMPose's UDP warp.

    Raises:
        UserError: If the model's head is of no family that can be fused.
    """
    output = _head_output(module)
    width, height = (int(length) for length in module.head.decoder.heatmap_size)
    if not isinstance(output, torch.Tensor) or output.shape[2:] != (height, width):
        raise UserError(
            f'{type(module.head).__name__} can not be fused: it returns '
            f'{_described(output)}; what can be fused are {FUSABLE}'
        )
    return HeatmapAdapter(module.head, use_udp)


def needs_udp(module: Any) -> bool:
    """Whether a model's codec expects crops cut with MMPose's UDP warp.

    A UDP codec decodes its last cell to the far edge of the input.

    Raises:
        UserError: If the model has no codec of heatmaps.
    """
    axis = heatmap_axes(_decoder(module), use_udp=False)[0]
    return bool(np.isclose(axis.stride * (axis.cells - 1), axis.pixels))


def _decoder(module: Any) -> Any:
    decoder = getattr(getattr(module, 'head', None), 'decoder', None)
    if not hasattr(decoder, 'heatmap_size'):
        part = getattr(module, 'head', module)
        raise UserError(
            f'{type(part).__name__} can not be fused: it has no codec of heatmaps; '
            f'what can be fused are {FUSABLE}'
        )
    return decoder


@torch.no_grad()
def _head_output(module: Any) -> Any:
    """What the head returns for one blank input."""
    width, height = (int(length) for length in _decoder(module).input_size)
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
