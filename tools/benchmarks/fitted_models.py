"""Published models that find something without trained weights."""

from __future__ import annotations

from typing import Any

import torch

MODELS = {
    'resnet50': 'td-hm_res50_8xb64-210e_coco-256x192.py',
    'mobilenetv2': 'td-hm_mobilenetv2_8xb64-210e_coco-256x192.py',
}
CONFIGS = 'mmpose::body_2d_keypoint/topdown_heatmap/coco/'
CODEC = dict(type='UDPHeatmap', input_size=(192, 256), heatmap_size=(48, 64), sigma=2)
RIDGE = 1e-3
"""Weight of the penalty, relative to the features' mean square."""


def build_model(name: str, data: Any) -> Any:
    """A published model, fitted to the persons of some `labeling_ways.Data`."""
    from mmengine.config import Config
    from mmengine.hub import get_config
    from mmpose.registry import MODELS as REGISTRY

    config: Config = get_config(CONFIGS + MODELS[name])
    config.model.backbone.init_cfg = None
    config.model.head.decoder = dict(CODEC)
    torch.manual_seed(0)
    model = REGISTRY.build(config.model)
    fit(model, data)
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
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    model.train()
    last = model.head.final_layer
    features: list[torch.Tensor] = []
    hook = last.register_forward_pre_hook(lambda _, given: features.append(given[0]))
    model.head.forward(model.extract_feat(inputs))
    model.eval()
    features.clear()
    model.head.forward(model.extract_feat(inputs))
    hook.remove()
    x = features[0].movedim(1, -1).flatten(0, 2).double()
    x = torch.cat([x, torch.ones_like(x[:, :1])], dim=1)
    y = targets.movedim(1, -1).flatten(0, 2).double()
    square = x.T @ x
    square += RIDGE * square.diagonal().mean() * torch.eye(len(square)).double()
    weight = torch.linalg.solve(square, x.T @ y).T.float()
    last.weight.copy_(weight[:, :-1, None, None])
    last.bias.copy_(weight[:, -1])
