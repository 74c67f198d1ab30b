"""Boxes of the real detector, compared with MMDetection's own inference."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.apis import inference_detector
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import CheckpointLoader

from mmdistill.datasets import DetectionDataset
from mmdistill.engine.checkpoint import load_checkpoint_strict
from mmdistill.errors import UserError
from mmdistill.functional.boxes import boxes_on_image, distinct_boxes
from mmdistill.models import BoxDetector
from mmdistill.stages.detect_config import FLIPPED, MERGED
from tests.helpers.metainfo import COCO
from tests.helpers.recipes import DETECTOR

SIZES = [(48, 64), (120, 30), (48, 64), (90, 90)]
"""Heights and widths of the images; the second is padded to the size of the first."""


@pytest.fixture(scope='module')
def config() -> Config:
    """The toy detector's own config; its images keep their shape and get no frame."""
    config = Config.fromfile(DETECTOR)
    pipeline = config.test_dataloader.dataset.pipeline
    config.test_dataloader.dataset.pipeline = [
        step for step in pipeline if step.type != 'Pad'
    ]
    return config


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    """Images of several sizes, and one that is none."""
    folder = tmp_path_factory.mktemp('images')
    rng = np.random.default_rng(0)
    for number, (height, width) in enumerate(SIZES):
        image = rng.integers(0, 256, (height, width, 3), np.uint8)
        cv2.imwrite(str(folder / f'{number}.png'), image)
    (folder / '9.png').write_text('no image')
    return folder


@pytest.fixture(scope='module')
def detector(config, detector_file):
    """Build the detector with its weights."""

    def build(**options) -> BoxDetector:
        model = BoxDetector(config.model, **options)
        weights = CheckpointLoader.load_checkpoint(str(detector_file), 'cpu')
        load_checkpoint_strict(model.module, weights, 'detector')
        model.set_classes(('person',), dict(person=7))
        return model.eval()

    return build


def samples(config: Config, folder: Path, pipeline=None) -> list[dict]:
    pipeline = list(pipeline or config.test_dataloader.dataset.pipeline)
    pipeline[0] = dict(type='LoadImageFromNDArray')
    images = dict(
        type='mmdistill.UnlabeledDataset', metainfo=dict(COCO), data_root=str(folder)
    )
    dataset = DetectionDataset(images, pipeline)
    return [dataset[number] for number in range(len(dataset))]


def counted(found, height: int, width: int, score_thr=0.05, nms_thr=0.5):
    """What of a peer's boxes counts, and with which score."""
    boxes = boxes_on_image(found.pred_instances.bboxes.numpy(), width, height)
    scores = found.pred_instances.scores.numpy()
    labels = found.pred_instances.labels.numpy()
    stay = distinct_boxes(boxes, scores, labels, score_thr, nms_thr)
    return boxes[stay], scores[stay]


def test_boxes_are_those_of_mmdetection_s_own_inference(config, folder, detector):
    model = detector()
    model.module.cfg = config

    found = model.test_step(samples(config, folder))

    for number, size in enumerate(SIZES):
        image = cv2.imread(str(folder / f'{number}.png'))
        with DefaultScope.overwrite_default_scope('mmdet'):
            peer = inference_detector(model.module, image)
        boxes, scores = counted(peer, *size)
        instances = found[number].pred_instances
        assert len(boxes) > 1
        assert instances.bboxes == pytest.approx(boxes, abs=2 / 64)
        assert instances.bbox_scores == pytest.approx(scores, abs=1 / 1024)
        assert instances.category_ids.tolist() == [7] * len(boxes)


def test_an_image_that_failed_has_no_boxes_and_keeps_its_position(
    config, folder, detector
):
    *_, broken = detector().test_step(samples(config, folder))

    assert (broken.path, broken.status) == ('9.png', 'failed')
    assert len(broken.pred_instances) == 0
    assert broken.pred_instances.bboxes.shape == (0, 4)


def test_images_beside_it_do_not_change_an_image(config, folder, detector):
    model, together = detector(), samples(config, folder)
    found = [image.pred_instances for image in model.test_step(together)]

    for sample, expected in zip(samples(config, folder), found, strict=True):
        (alone,) = model.test_step([sample])
        assert np.array_equal(alone.pred_instances.bboxes, expected.bboxes)


def test_views_are_merged_as_mmdetection_merges_them(config, folder, detector):
    from mmdet.models import DetTTAModel
    from mmengine.dataset import pseudo_collate

    plain = config.test_dataloader.dataset.pipeline
    pipeline = [*plain[:-1], FLIPPED]
    model = detector(tta_model=Config(MERGED)._cfg_dict)
    first = samples(config, folder, pipeline)[0]
    batch = {key: first[key] for key in ('inputs', 'data_samples')}

    (found,) = model.test_step([first])

    peer = DetTTAModel(tta_cfg=Config(MERGED).tta_cfg, module=model.module)
    (merged,) = peer.test_step(pseudo_collate([batch]))
    boxes, _ = counted(merged, *SIZES[0])
    (alone,) = detector().test_step(samples(config, folder)[:1])
    assert found.pred_instances.bboxes == pytest.approx(boxes, abs=2 / 64)
    assert not np.array_equal(found.pred_instances.bboxes, alone.pred_instances.bboxes)


def test_without_classes_every_one_counts_by_its_number(config, folder, detector):
    model = BoxDetector(config.model).eval()
    model.module.load_state_dict(detector().module.state_dict())

    found = model.test_step(samples(config, folder))

    for alone, named in zip(
        found, detector().test_step(samples(config, folder)), strict=True
    ):
        boxes = alone.pred_instances
        assert np.array_equal(boxes.bboxes, named.pred_instances.bboxes)
        assert boxes.category_ids.tolist() == [1] * len(boxes)
    assert len(found[0].pred_instances) > 1


def test_classes_that_do_not_count_are_left_out(config, folder, detector):
    model = detector()
    model.set_classes(('person',), {})

    found = model.test_step(samples(config, folder)[:1])

    assert len(found[0].pred_instances) == 0


@pytest.mark.parametrize(
    'model',
    [
        dict(type='TopdownPoseEstimator', _scope_='mmpose'),
        dict(type='mmdet.ResNet'),
        dict(type='Unknown'),
    ],
)
def test_another_model_is_refused(model):
    with pytest.raises(
        UserError, match=f'of MMDetection, its model is {model["type"]}'
    ):
        BoxDetector(model)


@pytest.mark.parametrize('name', ['score_thr', 'nms_thr'])
def test_a_threshold_is_a_share(config, name):
    with pytest.raises(UserError, match=rf'detector\.{name} must be 0 to 1, got 1\.5'):
        BoxDetector(config.model, **{name: 1.5})


def test_detectors_of_masks_are_not_augmented(config, monkeypatch):
    from mmdet.models.detectors import BaseDetector

    monkeypatch.setattr(BaseDetector, 'with_mask', True)

    with pytest.raises(UserError, match=r'detector\.tta: .* as RTMDet does here'):
        BoxDetector(config.model, tta_model=Config(MERGED)._cfg_dict)


def test_batch_norms_of_several_processes_run_alone(config):
    model = Config(dict(model=config.model)).model
    model.backbone.norm_cfg = dict(type='SyncBN')

    built = BoxDetector(model)

    kinds = {type(module) for module in built.modules()}
    assert torch.nn.SyncBatchNorm not in kinds
