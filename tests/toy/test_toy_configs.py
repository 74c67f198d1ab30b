from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

CONFIGS = Path(__file__).parents[2] / 'configs/distill/toy'


@pytest.fixture(scope='module')
def teacher():
    return Config.fromfile(CONFIGS / 'teacher.py')


@pytest.mark.parametrize('y', [4, 6, 8, 12, 40, 87, 91])
def test_the_codec_finds_joints_next_to_the_border(teacher, y):
    from mmpose.registry import KEYPOINT_CODECS

    codec = KEYPOINT_CODECS.build(teacher.codec)
    joint = np.array([[[30.0, y]]])
    heatmaps = codec.encode(joint, np.ones((1, 1)))['heatmaps']
    decoded, _ = codec.decode(heatmaps)
    # Half a cell of 4 pixels; a target shifted by a cell is told from it.
    assert decoded[0, 0] == pytest.approx([30.0, y], abs=2)


def test_the_baseline_differs_from_the_teacher_in_its_length_only(teacher):
    baseline = Config.fromfile(CONFIGS / 'baseline.py')
    differing = {key for key in baseline if baseline[key] != teacher.get(key)}
    assert differing == {
        'work_dir',
        'num_iters',
        'train_cfg',
        'param_scheduler',
        'default_hooks',
    }


@pytest.mark.parametrize('name', ['teacher', 'baseline', 'detector'])
def test_the_schedule_ends_with_the_training(name):
    config = Config.fromfile(CONFIGS / f'{name}.py')
    ends = {
        config.param_scheduler[-1]['end'],
        config.train_cfg.max_iters,
        config.default_hooks.checkpoint.interval,
    }
    assert ends == {config.num_iters}


@pytest.mark.parametrize('name', ['teacher', 'detector'])
def test_models_start_without_downloads(name):
    config = Config.fromfile(CONFIGS / f'{name}.py')
    assert config.model.backbone.init_cfg is None


def test_the_detector_keeps_candidates_of_a_low_score():
    from mmdet.registry import MODELS

    config = Config.fromfile(CONFIGS / 'detector.py')
    init_default_scope('mmdet')
    detector = MODELS.build(config.model)
    assert detector.bbox_head.num_classes == 1
    assert detector.test_cfg.score_thr <= 0.1
