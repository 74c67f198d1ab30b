"""Which students of whole images can be trained, and how labels are given to them."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmdistill.config.schema import dicts_within
from mmdistill.errors import ConfigError, DataError
from mmdistill.selection.counts import LabeledCounts
from mmdistill.stages.image_students import (
    check_categories,
    check_student,
    fit_image_sources,
    selected_samples,
)
from mmdistill.stages.pipeline_switch import switch_all_sources
from tests.helpers.image_students import published

AE = 'body_2d_keypoint/associative_embedding/coco/ae_hrnet-w32_8xb24-300e_coco-512x512'
CODEC = 'YOLOXPoseAnnotationProcessor'


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmpose')


@pytest.mark.parametrize('name', ['rtmo-t', 'rtmo-l', 'yoloxpose-s', 'dekr', 'cid'])
def test_what_the_host_trains_is_fit(name):
    check_student(published(name))


def test_heads_that_the_host_cannot_train_are_refused_by_name():
    config = published(AE)
    with pytest.raises(ConfigError, match='AssociativeEmbeddingHead cannot be a stud'):
        check_student(config)
    config.model.head.type = 'EDPoseHead'
    with pytest.raises(ConfigError, match=r'EDPoseHead .* its loss returns nothing'):
        check_student(config)


def test_samples_must_be_what_the_student_sees():
    config = published('dekr')
    config.train_dataloader.dataset.data_mode = 'topdown'
    with pytest.raises(
        ConfigError, match=r"DEKRHead sees whole .*data_mode='bottomup'"
    ):
        check_student(config)

    crops = Config(dict(model=dict(type='TopdownPoseEstimator')))
    crops.model.head = dict(type='HeatmapHead')
    crops.train_dataloader = dict(
        dataset=dict(type='CocoDataset', data_mode='bottomup')
    )
    with pytest.raises(ConfigError, match=r'HeatmapHead sees crops .*leave data_mode'):
        check_student(crops)


def test_members_of_both_modes_are_refused():
    config = published('rtmo-t')
    config.train_dataloader.dataset.datasets[2].data_mode = 'topdown'
    with pytest.raises(ConfigError, match=r'one data_mode, .* bottomup and topdown'):
        check_student(config)


def test_a_mix_that_is_stated_by_hand_has_pseudo_labels_of_whole_images():
    config = with_pseudo('rtmo-s')
    check_student(config)
    config.train_dataloader.dataset.datasets[1].type = 'mmdistill.PseudoLabelDataset'
    with pytest.raises(ConfigError, match=r'whole images are a mmdistill\.Pseudo'):
        check_student(config)


@pytest.mark.parametrize('switched', [False, True])
def test_an_input_that_is_not_square_is_refused(switched):
    config = published('rtmo-s')
    pipeline = config.train_dataloader.dataset.pipeline
    if switched:
        pipeline = config.custom_hooks[0].new_train_pipeline
    (warp,) = (step for step in pipeline if step.type == 'BottomupRandomAffine')
    warp.input_size = (640, 480)
    with pytest.raises(ConfigError, match=r'must be square, .* got \(640, 480\)'):
        check_student(config)
    pipeline[:] = [step for step in pipeline if step.type != 'RandomFlip']
    check_student(config)


def counts(*categories):
    return LabeledCounts(4, 2, 6, 'hash', tuple((number, 2) for number in categories))


def test_labeled_categories_must_be_classes_of_the_head():
    config = published('yoloxpose-s')
    check_categories(config, counts(1))
    check_categories(published('dekr'), counts(1, 17))
    with pytest.raises(DataError, match=r'YOLOXPoseHead .* 1 to 1, got \[0, 17\]'):
        check_categories(config, counts(0, 1, 17))
    config.model.head.num_classes = 17
    check_categories(config, counts(1, 17))


def with_pseudo(name):
    config = published(name)
    labeled = config.train_dataloader.dataset
    pseudo = dict(
        type='mmdistill.PseudoImageDataset',
        store='labels',
        pipeline=copy.deepcopy(labeled.pipeline),
    )
    config.train_dataloader.dataset = dict(
        type='ConcatDataset', datasets=[labeled, pseudo]
    )
    return config


def test_every_codec_learns_of_unseen_keypoints_that_they_are_unknown():
    config = with_pseudo('rtmo-s')
    switch_all_sources(config)
    fit_image_sources(config)

    parts = [config.train_dataloader.dataset, config.custom_hooks]
    codecs = [
        step['encoder']['type']
        for part in parts
        for step in dicts_within(part)
        if step.get('type') == 'GenerateTarget'
    ]
    assert codecs == ['mmdistill.PoseAnnotationProcessor'] * 3
    pseudo = config.train_dataloader.dataset.datasets[1]
    assert (pseudo.visibility_weights, pseudo.num_classes) == (True, 1)
    assert config.custom_hooks[-1].type == 'mmdistill.InstanceGuardHook'


def test_students_of_heatmaps_stay_as_they_are():
    config = with_pseudo('cid')
    before = config.to_dict()
    fit_image_sources(config)
    assert config.to_dict() == before


def test_hooks_of_the_host_make_way_for_one_that_reaches_all_sources():
    config = published('rtmo-s')
    stage2 = config.custom_hooks[0].new_train_pipeline
    switch_all_sources(config)

    last, modes, *others = config.custom_hooks
    assert last.type == modes.type == 'mmdistill.SourceModeSwitchHook'
    assert (last.num_last_epochs, last.priority) == (20, 48)
    assert last.new_train_pipeline == stage2
    assert last.last_attributes == {'head.use_aux_loss': True}
    assert modes.epoch_attributes == {
        280: {
            'head.proxy_target_cc': True,
            'head.loss_mle.loss_weight': 5.0,
            'head.loss_oks.loss_weight': 10.0,
        }
    }
    assert [hook.type for hook in others] == ['SyncNormHook', 'EMAHook']
    assert config.train_dataloader.persistent_workers is False


def test_a_data_set_of_the_last_epochs_is_not_used_and_it_says_so(logged):
    switch_all_sources(published('rtmo-t'))
    assert 'new_train_dataset of YOLOXPoseModeSwitchHook is not used' in logged[0]


def test_the_hook_of_mmdetection_is_exchanged_too():
    config = published('rtmo-s')
    config.custom_hooks = [dict(type='mmdet.YOLOXModeSwitchHook', num_last_epochs=9)]
    switch_all_sources(config)
    (hook,) = config.custom_hooks
    assert hook.num_last_epochs == 9
    assert list(hook.skip_type_keys) == ['Mosaic', 'RandomAffine', 'MixUp']
    assert hook.last_attributes == {'bbox_head.use_l1': True}


def test_modes_in_a_training_of_iterations_are_refused():
    config = published('rtmo-s')
    config.train_cfg = dict(by_epoch=False, max_iters=100)
    with pytest.raises(ConfigError, match='ModeSwitchHook of custom_hooks counts epo'):
        switch_all_sources(config)


def test_samples_are_images_where_the_student_sees_images(
    tmp_path, make_store, make_rows, make_selection
):
    store = make_store(tmp_path / 'labels', make_rows((2, 0, 3, 1)))
    make_selection(0.0, keypoint_thr=0.0).write(store)

    assert selected_samples(with_pseudo('cid'), store) == (3, 3)
    crops = SimpleNamespace(
        train_dataloader=SimpleNamespace(dataset=dict(type='CocoDataset'))
    )
    assert selected_samples(crops, store) == (6, 7)
