"""Teachers of a recipe: one, or an ensemble of several."""

import pytest
from mmengine.config import Config

from mmdistill.config.recipe import Recipe
from mmdistill.errors import UserError
from mmdistill.stages.label_config import label_config, tta_config

COCO = dict(from_file='configs/_base_/datasets/coco.py')
NAMES = [('nose', ''), ('left_eye', 'right_eye'), ('right_eye', 'left_eye')]


def metainfo(order):
    """Metainfo of three keypoints in an order."""
    keypoints = [NAMES[i] for i in order]
    return dict(
        dataset_name='three',
        keypoint_info={
            i: dict(name=name, id=i, swap=swap, color=[0, 0, 0], type='upper')
            for i, (name, swap) in enumerate(keypoints)
        },
        skeleton_info={},
        joint_weights=[1.0] * 3,
        sigmas=[0.05 + 0.01 * i for i in order],
    )


@pytest.fixture
def config(tmp_path) -> Config:
    """A recipe of three keypoints with two checkpoints."""
    for name in ('one.pth', 'two.pth'):
        (tmp_path / name).write_bytes(b'')
    pipeline = [
        dict(type='GetBBoxCenterScale', padding=1.5),
        dict(type='TopdownAffine', input_size=(64, 64), use_udp=True),
    ]
    dataset = dict(
        type='CocoDataset', ann_file='train.json', metainfo=metainfo(range(3))
    )
    return Config(
        dict(
            default_scope='mmpose',
            work_dir='work',
            model=dict(type='TopdownPoseEstimator'),
            train_dataloader=dict(dataset=dict(dataset, pipeline=[])),
            test_dataloader=dict(dataset=dict(dataset, pipeline=pipeline)),
            distill=dict(
                teacher=[str(tmp_path / 'one.pth'), str(tmp_path / 'two.pth')],
                unlabeled=dict(data_root='images'),
                store='labels',
                views=dict(scales=(1.0, 2.0)),
            ),
        )
    )


def own_config(config, tmp_path, order, **model):
    """Config of a teacher whose keypoints have another order."""
    dataset = dict(config.test_dataloader.dataset, metainfo=metainfo(order))
    path = tmp_path / f'teacher_{"".join(map(str, order))}.py'
    Config(
        dict(
            model=dict(type='TopdownPoseEstimator', **model),
            train_dataloader=dict(dataset=dataset),
            test_dataloader=dict(dataset=dataset),
        )
    ).dump(path)
    return str(path)


def test_a_list_of_one_is_that_teacher(config):
    ensemble = label_config(Recipe.of(config))
    config.distill.teacher = config.distill.teacher[:1]
    of_list = label_config(Recipe.of(config))
    config.distill.teacher = dict(checkpoint=config.distill.teacher[0])
    alone = label_config(Recipe.of(config))

    assert of_list.to_dict() == alone.to_dict()
    assert 'ensemble' not in alone.model
    assert 'ensemble' in ensemble.model


def test_each_checkpoint_is_of_the_same_model(config):
    stage = label_config(Recipe.of(config))
    guard = stage.custom_hooks[0]

    assert stage.load_from.endswith('one.pth')
    assert list(guard.ensemble) == config.distill.teacher[1:]
    (other,) = stage.model.ensemble
    assert (other.padding, other.use_udp) == (1.5, True)
    assert other.module == stage.model.module


def test_a_teacher_may_have_a_config_of_its_own(config, tmp_path):
    path = own_config(config, tmp_path, (0, 1, 2), backbone=dict(type='HRNet'))
    second = dict(checkpoint=config.distill.teacher[1], config=path)
    config.distill.teacher = [config.distill.teacher[0], second]

    (other,) = label_config(Recipe.of(config)).model.ensemble

    assert other.module.backbone.type == 'HRNet'
    assert 'test_cfg' not in other.module


@pytest.mark.parametrize('number', [0, 1])
def test_keypoints_in_another_order_are_returned_in_that_of_the_labels(
    config, tmp_path, number
):
    path = own_config(config, tmp_path, (2, 0, 1))
    teachers = list(config.distill.teacher)
    teachers[number] = dict(checkpoint=teachers[number], config=path)
    config.distill.teacher = teachers

    stage = label_config(Recipe.of(config))

    model = [stage.model.module, stage.model.ensemble[0].module][number]
    assert list(model.test_cfg.output_keypoint_indices) == [1, 2, 0]
    assert model.metainfo.keypoint_info[0].name == 'right_eye'
    guard = stage.custom_hooks[0]
    assert list(guard.keypoint_names) == ['nose', 'left_eye', 'right_eye']


def test_kept_keypoints_are_those_of_the_head(config, tmp_path):
    kept = dict(output_keypoint_indices=[2, 1, 0])
    path = own_config(config, tmp_path, (2, 0, 1), test_cfg=kept)
    config.distill.teacher = dict(checkpoint=config.distill.teacher[0], config=path)

    model = label_config(Recipe.of(config)).model.module

    # It returns left_eye, nose, right_eye of its head's right_eye, nose, left_eye.
    assert list(model.test_cfg.output_keypoint_indices) == [1, 2, 0]


@pytest.mark.parametrize(
    ('value', 'sentence'),
    [
        ([], r'distill.teacher must have at least one element, got \[\]'),
        ([5], r'each of distill.teacher must be a dict, got 5'),
        (
            ['one.pth', dict(chekpoint='x')],
            r'distill.teacher\[1\] has no chekpoint; did',
        ),
        ([dict(checkpoint=3)], r'distill.teacher\[0\].checkpoint must be a path'),
    ],
)
def test_what_is_no_list_of_teachers_is_refused(config, value, sentence):
    config.distill.teacher = value

    with pytest.raises(UserError, match=sentence):
        Recipe.of(config)


def test_each_checkpoint_must_exist(config, tmp_path):
    (tmp_path / 'two.pth').unlink()

    with pytest.raises(UserError, match=r'the teacher checkpoint .*two\.pth does not'):
        label_config(Recipe.of(config))


def test_checkpoints_are_fused_in_an_evaluation(config):
    config.load_from = 'one.pth'

    tested = tta_config(config, ['two.pth', 'three.pth'])

    assert [each.module for each in tested.model.ensemble] == [config.model] * 2
    guard = tested.custom_hooks[0]
    assert list(guard.ensemble) == ['two.pth', 'three.pth']
    assert 'ensemble' not in tta_config(config).model
