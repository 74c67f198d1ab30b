"""Keypoints of a new data set: pairs, bones, sigmas, weights."""

import numpy as np
import pytest
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from mmdistill.errors import ConfigError
from mmdistill.recipes.keypoints import describe_keypoints, part_of
from tests.helpers.recipe_data import PERSON, PERSON_POSE, read_labels


def test_coco_s_sigmas_and_weights_are_the_host_s(tmp_path, coco_names, coco_metainfo):
    pose = np.random.default_rng(0).uniform(-1, 1, (17, 2))
    labeled = read_labels(tmp_path, names=coco_names, pose=pose)
    keypoints = describe_keypoints(labeled)
    parsed = parse_pose_metainfo(coco_metainfo)

    assert keypoints.sigmas == pytest.approx(parsed['sigmas'].tolist())
    assert keypoints.weights == pytest.approx(
        parsed['dataset_keypoint_weights'].tolist()
    )
    assert "COCO's own" in keypoints.sigmas_source
    lower = {parsed['keypoint_id2name'][i] for i in parsed['lower_body_ids']}
    assert {coco_names[i] for i in keypoints.lower} == lower
    assert keypoints.is_person
    assert keypoints.has_halves


@pytest.mark.parametrize('seed', [None, 0])
def test_bones_of_coco_s_keypoints_are_the_host_s(
    tmp_path, coco_names, coco_metainfo, seed
):
    """In any order of the keypoints."""
    order = (
        np.arange(17) if seed is None else np.random.default_rng(seed).permutation(17)
    )
    names = [coco_names[i] for i in order]
    pose = np.random.default_rng(0).uniform(-1, 1, (17, 2))
    keypoints = describe_keypoints(read_labels(tmp_path, names=names, pose=pose))
    links = parse_pose_metainfo(coco_metainfo)['skeleton_links']
    assert len(keypoints.bones) == len(links)
    assert {frozenset((names[a], names[b])) for a, b in keypoints.bones} == {
        frozenset((coco_names[a], coco_names[b])) for a, b in links
    }
    assert keypoints.bones_source == "COCO's own"


def test_neck_and_head_have_the_shoulder_s_sigma(tmp_path):
    labeled = read_labels(tmp_path, names=PERSON, pose=PERSON_POSE)
    keypoints = describe_keypoints(labeled)
    assert keypoints.sigmas[PERSON.index('neck')] == 0.079
    assert keypoints.sigmas[PERSON.index('head_top')] == 0.079
    assert 'CrowdPose' in keypoints.sigmas_source


def test_an_animal_has_a_stated_default(tmp_path):
    keypoints = describe_keypoints(read_labels(tmp_path))
    assert keypoints.sigmas == (0.05,) * 4
    assert 'none are published' in keypoints.sigmas_source
    assert keypoints.weights == (1.0,) * 4
    assert not keypoints.is_person
    assert not keypoints.has_halves
    assert keypoints.pairs == ((1, 2),)


def test_bones_are_those_of_the_json_where_it_has_valid_ones(tmp_path):
    stated = read_labels(tmp_path, category=dict(skeleton=[[1, 2], [3, 4]]))
    assert describe_keypoints(stated).bones == ((0, 1), (2, 3))

    for skeleton in ([[0, 1]], [[1, 5]], [[1, 2, 3]], 'none', [['snout', 'leftear']]):
        found = read_labels(tmp_path, category=dict(skeleton=skeleton))
        keypoints = describe_keypoints(found)
        assert len(keypoints.bones) == 3
        assert 'shortest' in keypoints.bones_source


def test_stated_pairs_replace_those_of_the_names(tmp_path):
    keypoints = describe_keypoints(read_labels(tmp_path), [('tailbase', 'snout')])
    assert keypoints.pairs == ((3, 0),)
    assert keypoints.partner == {3: 0, 0: 3}
    assert keypoints.pairs_source == 'stated'


@pytest.mark.parametrize(
    ('pairs', 'sentence'),
    [
        ([('leftear', 'nose')], "got 'nose'; they are snout, leftear"),
        ([('leftear', 'leftear')], "once, got 'leftear' twice"),
        ([('snout', 'leftear'), ('rightear', 'snout')], "got 'snout' twice"),
    ],
)
def test_wrong_pairs_are_refused(tmp_path, pairs, sentence):
    with pytest.raises(ConfigError, match=sentence):
        describe_keypoints(read_labels(tmp_path), pairs)


def test_the_table_shows_pairs_and_singles(tmp_path):
    table = describe_keypoints(read_labels(tmp_path)).pairs_table
    assert 'leftear  <->  rightear' in table
    assert 'without a partner: snout, tailbase' in table


@pytest.mark.parametrize(
    ('name', 'part'),
    [
        ('left_eye', 'eye'),
        ('LEye', 'eye'),
        ('Right Ear', 'ear'),
        ('leftear', 'ear'),
        ('lsho', 'shoulder'),
        ('r_elb', 'elbow'),
        ('Top of Head', 'headtop'),
        ('head_top', 'headtop'),
        ('KneeL', 'knee'),
        ('forearm', 'forearm'),
        ('heart', 'heart'),
        ('kpt-1', 'kpt'),
    ],
)
def test_the_part_of_a_name(name, part):
    assert part_of(name) == part
