"""The real loop, store and data set; a stub stands for the network."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from mmdistill.engine.loops.detect_loop import DetectLoop
from mmdistill.errors import UserError
from mmdistill.store import LabelStore
from mmdistill.store.manifest import DETECTIONS
from tests.datasets.test_detection_dataset import PIPELINE

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
        options = dict(boxes=str(tmp_path / name), chunk_size=3) | options
        DetectLoop(runner, loader, **options).run()
        return detector, LabelStore(tmp_path / name, DETECTIONS)

    return run


def test_every_image_is_a_row_with_its_boxes(detect):
    _, store = detect()

    held = store.read()

    assert held.paths.to_pylist() == [f'{i}.png' for i in range(NUM_IMAGES)]
    assert held.image_index.tolist() == [1, 2, 3, 4]
    assert held.candidates.bboxes.tolist() == [[0, 0, 64, 48]] * 4
    assert held.candidates.bbox_scores.tolist() == [0.125, 0.25, 0.375, 0.5]
    assert held.candidates.instance_scores.tolist() == [0.125, 0.25, 0.375, 0.5]
    assert held.candidates.category_ids.tolist() == [4] * 4


def test_only_a_lost_chunk_is_looked_at_again(detect):
    _, store = detect()
    path = store.root / 'chunks/000001.parquet'
    before = path.read_bytes()
    path.unlink()

    detector, _ = detect()

    assert sum(detector.batches) == 2
    assert path.read_bytes() == before


def test_another_floor_is_refused_with_the_difference(detect):
    detect()

    with pytest.raises(
        UserError, match=r'detector\.score_thr: the store has 0\.05, this run 0\.3'
    ):
        detect(detector=Detector(score_thr=0.3))


def test_other_weights_are_refused(detect):
    detect()
    detector = Detector()
    torch.nn.init.zeros_(detector.module.bias)

    with pytest.raises(UserError, match=r'detector\.weights: the store has'):
        detect(detector=detector)


def test_what_is_about_training_or_its_order_does_not_matter(detect, monkeypatch):
    detect()
    others = dict(reversed(MODULE.items()), train_cfg=None, _scope_='mmdet')
    monkeypatch.setattr('tests.engine.loops.test_detect_loop.MODULE', others)
    detect()
    changed = dict(MODULE, test_cfg=dict(nms_pre=8))
    monkeypatch.setattr('tests.engine.loops.test_detect_loop.MODULE', changed)

    with pytest.raises(UserError, match=r'test_cfg\.nms_pre: the store has 9, .* 8'):
        detect()


def test_a_broken_image_is_a_row_with_its_reason(detect, tmp_path):
    (tmp_path / 'pile/2.png').write_text('no image')

    _, store = detect(max_failures=0.2)

    assert store.read().failures[2] == 'not an image: no header that Pillow reads'


def test_a_folder_is_needed(detect):
    with pytest.raises(UserError, match='DetectLoop needs a folder for the boxes'):
        detect(boxes='')
