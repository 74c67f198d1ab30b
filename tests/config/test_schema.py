"""Where boxes come from, and what the classes of the section are like."""

from __future__ import annotations

import inspect
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from mmdistill.config.schema import (
    DetectorConfig,
    DistillConfig,
    FollowConfig,
    LabelingConfig,
    MixingConfig,
    TeacherConfig,
    UnlabeledConfig,
    ViewsConfig,
    stated,
)
from mmdistill.datasets.box_tracker import BoxTracker
from mmdistill.datasets.pseudo_label_dataset import PseudoLabelDataset
from mmdistill.datasets.samplers.mixed_ratio_batch_sampler import MixedRatioBatchSampler
from mmdistill.datasets.unlabeled_dataset import UnlabeledDataset
from mmdistill.engine.loops.detect_loop import DetectLoop
from mmdistill.engine.loops.label_loop import LabelLoop
from mmdistill.models.box_detector import BoxDetector
from mmdistill.models.heatmap_fusion_tta import HeatmapFusionTTA
from tests.helpers.schema_parts import parts


def section(detector=None, store='work/labels', **unlabeled) -> DistillConfig:
    return DistillConfig(
        TeacherConfig(), UnlabeledConfig(**unlabeled), store, detector=detector
    )


def test_without_a_detector_there_is_no_folder():
    assert section().boxes_folder is None
    assert section().unlabeled_arguments == {}


@pytest.mark.parametrize(
    ('labels', 'expected'), [('work/a', 'work/a_boxes'), ('a/', 'a_boxes')]
)
def test_boxes_lie_beside_the_labels(labels, expected):
    part = section(DetectorConfig(config='c.py'), labels)

    assert part.boxes_folder == Path(expected)
    assert part.unlabeled_arguments == dict(detections=expected)


def test_a_folder_that_is_stated_holds():
    part = section(DetectorConfig(config='c.py', boxes='shared/boxes'))

    assert part.unlabeled_arguments == dict(detections='shared/boxes')


@pytest.mark.parametrize(
    ('part', 'whole'),
    [
        (section(), True),
        (section(bbox_file='b.json'), False),
        (section(detections='boxes'), False),
        (section(follow=FollowConfig()), False),
        (section(DetectorConfig(config='c.py')), False),
    ],
)
def test_boxes_are_fitted_where_an_image_is_one(part, whole):
    assert part.refit_arguments == dict(refit=whole, stated=False)


def test_what_is_its_default_is_not_stated():
    assert stated(LabelingConfig(chunk_size=256, nms_thr=0.5)) == dict(nms_thr=0.5)


SETTINGS = [
    (LabelLoop, LabelingConfig),
    (DetectLoop, LabelingConfig),
    (BoxDetector, DetectorConfig),
    (HeatmapFusionTTA, ViewsConfig),
    (MixedRatioBatchSampler, MixingConfig),
    (UnlabeledDataset, UnlabeledConfig),
    (BoxTracker, FollowConfig),
]


@pytest.mark.parametrize(('kind', 'part'), SETTINGS)
def test_a_class_has_the_defaults_of_its_section(kind, part):
    """What is not stated is not handed over, so both must mean the same."""
    taken = inspect.signature(kind).parameters
    names = [each.name for each in fields(part) if each.name in taken]
    assert names
    for name in names:
        assert taken[name].default == getattr(part, name) or (
            not taken[name].default and not getattr(part, name)
        )


def test_pseudo_labels_weigh_what_the_section_says():
    taken = inspect.signature(PseudoLabelDataset).parameters
    for name in ('pseudo_weight', 'score_thr', 'keypoint_thr'):
        assert taken[name].default == getattr(MixingConfig, name)


@pytest.mark.parametrize('kind', list(parts()))
def test_every_default_is_of_its_kind(kind):
    for each in fields(kind):
        assert each.metadata['meaning']
        if 'kind' in each.metadata and each.default not in (None, MISSING):
            assert each.default in each.metadata['kind']
