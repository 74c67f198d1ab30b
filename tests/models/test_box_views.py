"""Views of real detectors, few channels wide, against MMDetection's own predictions."""

from __future__ import annotations

import copy
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.apis import inference_detector
from mmdet.models import DetTTAModel
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope

from mmdistill.config.detector_options import BoxViewsConfig
from mmdistill.datasets import DetectionDataset
from mmdistill.errors import UserError
from mmdistill.functional.boxes import boxes_on_image, distinct_boxes
from mmdistill.models import BoxDetector
from mmdistill.stages.box_views import view_pipelines
from mmdistill.stages.detect_config import FLIPPED
from tests.helpers.box_recipes import detector_pipeline, lively, small_detector
from tests.helpers.metainfo import COCO

KINDS = ('faster_rcnn', 'retinanet', 'fcos', 'rtmdet', 'yolox')
HEIGHT, WIDTH = 48, 70
THRS = dict(score_thr=0.0, nms_thr=0.5)


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    """One image whose sides the sizes of the network do not divide."""
    folder = tmp_path_factory.mktemp('images')
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    cv2.imwrite(str(folder / '0.png'), image)
    return folder


@pytest.fixture(scope='module')
def configs() -> dict[str, Config]:
    """The configs of all kinds, read once."""
    return {kind: small_detector(kind) for kind in KINDS}


def build(config: Config, views: dict) -> BoxDetector:
    torch.manual_seed(0)
    model = BoxDetector(copy.deepcopy(config.model), views=views, **THRS)
    lively(model.module)
    model.module.cfg = config
    return model.eval()


def sample(folder: Path, pipeline: list, views: BoxViewsConfig | None) -> dict:
    from_decoded = [dict(type='LoadImageFromNDArray'), *pipeline[1:]]
    seen = [] if views is None else view_pipelines(from_decoded, views)
    images = dict(
        type='mmdistill.UnlabeledDataset', metainfo=dict(COCO), data_root=str(folder)
    )
    return DetectionDataset(images, from_decoded, views=seen)[0]


def counted(predicted, nms_thr: float = 0.5):
    """What of MMDetection's boxes counts, best first."""
    found = predicted.pred_instances
    boxes = boxes_on_image(found.bboxes.numpy(), WIDTH, HEIGHT)
    scores, labels = found.scores.numpy(), found.labels.numpy()
    rows = distinct_boxes(boxes, scores, labels, 0.0, nms_thr)
    return boxes[rows], scores[rows], labels[rows]


def ordered(boxes, labels):
    """Boxes of each class in an order of their own."""
    rows = np.column_stack([boxes.round(1), labels])
    return boxes[np.lexsort(rows.T)]


@pytest.mark.parametrize('kind', KINDS)
def test_one_view_alone_is_mmdetection_s_own_prediction(kind, configs, folder):
    config = configs[kind]
    model = build(config, dict(scales=(1.0,), flip=False))
    pipeline = detector_pipeline(config)
    config.test_dataloader.dataset.pipeline = pipeline

    (image,) = model.test_step(
        [sample(folder, pipeline, BoxViewsConfig((1.0,), flip=False))]
    )

    with DefaultScope.overwrite_default_scope('mmdet'):
        peer = inference_detector(model.module, cv2.imread(str(folder / '0.png')))
    boxes, scores, labels = counted(peer)
    found = image.pred_instances
    assert len(boxes) > 3
    assert ordered(found.bboxes, found.category_ids) == pytest.approx(
        ordered(boxes, labels + 1), abs=2 / 64
    )
    assert found.bbox_scores == pytest.approx(scores, abs=1 / 1024)
    assert found.bbox_agreement.tolist() == [1] * len(boxes)


@torch.no_grad()
def predictions(model: BoxDetector, data: dict) -> list:
    """What MMDetection predicts in each view of an image."""
    batch = pseudo_collate([{key: data[key] for key in ('inputs', 'data_samples')}])
    views = zip(batch['inputs'], batch['data_samples'], strict=True)
    return [
        model.module.test_step(dict(inputs=inputs, data_samples=samples))[0]
        for inputs, samples in views
    ]


