"""Keypoints in the order of their numbers, checked against the pairs of their names."""

from __future__ import annotations

import json

import numpy as np
import pytest
from mmengine.config import Config
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from mmdistill.config.metainfo import (
    in_number_order,
    loses_order,
    order_keypoints,
    ordered_metainfo,
    true_flip_indices,
)
from tests.helpers.chain_metainfo import AS_TEXT, NUMBERS, PARTNERS, chain

BACKWARD = NUMBERS[::-1]


def test_the_host_mirrors_wrong_keypoints_of_scrambled_metainfo():
    # What all of this is for: if this fails, MMPose has mended it.
    assert parse_pose_metainfo(chain())['flip_indices'] == PARTNERS
    assert parse_pose_metainfo(chain(AS_TEXT))['flip_indices'] != PARTNERS


@pytest.mark.parametrize('order', [AS_TEXT, BACKWARD])
def test_scrambled_metainfo_is_parsed_as_that_in_order(order):
    ours = parse_pose_metainfo(ordered_metainfo(chain(order)))
    theirs = parse_pose_metainfo(chain())
    assert ours.keys() == theirs.keys()
    for key in ours:
        np.testing.assert_array_equal(ours[key], theirs[key])
    assert list(ours['keypoint_id2name']) == list(NUMBERS)


def test_metainfo_in_order_stays_and_is_a_copy():
    given = chain()
    ours = ordered_metainfo(given)
    assert ours == given
    ours['keypoint_info'][0]['name'] = 'other'
    assert given == chain()


def test_numbers_that_json_made_text_are_numbers_again():
    read = json.loads(json.dumps(chain(AS_TEXT)))
    assert parse_pose_metainfo(ordered_metainfo(read))['flip_indices'] == PARTNERS


def test_the_entries_ids_count_where_keys_are_no_numbers():
    named = chain(AS_TEXT)
    named['keypoint_info'] = {
        entry['name']: entry for entry in named['keypoint_info'].values()
    }
    assert parse_pose_metainfo(ordered_metainfo(named))['flip_indices'] == PARTNERS


@pytest.mark.parametrize(
    'entries',
    [{}, {'a': 1, 'b': 2}, {'1': 'a', 1: 'b', 0: 'c'}, {'b': {'id': 0}, 'a': {}}],
)
def test_what_has_no_order_of_numbers_stays(entries):
    assert list(in_number_order(entries).items()) == list(entries.items())


def test_a_file_out_of_order_is_taken_over(tmp_path):
    for name, order in (('good', NUMBERS), ('bad', AS_TEXT)):
        (tmp_path / f'{name}.py').write_text(f'dataset_info = {chain(order)!r}')
    good = dict(from_file=str(tmp_path / 'good.py'))
    bad = dict(from_file=str(tmp_path / 'bad.py'))

    assert parse_pose_metainfo(dict(bad))['flip_indices'] != PARTNERS
    assert parse_pose_metainfo(ordered_metainfo(bad))['flip_indices'] == PARTNERS
    # A file in order stays a file: the config is no longer than it was.
    assert ordered_metainfo(good) == good


def test_a_file_of_mmpose_stays_a_file(coco_metainfo):
    assert ordered_metainfo(coco_metainfo) == coco_metainfo


def test_a_missing_file_is_left_to_the_host():
    assert ordered_metainfo(dict(from_file='none.py')) == dict(from_file='none.py')


def test_all_metainfo_of_a_config_is_ordered_and_said_once(logged):
    scrambled = chain(AS_TEXT)
    config = Config(
        dict(
            model=dict(metainfo=scrambled),
            train_dataloader=dict(
                dataset=dict(
                    datasets=[dict(metainfo=scrambled), dict(metainfo=chain())]
                )
            ),
        )
    )
    assert order_keypoints(config) == 2
    assert len(logged) == 1
    assert 'keypoint_info of chain does not stand in the order' in logged[0]
    datasets = config.train_dataloader.dataset.datasets
    for found in (config.model.metainfo, datasets[0].metainfo, datasets[1].metainfo):
        assert parse_pose_metainfo(found)['flip_indices'] == PARTNERS

    assert order_keypoints(config) == 0
    assert len(logged) == 1


def test_sorting_as_text_needs_more_than_ten_keypoints(coco_metainfo):
    ten = {i: dict(name=str(i)) for i in range(10)}
    assert loses_order(dict(metainfo=chain()))
    assert loses_order([dict(dataset=dict(metainfo=chain()))])
    assert not loses_order(dict(metainfo=dict(keypoint_info=ten)))
    assert not loses_order(dict(metainfo=coco_metainfo))


def test_pairs_of_scrambled_metainfo_are_right():
    assert true_flip_indices(parse_pose_metainfo(chain(AS_TEXT))) == PARTNERS
