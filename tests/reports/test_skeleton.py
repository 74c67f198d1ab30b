import numpy as np
import pytest
from mmengine.config import Config
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS

from mmdistill.errors import UserError
from mmdistill.reports.skeleton import (
    skeleton_of,
    skeleton_of_config,
    skeleton_of_names,
)

THREE_JOINTS = dict(
    dataset_name='three',
    paper_info={},
    keypoint_info={
        0: dict(name='top', id=0, color=[255, 0, 0], type='upper', swap=''),
        1: dict(name='left', id=1, color=[0, 255, 0], type='lower', swap='right'),
        2: dict(name='right', id=2, color=[0, 0, 255], type='lower', swap='left'),
    },
    skeleton_info={0: dict(link=('top', 'right'), id=0, color=[0, 51, 255])},
    joint_weights=[1.0] * 3,
    sigmas=[0.1] * 3,
)


def test_links_and_colors_come_from_the_metainfo():
    skeleton = skeleton_of(dict(type='CocoDataset', metainfo=THREE_JOINTS))
    assert skeleton.links.tolist() == [[0, 2]]
    np.testing.assert_allclose(skeleton.link_colors, [[0, 0.2, 1]])
    np.testing.assert_allclose(skeleton.keypoint_colors, np.eye(3))


def test_a_type_brings_its_own_metainfo():
    skeleton = skeleton_of(dict(type='CocoDataset'))
    assert skeleton.keypoint_colors.shape == (17, 3)
    assert len(skeleton.links) == len(skeleton.link_colors) == 19


def test_a_skeleton_may_have_no_links():
    metainfo = dict(THREE_JOINTS, skeleton_info={})
    skeleton = skeleton_of(dict(metainfo=metainfo))
    assert skeleton.links.shape == (0, 2)
    assert skeleton.link_colors.shape == (0, 3)


def test_the_skeleton_of_known_names_is_that_of_their_data_set(coco_names):
    found, expected = (
        skeleton_of_names(coco_names),
        skeleton_of(dict(type='CocoDataset')),
    )
    np.testing.assert_array_equal(found.links, expected.links)
    np.testing.assert_array_equal(found.keypoint_colors, expected.keypoint_colors)


def test_other_data_sets_of_the_host_are_known_by_their_names():
    mpii = DATASETS.get('MpiiDataset').METAINFO
    names = parse_pose_metainfo(dict(mpii))['keypoint_id2name'].values()
    found = skeleton_of_names(list(names))
    np.testing.assert_array_equal(
        found.links, skeleton_of(dict(type='MpiiDataset')).links
    )


def test_the_order_of_the_names_matters(coco_names):
    assert len(skeleton_of_names(coco_names[::-1]).links) == 0


def test_unknown_keypoints_have_colors_and_no_links():
    skeleton = skeleton_of_names([f'joint {k}' for k in range(12)])
    assert skeleton.links.shape == (0, 2)
    assert skeleton.keypoint_colors.shape == (12, 3)
    assert len({tuple(color) for color in skeleton.keypoint_colors}) == 10


@pytest.mark.parametrize(
    ('sets', 'num_keypoints'),
    [
        (('test', 'val', 'labeled', 'train'), 17),
        (('val', 'labeled', 'train'), 17),
        (('labeled', 'train'), 3),
        (('train',), 17),
    ],
)
def test_the_labeled_set_of_the_section_is_between_those_of_loaders(
    sets, num_keypoints
):
    coco = dict(dataset=dict(type='CocoDataset'))
    three = dict(type='CocoDataset', metainfo=THREE_JOINTS)
    config = {f'{name}_dataloader': coco for name in sets if name != 'labeled'}
    # The section may be incomplete: a teacher and a store are missing.
    config['distill'] = dict(labeled=three) if 'labeled' in sets else {}
    skeleton = skeleton_of_config(Config(config))
    assert len(skeleton.keypoint_colors) == num_keypoints


def test_a_misspelled_key_of_the_section_is_a_sentence():
    config = Config(dict(distill=dict(labelled=dict(type='CocoDataset'))))
    with pytest.raises(UserError, match=r'labelled.*labeled'):
        skeleton_of_config(config)


def test_a_config_without_a_set_is_a_sentence():
    with pytest.raises(UserError, match=r'name one in distill\.labeled'):
        skeleton_of_config(Config(dict(distill={})))
