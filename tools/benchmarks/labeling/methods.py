"""The two labeling methods that the benchmark compares, and their data."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

Poses = dict[tuple[Any, ...], np.ndarray]
"""Keypoints, (K, 2), by image and box."""


class Data:
    """Images with annotated persons, as both sides read them.

    Args:
        annotations: A COCO json of persons with keypoints.
        images: Its folder of images.
        count: How many images to use, those with annotated persons first come.
        folder: Where to write the reduced files.
        metainfo: Of the data set, by default COCO's.
    """

    def __init__(
        self,
        annotations: Path,
        images: Path,
        count: int,
        folder: Path,
        metainfo: dict | None = None,
    ) -> None:
        self.metainfo = metainfo
        content = json.loads(annotations.read_text())
        persons = [
            person
            for person in content['annotations']
            if person['num_keypoints'] and not person['iscrowd']
        ]
        shown = {person['image_id'] for person in persons}
        content['images'] = [i for i in content['images'] if i['id'] in shown][:count]
        kept = {image['id'] for image in content['images']}
        content['annotations'] = [p for p in persons if p['image_id'] in kept]
        self.images = images
        self.ann_file = folder / 'annotations.json'
        self.ann_file.write_text(json.dumps(content))
        self.boxes = folder / 'boxes.json'
        self.boxes.write_text(json.dumps([self._box(item) for item in self.stock([])]))

    def stock(self, pipeline: list) -> Any:
        """Build MMPose's data set, one item per person."""
        from mmpose.datasets import CocoDataset

        return CocoDataset(
            metainfo=self.metainfo,
            ann_file=str(self.ann_file),
            data_prefix=dict(img=f'{self.images.resolve()}/'),
            pipeline=pipeline,
            test_mode=True,
        )

    def ours(self) -> Any:
        """Build the data set of mmdistill, one item per image."""
        from mmpose.datasets import CocoDataset

        from mmdistill.datasets import UnlabeledDataset

        return UnlabeledDataset(
            metainfo=self.metainfo or CocoDataset.METAINFO,
            data_prefix=dict(img=str(self.images.resolve())),
            ann_file=str(self.ann_file),
            bbox_file=str(self.boxes),
        )

    @staticmethod
    def _box(item: dict) -> dict:
        left, top, right, bottom = item['bbox'][0].tolist()
        return dict(
            image_id=item['img_id'],
            category_id=1,
            bbox=[left, top, right - left, bottom - top],
            score=1.0,
        )


class Stock:
    """Labeling with stock MMPose: a data set of persons, a forward pass per view."""

    def __init__(self, data: Data, model: Any, options: argparse.Namespace) -> None:
        from mmengine.dataset import Compose

        from mmdistill.functional.inverse_views import inverse_of
        from mmdistill.functional.views import View
        from mmdistill.models.adapters.build import build_adapter

        self.model, self.options = model, options
        size = model.head.decoder.input_size
        views = [Compose(cutting(1.25 / scale, size)) for scale in options.scales]
        augmentation = dict(type='TestTimeAug', transforms=[views])
        pipeline = [dict(type='LoadImage'), without_dataset, augmentation]
        self.dataset = data.stock(pipeline)
        self.flip_indices = self.dataset.metainfo['flip_indices']
        adapter, device = build_adapter(model), torch.device(options.device)
        self.undo = [
            inverse_of(View(scale), adapter.frame, adapter.axes).to(device)
            for scale in options.scales
        ]

    @torch.no_grad()
    def __call__(self) -> Poses:
        """Predict keypoints in pixels of the image."""
        poses = {}
        for batch in loader(self.dataset, self.options.persons, self.options):
            fused = self._fuse(batch['inputs'])
            samples = batch['data_samples'][0]
            for sample, instances in zip(samples, fused, strict=True):
                meta = sample.metainfo
                extent = meta['input_scale'] * self.options.scales[0]
                shown = instances.keypoints[0] / meta['input_size'] - 0.5
                key = key_of(sample, sample.gt_instances.bboxes[0])
                poses[key] = meta['input_center'] + shown * extent
        return poses

    def _fuse(self, views: list) -> list:
        from mmpose.models.utils.tta import flip_heatmaps

        from mmdistill.functional.fusion import MaskedMean

        mean = MaskedMean(len(views[0]))
        for view, undo in zip(views, self.undo, strict=True):
            batch = dict(inputs=list(view), data_samples=[])
            inputs = self.model.data_preprocessor(batch)['inputs']
            mean.add(undo(self._forward(inputs)), undo.coverage)
            if self.options.flip:
                mirrored = self._forward(inputs.flip(-1))
                back = flip_heatmaps(mirrored, self.flip_indices, shift_heatmap=False)
                mean.add(undo(back), undo.coverage)
        return self.model.head.decode(mean.result())

    def _forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.model.head.forward(self.model.extract_feat(inputs))


class Ours:
    """Labeling with mmdistill in one mode; also its bare forward passes."""

    def __init__(
        self, data: Data, model: Any, options: argparse.Namespace, **mode: Any
    ) -> None:
        from mmdistill.models import HeatmapFusionTTA

        self.dataset, self.options = data.ours(), options
        views = dict(scales=options.scales, flip=options.flip)
        batch = dict(forward_batch_size=options.crops)
        fusing = HeatmapFusionTTA(model, **views, **batch, **mode)
        self.model = fusing.eval().to(options.device)
        self.seen: list[tuple[int, ...]] = []

    def __call__(self) -> Poses:
        """Predict keypoints in pixels of the image."""
        poses = {}
        for batch in loader(self.dataset, self.options.images_per_batch, self.options):
            for sample in self.model.test_step(batch):
                instances = sample.pred_instances
                for box, keypoints in zip(
                    instances.bboxes, instances.keypoints, strict=True
                ):
                    poses[key_of(sample, box)] = keypoints
        return poses

    def watch_batches(self) -> None:
        """Label once and record the shapes of the forward passes."""
        (teacher,) = self.model.teachers
        network = teacher.network

        def noting(inputs: torch.Tensor) -> Any:
            self.seen.append(tuple(inputs.shape))
            return network(inputs)

        noting.refresh_if_changed = network.refresh_if_changed  # type: ignore[attr-defined]
        teacher.network = noting
        self()
        teacher.network = network
        layout = torch.channels_last
        self.inputs = {
            shape: torch.randn(shape, device=self.options.device).contiguous(
                memory_format=layout
            )
            for shape in set(self.seen)
        }

    @torch.no_grad()
    def bare(self) -> None:
        """Run the same forward passes only."""
        for shape in self.seen:
            self.model.network(self.inputs[shape])


def without_dataset(results: dict) -> dict:
    """Transform that drops what `TestTimeAug` would copy."""
    results.pop('dataset', None)
    return results


def cutting(padding: float, size: tuple[int, int]) -> list[dict]:
    """Cut a view of one person as MMPose's pipelines do."""
    return [
        dict(type='GetBBoxCenterScale', padding=padding),
        dict(type='TopdownAffine', input_size=size, use_udp=True),
        dict(type='PackPoseInputs'),
    ]


def loader(dataset: Any, batch_size: int, options: argparse.Namespace) -> Any:
    from mmengine.dataset import pseudo_collate
    from torch.utils.data import DataLoader

    return DataLoader(
        dataset, batch_size, num_workers=options.workers, collate_fn=pseudo_collate
    )


def key_of(sample: Any, box: np.ndarray) -> tuple[Any, ...]:
    return Path(sample.metainfo['img_path']).name, *np.round(box, 1).tolist()
