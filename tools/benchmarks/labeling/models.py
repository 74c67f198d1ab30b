"""Published models with meaningful heatmaps without trained weights.

Untrained networks with batch norms are chaotic: rounding the pixels to 8 bits
changes the features behind them by two thirds, and every keypoint with them. With
small scales and positive shifts their rectifiers hardly rectify, and the same
rounding changes the features by a thousandth, as it does in trained networks.
"""

from __future__ import annotations

from typing import Any

import torch

MODELS = {
    'resnet50': 'td-hm_res50_8xb64-210e_coco-256x192.py',
    'vit_b': 'td-hm_ViTPose-base_8xb64-210e_coco-256x192.py',
    'mobilenetv2': 'td-hm_mobilenetv2_8xb64-210e_coco-256x192.py',
}
DEFAULT = ('resnet50', 'mobilenetv2')
"""Models that a CPU runs in a moment."""
CONFIGS = 'mmpose::body_2d_keypoint/topdown_heatmap/coco/'
CODEC = dict(type='UDPHeatmap', input_size=(192, 256), heatmap_size=(48, 64), sigma=2)
GAIN = 0.3
"""Scale of the batch norms; their shift is 1."""
RIDGE = 1e-5
"""Weight of the penalty, relative to the features' mean square."""


def build_model(name: str, data: Any, checkpoint: str | None = None) -> Any:
    """Build a published model with its weights, or fitted to the persons of some data.

    Args:
        name: One of `MODELS`.
        data: A `methods.Data`.
        checkpoint: Weights of this model, by default none.
    """
    from mmengine.config import Config
    from mmengine.hub import get_config
    from mmengine.runner import load_checkpoint
    from mmpose.registry import MODELS as REGISTRY

    config: Config = get_config(CONFIGS + MODELS[name])
    config.model.backbone.init_cfg = None
    config.model.head.decoder = dict(CODEC)
    torch.manual_seed(0)
    model = REGISTRY.build(config.model)
    if checkpoint is None:
        fit(model, data)
    else:
        load_checkpoint(model, checkpoint, strict=True)
    return model.eval()


def recipe_model(config: Any, checkpoint: str) -> Any:
    """Build the model of a recipe with a UDP codec and its trained weights."""
    from mmengine.runner import load_checkpoint
    from mmpose.registry import MODELS as REGISTRY

    model = REGISTRY.build(config.model)
    load_checkpoint(model, checkpoint, strict=True)
    return model.eval()


@torch.no_grad()
def fit(model: Any, data: Any) -> None:
    """Set statistics of batch norms, and solve for the last convolution."""
    codec = dict(type='GenerateTarget', encoder=CODEC)
    size = dict(type='TopdownAffine', input_size=CODEC['input_size'], use_udp=True)
    steps = [dict(type='LoadImage'), dict(type='GetBBoxCenterScale'), size, codec]
    items = list(data.stock([*steps, dict(type='PackPoseInputs')]))
    pixels = dict(inputs=[item['inputs'] for item in items], data_samples=[])
    inputs = model.data_preprocessor(pixels)['inputs']
    targets = torch.stack([i['data_samples'].gt_fields.heatmaps for i in items])
    set_batch_norms(model, inputs)
    features = penultimate_features(model, inputs)
    ones = torch.ones_like(features[:, :1])
    weight = ridge(torch.cat([features, ones], dim=1), rows_of(targets))
    last = model.head.final_layer
    last.weight.copy_(weight[:, :-1, None, None])
    last.bias.copy_(weight[:, -1])


def set_batch_norms(model: Any, inputs: torch.Tensor) -> None:
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
            module.weight.fill_(GAIN)
            module.bias.fill_(1.0)
    model.train()
    model.head.forward(model.extract_feat(inputs))
    model.eval()


def penultimate_features(model: Any, inputs: torch.Tensor) -> torch.Tensor:
    """Collect inputs of the last convolution, one row per cell."""
    seen: list[torch.Tensor] = []
    hook = model.head.final_layer.register_forward_pre_hook(
        lambda _, inputs_of_layer: seen.append(inputs_of_layer[0])
    )
    model.head.forward(model.extract_feat(inputs))
    hook.remove()
    return rows_of(seen[0])


def rows_of(maps: torch.Tensor) -> torch.Tensor:
    """Reshape maps (N, C, h, w) to rows (N * h * w, C), double precision."""
    return maps.movedim(1, -1).flatten(0, 2).double()


def ridge(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Solve the ridge regression from x to y; a row of weights per output."""
    square = x.T @ x
    penalty = RIDGE * square.diagonal().mean() * torch.eye(len(square))
    return torch.linalg.solve(square + penalty.to(square), x.T @ y).T.float()
