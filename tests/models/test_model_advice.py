"""The advice of sentences about models and views: following it predicts."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmpose.models import TopdownPoseEstimator
from mmpose.registry import MODELS

from mmdistill.config.recipe import Recipe
from mmdistill.errors import UserError
from mmdistill.models import HeatmapFusionTTA
from mmdistill.models.adapters.build import INSTEAD, check_estimator
from mmdistill.models.box_detector import BoxDetector, category_ids
from mmdistill.stages.detect_config import MERGED
from tests.helpers.heads import HEADS
from tests.helpers.recipes import DETECTOR

COCO = dict(from_file='configs/_base_/datasets/coco.py')
BOX = np.float32([[2, 2, 60, 44]])
IMAGE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
SIDES = [0, *(i + 1 if i % 2 else i - 1 for i in range(1, 17))]
"""Mirror partner of each COCO keypoint."""
OFFSETS = dict(
    type='HeatmapHead',
    in_channels=32,
    out_channels=51,
    deconv_out_channels=(8, 8, 8),
    deconv_kernel_sizes=(4, 4, 4),
    decoder=dict(
        type='UDPHeatmap',
        heatmap_type='combined',
        input_size=(32, 32),
        heatmap_size=(8, 8),
        blur_kernel_size=3,
        radius_factor=0.125,
    ),
)


def estimator(head: dict, **settings: Any) -> TopdownPoseEstimator:
    """A small top-down model."""
    parts = dict(
        type='TopdownPoseEstimator',
        data_preprocessor=dict(
            type='PoseDataPreprocessor', mean=[120] * 3, std=[60] * 3
        ),
        backbone=dict(type='ResNet', depth=18, stem_channels=4, base_channels=4),
        head=head,
    )
    torch.manual_seed(0)
    return MODELS.build({**parts, **settings}).eval()


def predict(wrapper: HeatmapFusionTTA, flip_indices=SIDES) -> Any:
    """Fused poses of one box of a noise image."""
    image = torch.from_numpy(IMAGE.transpose(2, 0, 1).copy())
    return wrapper.fuse([image], [BOX], flip_indices)


def refused(function, *arguments, **settings) -> str:
    with pytest.raises(UserError) as caught:
        function(*arguments, **settings)
    return str(caught.value)


def stated(sentence: str, section: str = 'views') -> dict[str, Any]:
    """The setting that a sentence advises, as a recipe that states it reads it."""
    key, value = re.findall(r'(distill\.\w+\.\w+)=(\(\)|[\w\']+)', sentence)[0]
    required = dict(teacher={}, unlabeled=dict(data_root='images'), store='labels')
    config = Config(dict(distill=required))
    config.merge_from_dict({key: ast.literal_eval(value)})
    name = key.rpartition('.')[2]
    return {name: getattr(getattr(Recipe.of(config).distill, section), name)}


# Views that a head cannot fuse.


@pytest.mark.parametrize('head', [HEADS['l1'], HEADS['rle'], OFFSETS])
def test_coordinates_and_offsets_are_fused_as_advised(head):
    sentence = refused(HeatmapFusionTTA, estimator(head), fusion='max')

    settings = stated(sentence)

    assert 'fusion' in settings
    wrapper = HeatmapFusionTTA(estimator(head), **settings)
    assert predict(wrapper).keypoints.shape == (1, 17, 2)


def test_vectors_are_fused_without_rotations_as_advised():
    views = dict(scales=(1.0, 1.25), rotations=(30.0,))
    head = HEADS['simcc']
    sentence = refused(HeatmapFusionTTA, estimator(head), **views)

    views |= stated(sentence)

    wrapper = HeatmapFusionTTA(estimator(head), **views)
    assert len(wrapper.plan.views) == 4
    assert predict(wrapper).keypoints.shape == (1, 17, 2)


# Mirror partners of a model that returns some of its keypoints.


def some_of(**settings: Any) -> HeatmapFusionTTA:
    """A model of 17 keypoints whose data set has the first two."""
    flip = settings.pop('flip', True)
    test_cfg = dict(output_keypoint_indices=[0, 1])
    model = estimator(HEADS['msra'], test_cfg=test_cfg, **settings)
    return HeatmapFusionTTA(model, flip=flip)


def test_a_model_with_metainfo_of_its_own_is_mirrored():
    sentence = refused(predict, some_of(), [1, 0])
    (key, inner) = re.findall(r"as (\w+)=dict\((\w+)='...'\) in its config", sentence)[
        0
    ]

    wrapper = some_of(**{key: {inner: COCO['from_file']}})

    assert list(wrapper.module.metainfo['flip_indices']) == SIDES
    assert predict(wrapper, SIDES).keypoints.shape == (1, 17, 2)


@pytest.mark.parametrize('kept', [[2, 1], [0, 3, 4], [*range(16, -1, -1)]])
def test_keypoints_in_another_order_are_mirrored_by_metainfo_of_the_model(kept):
    """Partners by the data set's numbers would swap others."""
    test_cfg = dict(output_keypoint_indices=kept)
    partners = [kept.index(SIDES[number]) for number in kept]

    def label(views: dict, **settings: Any) -> np.ndarray:
        model = estimator(HEADS['msra'], test_cfg=test_cfg, **settings)
        (sample,) = HeatmapFusionTTA(model, **views).test_step(batch(PACK, partners))
        return sample.pred_instances.keypoints

    sentence = refused(label, {})
    (key, inner) = re.findall(r"as (\w+)=dict\((\w+)='...'\) in its config", sentence)[
        0
    ]

    whole = predict(HeatmapFusionTTA(estimator(HEADS['msra'])))
    found = label({}, **{key: {inner: COCO['from_file']}})
    np.testing.assert_array_equal(found, whole.keypoints[:, kept])
    plain = predict(HeatmapFusionTTA(estimator(HEADS['msra']), flip=False))
    np.testing.assert_array_equal(label(stated(sentence)), plain.keypoints[:, kept])


