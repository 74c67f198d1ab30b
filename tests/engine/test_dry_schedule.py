"""Settings of optimizer, schedulers, hooks, loops and metrics, before the labeling."""

from __future__ import annotations

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmdistill.config.files import read_config
from mmdistill.engine.dry_schedule import check_schedule_parts
from mmdistill.errors import ConfigError


@pytest.fixture
def config() -> Config:
    """The toy student's config."""
    init_default_scope('mmpose')
    return read_config('configs/distill/toy/student.py')


@pytest.mark.parametrize(
    ('changes', 'sentence'),
    [
        ({'train_cfg.max_iter': 4}, r'has no max_iter; did you mean max_iters'),
        ({'train_cfg.type': 'Nope'}, r'train_cfg: Nope is not registered'),
        ({'val_cfg': {'type': 'Nope'}}, r'val_cfg: Nope is not registered'),
        ({'val_cfg': {'fp32': True}}, r'val_cfg \(ValLoop\) has no fp32, only fp16'),
        ({'optim_wrapper.optimizer.lrr': 1}, r'Adam.* cannot be built: .*lrr'),
        ({'optim_wrapper.optimizer.lr': 'abc'}, r'optimizer: Adam.* cannot be built'),
        ({'optim_wrapper.optimizer.type': 'Adma'}, r'Adma is not registered'),
        ({'param_scheduler.0.type': 'Nope'}, r'param_scheduler\.0: Nope is not regi'),
        ({'param_scheduler.0.factor': 2}, r'param_scheduler\.0: LinearLR cannot be b'),
        (
            {'default_hooks.logger.intervall': 1},
            r'no intervall; did you mean interval\?',
        ),
        ({'default_hooks.logger.type': 'Nope'}, r'default_hooks\.logger: Nope is not'),
        ({'custom_hooks': [{'type': 'EMAHook', 'x': 1, 'moment': 2}]}, None),
        ({'custom_hooks': [{'type': 'Nope'}]}, r'custom_hooks\.0: Nope is not regist'),
        ({'custom_hooks': [{}]}, r'custom_hooks\.0 must state its type, got {}'),
        (
            {'val_evaluator': [{'type': 'PCKAccuracy', 'tr': 1}]},
            r'has no tr; did you mean thr',
        ),
        ({'val_evaluator': {'type': 'Nope'}}, r'val_evaluator: Nope is not registered'),
        ({'test_evaluator': {'thr': 1}}, r'test_evaluator must state its type, got'),
    ],
    ids=str,
)
def test_what_cannot_be_built_is_named(config, changes, sentence):
    for key, value in changes.items():
        if key in config:
            config[key] = value
        else:
            config.merge_from_dict({key: value})

    if sentence is None:  # the class takes any setting
        check_schedule_parts(config)
        return
    with pytest.raises(ConfigError, match=sentence):
        check_schedule_parts(config)


def test_a_loop_without_its_kind_is_refused(config):
    config.train_cfg = dict(max_iters=4)

    with pytest.raises(
        ConfigError, match=r'^train_cfg must state its type or by_epoch'
    ):
        check_schedule_parts(config)


@pytest.mark.parametrize(
    'name',
    [
        'toy/student',
        'toy/detector',
        'mmpose::body_2d_keypoint/rtmpose/coco/rtmpose-m_8xb256-420e_coco-256x192',
        'mmpose::body_2d_keypoint/yoloxpose/coco/yoloxpose_m_8xb32-300e_coco-640',
        'mmpose::body_2d_keypoint/topdown_heatmap/coco/'
        'td-hm_ViTPose-small_8xb64-210e_coco-256x192',
    ],
)
def test_published_trainings_pass(tmp_path, name):
    init_default_scope('mmpose')
    path = f'configs/distill/{name}.py'
    if '::' in name:
        path = tmp_path / 'config.py'
        path.write_text(f"_base_ = '{name}.py'\n")
    config = read_config(path)
    init_default_scope(config.get('default_scope', 'mmpose'))

    check_schedule_parts(config)
