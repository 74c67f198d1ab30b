"""Left and right of keypoints, by names in many styles."""

import numpy as np
import pytest

from mmdistill.functional.keypoint_pairs import find_pairs, lonely_sides

STYLES = {
    'snake': ('left_eye', 'right_eye'),
    'camel': ('leftEye', 'rightEye'),
    'pascal': ('LeftEye', 'RightEye'),
    'upper': ('LEFT_EYE', 'RIGHT_EYE'),
    'spaced': ('Left Ear', 'Right Ear'),
    'behind': ('mouth-left', 'mouth-right'),
    'camel behind': ('eyeLeft', 'eyeRight'),
    'glued': ('leftear', 'rightear'),
    'glued behind': ('earleft', 'earright'),
    'one letter': ('l_ear', 'r_ear'),
    'one letter behind': ('EYE_L', 'EYE_R'),
    'point': ('L.Paw', 'R.Paw'),
    'capital': ('LEye', 'REye'),
    'small before a capital': ('lEye', 'rEye'),
    'capital behind': ('EarL', 'EarR'),
    'capital before small ones': ('Lear', 'Rear'),
    'small and glued': ('lsho', 'rsho'),
    'small, glued behind': ('earl', 'earr'),
    'all capitals, glued': ('LEAR', 'REAR'),
    'letter and number': ('L1', 'R1'),
    'number and letter': ('1L', '1R'),
    'in the middle': ('hand_l_1', 'hand_r_1'),
    'word in the middle': ('FrontLeftPaw', 'FrontRightPaw'),
    'code': ('paw_FL', 'paw_FR'),
    'code before': ('LF', 'RF'),
    'rear code': ('RL', 'RR'),
    'rear code before': ('LR', 'RR'),
    'code and number': ('HL2', 'HR2'),
    'the side alone': ('left', 'right'),
    'a letter alone': ('L', 'R'),
    'short words': ('lt_eye', 'rt_eye'),
    'cases differ': ('Left_eye', 'right_eye'),
    'german': ('linkes_auge_links', 'linkes_auge_rechts'),
    'french': ('oeil_gauche', 'oeil_droite'),
    'spanish': ('ojo_izquierdo', 'ojo_derecho'),
}


@pytest.mark.parametrize('style', STYLES)
def test_a_pair_is_found_in_each_style_and_order(style):
    left, right = STYLES[style]
    assert find_pairs(['nose', left, right]) == [(1, 2)]
    assert find_pairs([right, 'tail', left]) == [(2, 0)]


@pytest.mark.parametrize('style', STYLES)
def test_a_pair_whose_partner_is_absent_is_none(style):
    left, right = STYLES[style]
    assert find_pairs(['nose', left, 'tail']) == []
    assert find_pairs(['nose', right, 'tail']) == []


def test_all_styles_together_pair_as_each_alone():
    # Without those that are the same keypoint in another spelling.
    styles = ('snake', 'behind', 'point', 'code', 'code before', 'letter and number')
    names = [name for style in styles for name in STYLES[style]]
    order = np.random.default_rng(0).permutation(len(names))
    shuffled = [names[number] for number in order]

    found = {(shuffled[a], shuffled[b]) for a, b in find_pairs(shuffled)}

    assert found == {STYLES[style] for style in styles}


@pytest.mark.parametrize(
    'names',
    [
        ['kpt-1', 'kpt-2', 'kpt-3'],
        ['upright', 'cleft', 'bright', 'collar'],
        ['snout', 'tailbase'],
        ['0', '1'],
        ['left_eye', 'left_ear', 'right_hand'],
        [],
    ],
)
def test_names_without_both_sides_have_no_pair(names):
    assert find_pairs(names) == []


def test_four_paws_are_two_pairs():
    names = ['FL', 'FR', 'RL', 'RR']
    assert find_pairs(names) == [(0, 1), (2, 3)]


def test_a_name_that_two_others_fit_stays_alone():
    # `RR` mirrors both `LR` and `RL`.
    assert find_pairs(['RR', 'LR', 'RL']) == []


def test_coco_pairs_as_the_host_has_them(coco_names, coco_metainfo):
    from mmpose.datasets.datasets.utils import parse_pose_metainfo

    parsed = parse_pose_metainfo(coco_metainfo)
    partner = dict(map(tuple, find_pairs(coco_names)))
    partner |= {b: a for a, b in partner.items()}

    assert [partner.get(i, i) for i in range(17)] == parsed['flip_indices']


def test_a_side_without_a_partner_is_told():
    names = ['nose', 'left_eye', 'L_ear', 'R_ear', 'RPaw', 'upright', 'L1']
    assert lonely_sides(names, find_pairs(names)) == [1, 4, 6]
