"""A model of a published config with random weights, and persons to see with it."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from mmengine.dataset import Compose, pseudo_collate
from mmengine.hub import get_config
from mmengine.registry import init_default_scope
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.models import build_pose_estimator
from mmpose.registry import DATASETS
from torch import Tensor, nn

from mmdistill.functional.crops import Crops
from mmdistill.functional.fusion import Rows
from mmdistill.functional.views import View
from mmdistill.models import HeatmapFusionTTA
from tests.helpers.published import Published

SCALES = (1.0, 1.25, 0.8)
READOUTS = ('fc', 'mlp_head_x', 'mlp_head_y', 'cls_x', 'cls_y')
"""Last layers whose usual random weights are too small to tell places apart."""
BOXES = np.array([[70, 40, 150, 170], [150, 60, 260, 150]], dtype=np.float32)


class Crew:
    """A model of a published config, and two persons to see with it."""

    def __init__(self, published: Published) -> None:
        init_default_scope('mmpose')
        self.published = published
        config = get_config(f'mmpose::{published.config}.py')
        dataset = config.test_dataloader.dataset
        metainfo = parse_pose_metainfo(DATASETS.get(dataset.type).METAINFO)
        self.flip_indices = metainfo['flip_indices']
        self.estimator = sane_estimator(config.model, published)
        head = getattr(self.estimator.head, 'pose_head', self.estimator.head)
        self.decode = head.decode
        codec = getattr(head.decoder, 'keypoint_codec', head.decoder)
        self.input_size = tuple(int(i) for i in codec.input_size)
        affine = next(s for s in dataset.pipeline if s['type'] == 'TopdownAffine')
        self.use_udp = affine.get('use_udp', False)
        self.items = {scale: self._items(scale) for scale in SCALES}
        self._calibrate()

    def _items(self, scale: float) -> list[dict]:
        """What MMPose's own pipeline makes of the two persons, boxes scaled."""
        pipeline = Compose(
            [
                dict(type='GetBBoxCenterScale', padding=1.25 / scale),
                dict(
                    type='TopdownAffine',
                    input_size=self.input_size,
                    use_udp=self.use_udp,
                ),
                dict(type='PackPoseInputs'),
            ]
        )
        return [
            pipeline(
                dict(
                    img=picture(),
                    img_id=1,
                    id=1,
                    bbox=box[None],
                    bbox_score=np.ones(1, dtype=np.float32),
                    flip_indices=self.flip_indices,
                )
            )
            for box in BOXES
        ]

    def pixels(self, view: View) -> Tensor:
        """The crops of both persons in a view, (2, 3, H, W)."""
        pixels = torch.stack([item['inputs'] for item in self.items[view.scale]])
        return pixels.flip(-1) if view.flip else pixels

    def cells(self, scale: float, i: int, cells: int) -> np.ndarray:
        """Where a scaled crop shows the cells of the reference crop, (2, cells).

        Args:
            scale: Magnification of the image.
            i: The axis, 0 for x.
            cells: Number of cells along it.
        """
        middle = self.published.middle
        cell = np.arange(cells) + middle
        shares = cell / (cells - 1 if self.use_udp else cells)
        shown = []
        for reference, item in zip(self.items[1.0], self.items[scale], strict=True):
            low, high = (each['data_samples'].metainfo for each in (reference, item))
            left = low['input_center'][i] - low['input_scale'][i] / 2
            x = left + shares * low['input_scale'][i]
            left = high['input_center'][i] - high['input_scale'][i] / 2
            share = (x - left) / high['input_scale'][i]
            shown.append(share * (cells - 1 if self.use_udp else cells) - middle)
        # An edge that is met exactly must not be missed by rounding.
        return np.stack(shown).round(5)

    @property
    def crops(self) -> Crops:
        """Where the reference crops lie."""
        metainfos = [item['data_samples'].metainfo for item in self.items[1.0]]
        centers, extents = (
            torch.from_numpy(np.stack([each[key] for each in metainfos])).float()
            for key in ('input_center', 'input_scale')
        )
        return Crops(centers, extents, extents.prod(1))

    @torch.no_grad()
    def _calibrate(self) -> None:
        """Give batch-norm layers the statistics of the crops."""
        for layer in self.estimator.modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                layer.reset_running_stats()
                layer.momentum = None
                layer.train()
        self.output(torch.cat([self.pixels(View()), self.pixels(View(1.25))]))
        self.estimator.eval()

    @torch.no_grad()
    def output(self, pixels: Tensor) -> Any:
        """What the head returns for crops."""
        data = dict(inputs=list(pixels), data_samples=[])
        inputs = self.estimator.data_preprocessor(data)['inputs']
        return self.estimator.head.forward(self.estimator.extract_feat(inputs))

    def predict(self, scale: float = 1.0, **test_cfg: Any) -> dict[str, np.ndarray]:
        """MMPose's own predictions, from the crops of a scale."""
        self.estimator.test_cfg = test_cfg
        batch = pseudo_collate(copy.deepcopy(self.items[scale]))
        found = [s.pred_instances for s in self.estimator.test_step(batch)]
        names = 'keypoints', 'keypoint_scores', 'keypoints_visible'
        return {name: np.concatenate([i[name] for i in found]) for name in names}

    def fuse(self, **views: Any) -> Any:
        """Our fused poses, from the same crops."""
        plainly = dict(channels_last=False, fold_batch_norm=False)
        wrapper = HeatmapFusionTTA(
            self.estimator, use_udp=self.use_udp, **plainly, **views
        )

        def crops_of(view: View, rows: Rows) -> Tensor:
            return self.pixels(view)[rows]

        return wrapper.fuse_crops(crops_of, self.crops, self.flip_indices)

    def to_image(self, instances: list) -> dict[str, np.ndarray]:
        """Decoded instances in the image, as MMPose moves them there."""
        samples = copy.deepcopy([item['data_samples'] for item in self.items[1.0]])
        self.estimator.test_cfg = {}
        moved = self.estimator.add_pred_to_datasample(instances, None, samples)
        return {
            name: np.concatenate([s.pred_instances[name] for s in moved])
            for name in ('keypoints', 'keypoint_scores', 'keypoints_visible')
        }


def picture() -> np.ndarray:
    """An image (200, 320, 3) of smooth noise."""
    generator = torch.Generator().manual_seed(7)
    noise = torch.rand(1, 3, 25, 40, generator=generator)
    image = nn.functional.interpolate(noise, scale_factor=8, mode='bicubic')
    return (image[0].permute(1, 2, 0) * 255).clamp(0, 255).byte().numpy()


def sane_estimator(model: dict, published: Published) -> nn.Module:
    """The model with random weights that make no output constant."""
    model = without_pretrained(model)
    head = model['head'].get('pose_cfg', model['head'])
    head.update(published.head)
    head['decoder'].update(published.codec)
    torch.manual_seed(0)
    estimator = build_pose_estimator(model)
    estimator.init_weights()
    for name, layer in estimator.head.named_modules():
        if name.rpartition('.')[2] in READOUTS:
            nn.init.normal_(layer.weight, std=0.05)
        elif name == 'simplebaseline_head.final_layer':
            nn.init.normal_(layer.weight, std=0.5)
    return estimator


def without_pretrained(settings: Any) -> Any:
    """Settings without the names of pretrained weights."""
    if isinstance(settings, (list, tuple)):
        return type(settings)(without_pretrained(each) for each in settings)
    if not isinstance(settings, dict):
        return settings
    return {
        key: without_pretrained(value)
        for key, value in settings.items()
        if key not in ('init_cfg', 'pretrained')
    }
