"""The recipe of the mouse: what is not seen before it trains."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS

from mmdistill.datasets.sources.source_list import build_sources

RECIPES = Path(__file__).parents[2] / 'configs/distill/openfield'


@pytest.fixture(scope='module')
def student():
    pytest.importorskip('efficientnet_lite_pytorch')
    init_default_scope('mmpose')
    sys.path.insert(0, str(RECIPES))
    try:
        return Config.fromfile(RECIPES / 'student.py')
    finally:
        sys.path.remove(str(RECIPES))


def test_the_model_gives_heatmaps_of_the_codec_s_size(student):
    student.model.backbone.pretrained = False
    model = MODELS.build(student.model).eval()
    width, height = student.codec.input_size
    with torch.no_grad():
        heatmaps = model(torch.zeros(1, 3, height, width), None, mode='tensor')
    assert heatmaps.shape == (1, 4, *student.codec.heatmap_size[::-1])


def test_the_video_is_a_source(student):
    unlabeled = student.distill.unlabeled
    (source,) = build_sources(unlabeled.sources, Path(unlabeled.data_root))
    assert (source.name, source.path) == ('m3v1', 'videos/m3v1mp4.mp4')


@pytest.mark.parametrize(('prob', 'box'), [(1, [0, 0, 64, 48]), (0, [1, 2, 3, 4])])
def test_the_box_is_the_frame_or_stays(student, prob, box):
    given = dict(img=np.zeros((48, 64, 3)), bbox=np.float32([[1, 2, 3, 4]]))
    found = importlib.import_module('whole_frame').WholeFrameBox(prob)(given)['bbox']
    assert found.tolist() == [box]


def test_every_other_training_sample_is_a_whole_frame(student):
    steps = student.train_pipeline
    assert [s.prob for s in steps if s.type == 'WholeFrameBox'] == [0.5]
    assert 'WholeFrameBox' not in [step.type for step in student.val_pipeline]


def test_the_baseline_is_as_long_as_the_student_and_its_teacher(student):
    assert student.distill.schedule.max_factor == 1
    last = student.train_cfg.max_iters
    assert student.distill.teacher.checkpoint.endswith(f'teacher/iter_{last}.pth')