def on_image(predicted):
    """MMDetection's boxes as far as they are on the image, on either side of it."""
    found = predicted.pred_instances
    boxes = boxes_on_image(found.bboxes.numpy(), WIDTH, HEIGHT)
    found.bboxes = torch.from_numpy(boxes)
    predicted.pred_instances = found[(boxes[:, 2:] > boxes[:, :2]).all(axis=1)]
    return predicted


@pytest.mark.parametrize('kind', ['faster_rcnn', 'rtmdet'])
def test_a_view_and_its_mirror_image_leave_the_boxes_of_mmdetection_s_tta(
    kind, configs, folder
):
    config = configs[kind]
    # At a threshold of 1 no box votes but itself, as in MMDetection.
    model = build(config, dict(scales=(1.0,), flip=True, vote_thr=1.0))
    *steps, _ = pipeline = detector_pipeline(config)
    ours = predictions(model, sample(folder, pipeline, BoxViewsConfig((1.0,))))
    pads = [step for step in steps if step['type'] == 'Pad']
    augmented = copy.deepcopy(FLIPPED)
    augmented['transforms'][1:1] = [[pad] for pad in pads]
    steps = [*(step for step in steps if step not in pads), augmented]
    theirs = [*map(on_image, predictions(model, sample(folder, steps, None)))]

    (merged,) = model.merge_preds([ours])

    cfg = Config(dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=1000))
    (peer,) = DetTTAModel(tta_cfg=cfg, module=model.module).merge_preds([theirs])
    found, expected = merged.pred_instances, peer.pred_instances
    assert len(expected) > 3
    assert ordered(found.bboxes.numpy(), found.labels.numpy()) == pytest.approx(
        ordered(expected.bboxes.numpy(), expected.labels.numpy()), abs=1e-3
    )
    # MMDetection's scores are the best of both views, ours their mean.
    assert found.scores.max() <= expected.scores.max()
    assert found.scores.mean() < expected.scores.mean()


def test_views_of_other_sizes_are_brought_back_to_the_image(configs, folder):
    config = configs['retinanet']
    views = dict(scales=(1.0, 2.0), flip=True)
    model = build(config, views)

    data = sample(folder, detector_pipeline(config), BoxViewsConfig(**views))
    (image,) = model.test_step([data])

    found = image.pred_instances
    shapes = [tuple(view.shape[-2:]) for view in data['inputs']]
    assert shapes == [(44, 64), (44, 64), (88, 128), (88, 128)]
    assert len(found) > 3
    assert (found.bboxes >= 0).all()
    assert (found.bboxes <= [WIDTH, HEIGHT, WIDTH, HEIGHT]).all()
    assert found.bbox_agreement.min() >= 0
    assert found.bbox_agreement.max() <= 1
    assert len(np.unique(found.bbox_agreement)) > 1


def test_the_views_are_part_of_what_made_a_store(configs):
    views = dict(scales=(1.0, 1.5), flip=False, vote_thr=0.8)

    made = build(configs['retinanet'], views).provenance()

    assert made['views'] == dict(scales=[1.0, 1.5], flip=False, vote_thr=0.8)


def test_an_image_that_failed_has_no_agreement(configs, folder):
    model = build(configs['retinanet'], dict(scales=(1.0,)))
    image = sample(folder, detector_pipeline(configs['retinanet']), None)['image']

    (failed,) = model.test_step([dict(image=image)])

    assert failed.pred_instances.bbox_agreement.shape == (0,)


def test_two_ways_to_merge_views_are_refused(configs):
    merger = dict(type='DetTTAModel', tta_cfg=dict(nms=dict(type='nms')))

    with pytest.raises(UserError, match='views or tta'):
        BoxDetector(
            configs['retinanet'].model, tta_model=merger, views=dict(scales=(1.0,))
        )