def test_a_model_without_it_is_not_mirrored():
    settings = stated(refused(predict, some_of(), [1, 0]))

    assert settings == dict(flip=False)
    assert len(some_of(**settings).plan.views) == 1
    predict(some_of(**settings), [1, 0])


# Other kinds of models.

UNFIT = {
    'bottom-up': 'BottomupPoseEstimator',
    'lifted': 'PoseLifter',
    'distilled': 'DWPoseDistiller',
}
KINDS = {'heatmaps': 'msra', 'SimCC': 'simcc', 'regression': 'l1'}
"""Heads of the kinds that a sentence lists."""


@pytest.mark.parametrize('kind', UNFIT)
def test_models_of_the_kinds_that_are_listed_are_fused(kind):
    sentence = refused(check_estimator, dict(type=UNFIT[kind], head=dict(type='Any')))
    assert sentence.endswith(f'; {INSTEAD}')
    listed = re.findall(r'models of MMPose \(([^)]+)\)', sentence)[0]

    kinds = re.split(', | or ', listed)

    assert sorted(kinds) == sorted(KINDS)


@pytest.mark.parametrize('kind', KINDS)
def test_a_top_down_model_takes_boxes(kind):
    model = dict(type='TopdownPoseEstimator', head=HEADS[KINDS[kind]])
    check_estimator(model)
    poses = predict(HeatmapFusionTTA(estimator(HEADS[KINDS[kind]])))
    assert poses.keypoints.shape == (1, 17, 2)


# Views that the pipeline makes.


PACK = dict(type='mmpose.PackPoseInputs', meta_keys=('flip_indices',))


def batch(step: dict, flip_indices: Sequence[int] = SIDES) -> dict:
    """A batch of the image and box that `predict` sees."""
    sample = dict(
        img=IMAGE,
        img_shape=IMAGE.shape[:2],
        bbox=BOX,
        bbox_score=np.ones(1, dtype=np.float32),
        flip_indices=flip_indices,
    )
    return pseudo_collate([Compose([step])(sample)])


def test_a_pipeline_without_augmentation_gives_whole_images():
    augmented = dict(type='TestTimeAug', transforms=[[PACK, PACK]])
    wrapper = HeatmapFusionTTA(estimator(HEADS['msra']))
    sentence = refused(wrapper.test_step, batch(augmented))

    name = re.findall(r'without (\w+) in the pipeline$', sentence)[0]
    (step,) = (each for each in (augmented, PACK) if each['type'] != name)

    (sample,) = wrapper.test_step(batch(step))
    assert sample.pred_instances.keypoints.shape == (1, 17, 2)


# Detectors.


def test_a_detector_of_masks_is_not_augmented_as_advised(monkeypatch):
    from mmdet.models.detectors import BaseDetector

    module = Config.fromfile(DETECTOR).model
    monkeypatch.setattr(BaseDetector, 'with_mask', True)
    sentence = refused(BoxDetector, module, tta_model=MERGED)

    settings = stated(sentence, 'detector')

    assert settings == dict(tta=False)
    # As the stage makes the model then.
    assert not BoxDetector(module).augmented


def test_a_category_whose_number_is_taken_is_stated():
    sentence = refused(category_ids, ('cat', 'dog'), ('cat', 'dog'), dict(zebra=1))
    key, name = re.findall(r"(distill\.[\w.]+)=\{'(\w+)': ID\}$", sentence)[0]
    required = dict(teacher={}, unlabeled=dict(data_root='images'), store='labels')
    config = Config(dict(distill=required))
    config.merge_from_dict({key: {name: 7, 'dog': 8}})

    wanted = Recipe.of(config).distill.detector.categories

    assert category_ids(('cat', 'dog'), wanted, dict(zebra=1)) == dict(cat=7, dog=8)


@pytest.mark.parametrize('wanted', [('mouse',), dict(mouse=1), 'cat', ()])
def test_a_class_of_those_that_are_listed_counts(wanted):
    classes = ('cat', 'dog')
    sentence = refused(category_ids, classes, wanted, {})
    listed = re.findall(r'; it has (.+)$', sentence)
    names = listed[0].split(', ') if listed else list(classes)
    assert set(category_ids(classes, names, {})) == set(classes)
