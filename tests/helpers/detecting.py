"""The real detect loop over five images, with a stub of a detector."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from mmdistill.engine.loops.detect_loop import DetectLoop
from mmdistill.store import LabelStore
from mmdistill.store.manifest import DETECTIONS

PIPELINE = [
    dict(type='LoadImageFromNDArray'),
    dict(type='Resize', scale=(32, 32), keep_ratio=True),
    dict(type='PackDetInputs', meta_keys=('ori_shape', 'scale_factor')),
]
NUM_IMAGES = 5


MODULE = dict(type='RTMDet', test_cfg=dict(nms_pre=9), train_cfg=dict(a=1))


class Detector(torch.nn.Module):
    """Finds the whole image with a score that its name gives, on all but the first."""

    def __init__(self, score_thr: float = 0.05) -> None:
        super().__init__()
        self.module = torch.nn.Linear(1, 1)
        torch.nn.init.ones_(self.module.weight)
        torch.nn.init.ones_(self.module.bias)
        self.score_thr = score_thr
        self.batches: list[int] = []

    def provenance(self) -> dict:
        return dict(score_thr=self.score_thr)

    def test_step(self, samples: list) -> list:
        self.batches.append(len(samples))
        for sample in samples:
            image = sample['image']
            count = int('inputs' in sample and image.path != '0.png')
            height, width = image.ori_shape
            image.pred_instances = InstanceData(
                bboxes=np.float32([[0, 0, width, height]] * count).reshape(-1, 4),
                bbox_scores=np.float32([int(image.path[0]) / 8] * count),
                category_ids=np.int32([4] * count),
            )
        return [sample['image'] for sample in samples]


@pytest.fixture
def detect(tmp_path, write_images, coco_metainfo):
    """Run the loop over five images; returns the detector and the store."""
    write_images(tmp_path / 'pile', *(f'{i}.png' for i in range(NUM_IMAGES)))

    def run(name='boxes', detector=None, **options):
        detector = detector or Detector()
        runner = SimpleNamespace(
            model=detector,
            cfg=dict(load_from='detector.pth', model=dict(module=MODULE)),
            visualizer=SimpleNamespace(),
            call_hook=lambda name, **arguments: None,
        )
        images = dict(
            type='mmdistill.UnlabeledDataset',
            metainfo=coco_metainfo,
            data_root=str(tmp_path / 'pile'),
        )
        dataset = dict(
            type='mmdistill.DetectionDataset', images=images, pipeline=PIPELINE
        )
        loader = dict(batch_size=2, num_workers=0, dataset=dataset)
        loader |= options.pop('loader', {})
        options = dict(boxes=str(tmp_path / name), chunk_size=3) | options
        DetectLoop(runner, loader, **options).run()
        return detector, LabelStore(tmp_path / name, DETECTIONS)

    return run
