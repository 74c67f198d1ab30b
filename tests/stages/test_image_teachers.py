"""The config of stage 1 for a teacher that finds the instances itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from mmdistill.config.recipe import Recipe
from mmdistill.errors import UserError
from mmdistill.stages.image_teachers import resize_settings
from mmdistill.stages.label_config import label_config, tta_config, whole_image_pipeline

COCO = dict(from_file='configs/_base_/datasets/coco.py')
RESIZE = dict(type='BottomupResize', input_size=(640, 640), pad_val=(114, 114, 114))
PACK = dict(type='PackPoseInputs', meta_keys=('id', 'input_size'))
PIPELINE = [dict(type='LoadImage'), RESIZE, PACK]


def write_teacher(path: Path, head: str, **resize: Any) -> str:
    """Write the config of a teacher with a head."""
    pipeline = [dict(type='LoadImage'), dict(RESIZE, **resize), PACK]
    config = dict(
        model=dict(type='BottomupPoseEstimator', head=dict(type=head)),
        test_dataloader=dict(
            dataset=dict(type='CocoDataset', pipeline=pipeline, metainfo=COCO)
        ),
    )
    Config(config).dump(path)
    return str(path)


@pytest.fixture
def config(tmp_path) -> Config:
    """A recipe whose student takes crops, and whose teacher whole images."""
    checkpoint = tmp_path / 'teacher.pth'
    checkpoint.write_bytes(b'')
    labeled = dict(
        type='CocoDataset', ann_file='train.json', pipeline=[], metainfo=COCO
    )
    return Config(
        dict(
            default_scope='mmpose',
            work_dir='work',
            model=dict(type='TopdownPoseEstimator'),
            train_dataloader=dict(dataset=labeled),
            distill=dict(
                teacher=dict(
                    checkpoint=str(checkpoint),
                    config=write_teacher(tmp_path / 'rtmo.py', 'RTMOHead'),
                ),
                unlabeled=dict(data_root='pile'),
                store='labels',
                views=dict(resolutions=(1.0, 1.5), match_thr=0.4, size_dependent=True),
                labeling=dict(score_floor=0.02),
            ),
        )
    )


def test_a_finder_has_the_input_of_its_test_pipeline(config):
    model = label_config(Recipe.of(config)).model

    assert model.type == 'mmdistill.PoseFinder'
    assert model.module.head.type == 'RTMOHead'
    assert (tuple(model.input_size), tuple(model.pad_val)) == ((640, 640), (114,) * 3)
    assert (list(model.resolutions), model.match_thr) == ([1.0, 1.5], 0.4)
    assert (model.size_dependent, model.score_floor) == (True, 0.02)
    assert len(model.sigmas) == 17


def test_its_images_have_no_boxes(config):
    stage = label_config(Recipe.of(config))

    assert stage.test_dataloader.dataset.with_boxes is False


@pytest.mark.parametrize(('head', 'refit'), [('RTMOHead', False), ('DEKRHead', True)])
def test_poses_without_boxes_have_those_of_the_labeled_set(
    config, tmp_path, head, refit
):
    config.distill.teacher.config = write_teacher(tmp_path / 'other.py', head)

    hook = label_config(Recipe.of(config)).custom_hooks[2]

    assert (hook.type, hook.refit) == ('mmdistill.BoxFitHook', refit)
    assert hook.stated


REFUSED = {
    'unlabeled.bbox_file': (dict(unlabeled=dict(bbox_file='boxes.json')), 'RTMOHead'),
    'unlabeled.detections': (dict(unlabeled=dict(detections='boxes')), 'RTMOHead'),
    'unlabeled.follow': (dict(unlabeled=dict(follow=dict())), 'RTMOHead'),
    'unlabeled.category_ids': (dict(unlabeled=dict(category_ids=[1])), 'finds'),
    'unlabeled.max_boxes': (dict(unlabeled=dict(max_boxes=3)), 'finds'),
    'detector': (dict(detector=dict(config='d.py', checkpoint='d.pth')), 'RTMOHead'),
    'labeling.refit_boxes': (dict(labeling=dict(refit_boxes=True)), 'RTMOHead'),
    'views.scales': (dict(views=dict(scales=(0.5, 1.0))), 'distill.views.resolutions'),
    'views.rotations': (dict(views=dict(rotations=(30,))), 'whole images'),
    'views.aspect_ratios': (dict(views=dict(aspect_ratios=(1.2,))), 'whole images'),
    'views.fusion_resolution': (dict(views=dict(fusion_resolution=1.5)), 'leave it'),
    'views.fusion': (dict(views=dict(fusion='max')), "state 'mean'"),
    'views.compile': (dict(views=dict(compile=True)), 'many sizes'),
    'views.offload': (dict(views=dict(offload=True)), 'stay on the device'),
}


@pytest.mark.parametrize('name', REFUSED)
def test_what_a_finder_cannot_have_is_refused_by_its_name(config, name):
    changes, words = REFUSED[name]
    config.merge_from_dict(dict(distill=changes))

    with pytest.raises(UserError, match=rf'distill\.{name}\b.*{words}'):
        label_config(Recipe.of(config))


def test_a_head_that_is_not_known_is_refused(config, tmp_path):
    config.distill.teacher.config = write_teacher(tmp_path / 'ed.py', 'HeatmapHead')

    with pytest.raises(UserError, match='instances that HeatmapHead finds'):
        label_config(Recipe.of(config))


def test_teachers_of_both_kinds_are_refused(config, tmp_path):
    other = tmp_path / 'top_down.py'
    other.write_text(
        "model = dict(type='TopdownPoseEstimator', head=dict(type='HeatmapHead'))\n"
        'test_dataloader = dict(dataset=dict(pipeline=['
        "dict(type='GetBBoxCenterScale')]))\n"
    )
    first = config.distill.teacher
    config.distill.teacher = [first, dict(first, config=str(other))]

    with pytest.raises(UserError, match=r'RTMOHead finds .* HeatmapHead needs boxes'):
        label_config(Recipe.of(config))


def test_several_finders_are_an_ensemble(config, tmp_path):
    first = config.distill.teacher
    other = write_teacher(tmp_path / 'pose.py', 'YOLOXPoseHead', input_size=(96, 96))
    config.distill.teacher = [first, dict(first, config=other)]

    stage = label_config(Recipe.of(config))

    (member,) = stage.model.ensemble
    assert (member.module.head.type, member.input_size) == ('YOLOXPoseHead', (96, 96))
    assert stage.custom_hooks[0].ensemble == [first.checkpoint]


def test_a_finder_with_other_keypoints_in_order_is_refused(config):
    teacher = Config.fromfile(config.distill.teacher.config)
    names = dict(enumerate(['a', 'b']))
    info = {
        i: dict(name=name, id=i, color=[0] * 3, swap='') for i, name in names.items()
    }
    metainfo = dict(
        dataset_name='two',
        keypoint_info=info,
        skeleton_info={},
        joint_weights=[1.0, 1.0],
        sigmas=[0.1, 0.1],
    )
    turned = dict(
        metainfo, keypoint_info={0: dict(info[1], id=0), 1: dict(info[0], id=1)}
    )
    teacher.test_dataloader.dataset.metainfo = turned
    teacher.dump(config.distill.teacher.config)
    config.train_dataloader.dataset.metainfo = metainfo

    with pytest.raises(UserError, match='RTMOHead cannot return them in that'):
        label_config(Recipe.of(config))


def test_match_thr_is_refused_beside_crops(config, tmp_path):
    other = tmp_path / 'top_down.py'
    other.write_text(
        "model = dict(type='TopdownPoseEstimator', head=dict(type='HeatmapHead'))\n"
        'test_dataloader = dict(dataset=dict(pipeline=['
        "dict(type='GetBBoxCenterScale')]))\n"
    )
    config.distill.teacher.config = str(other)

    with pytest.raises(UserError, match=r'match_thr=0\.4 matches poses'):
        label_config(Recipe.of(config))


@pytest.mark.parametrize(
    ('pipeline', 'words'),
    [
        ([dict(type='LoadImage')], "must have BottomupResize.*got .'LoadImage'."),
        ([dict(RESIZE, use_udp=True)], r'BottomupResize\(use_udp=True\) of RTMOHead'),
        ([dict(RESIZE, aug_scales=[0.5])], r'BottomupResize\(aug_scales=\[0.5\]\)'),
    ],
)
def test_inputs_that_are_not_known_are_refused(pipeline, words):
    with pytest.raises(UserError, match=words):
        resize_settings(pipeline, 'RTMOHead')


def test_an_evaluation_gives_whole_images_with_the_partners_of_keypoints(config):
    tested = Config.fromfile(config.distill.teacher.config)

    wrapped = tta_config(tested)

    dataset = wrapped.test_dataloader.dataset
    assert [step.type for step in dataset.pipeline] == ['LoadImage', 'PackPoseInputs']
    keys = ('id', 'input_size', 'flip_indices', 'skeleton_links')
    assert tuple(dataset.pipeline[1].meta_keys) == keys
    assert wrapped.model.type == 'mmdistill.PoseFinder'
    # Its own threshold stays: the metric is that of the host.
    assert 'score_floor' not in wrapped.model


def test_samples_have_what_the_host_packs_by_default():
    (step,) = whole_image_pipeline([RESIZE, dict(type='PackPoseInputs')])

    assert {'img_id', 'flip_indices', 'skeleton_links'} <= set(step['meta_keys'])
