"""What a data set's config is made of."""

from __future__ import annotations

import pytest

from mmdistill.config.datasets import (
    end_pipeline,
    end_pipelines,
    has_pseudo,
    labeled_part,
    members_of,
    uncut,
    unparsed_metainfo,
    with_end_pipeline,
)
from mmdistill.errors import UserError

COCO = dict(from_file='configs/_base_/datasets/coco.py')
LOAD, PACK = dict(type='LoadImage'), dict(type='PackPoseInputs')
CONVERT = dict(type='KeypointConverter', num_keypoints=17, mapping=[(0, 0)])
HANDS = dict(type='mmpose.SingleHandConverter', num_keypoints=42)
A = dict(type='CocoDataset', ann_file='a.json', pipeline=[LOAD, PACK])
B = dict(type='AicDataset', ann_file='b.json', pipeline=[CONVERT])
C = dict(type='MpiiDataset', ann_file='c.json', pipeline=[LOAD, HANDS, PACK])
PSEUDO = dict(type='mmdistill.PseudoLabelDataset', store='labels')
REPEATED = dict(type='RepeatDataset', times=3, dataset=B)
COMBINED = dict(
    type='CombinedDataset',
    metainfo=COCO,
    datasets=[A, REPEATED],
    pipeline=[LOAD, CONVERT],
    sample_ratio_factor=[1, 2],
)
NESTED = dict(type='ConcatDataset', datasets=[COMBINED, C])


@pytest.mark.parametrize(
    ('dataset', 'members'),
    [
        (A, [A]),
        (REPEATED, [B]),
        (COMBINED, [A, B]),
        (NESTED, [A, B, C]),
        (dict(type='SeededDataset', dataset=NESTED), [A, B, C]),
    ],
)
def test_members_are_found_at_any_depth(dataset, members):
    assert members_of(dataset) == members


def test_pseudo_labels_are_found_at_any_depth():
    assert not has_pseudo(NESTED)
    wrapped = dict(type='RepeatDataset', times=2, dataset=PSEUDO)
    assert has_pseudo(dict(type='ConcatDataset', datasets=[A, wrapped]))


@pytest.mark.parametrize('dataset', [A, REPEATED, COMBINED, NESTED])
def test_a_set_without_pseudo_labels_is_labeled_whole(dataset):
    assert labeled_part(dataset) == dataset
    assert labeled_part(dict(type='mmdistill.SeededDataset', dataset=dataset)) == (
        dataset
    )


def test_what_stands_beside_pseudo_labels_is_labeled():
    one = dict(type='ConcatDataset', datasets=[PSEUDO, COMBINED])
    two = dict(type='ConcatDataset', ignore_keys='x', datasets=[A, PSEUDO, B])
    within = dict(COMBINED, datasets=[PSEUDO, A, B], sample_ratio_factor=[3, 2, 1])

    assert labeled_part(one) == COMBINED
    assert labeled_part(two) == dict(two, datasets=[A, B])
    assert labeled_part(dict(type='SeededDataset', dataset=within)) == dict(
        within, datasets=[A, B], sample_ratio_factor=[2, 1]
    )


def test_pseudo_labels_alone_are_refused():
    for dataset in (PSEUDO, dict(type='ConcatDataset', datasets=[PSEUDO, PSEUDO])):
        with pytest.raises(UserError, match='trains on no labeled data set'):
            labeled_part(dataset)


def test_only_what_converts_keypoints_is_left_of_pipelines():
    found = uncut(NESTED)

    combined, last = found['datasets']
    assert combined['pipeline'] == [CONVERT]
    assert combined['datasets'][0] == dict(A, pipeline=[])
    assert combined['datasets'][1]['dataset'] == B
    assert combined['sample_ratio_factor'] == [1, 2]
    assert last['pipeline'] == [HANDS]
    assert 'pipeline' not in found


def test_the_given_config_stays():
    before = repr(NESTED)
    uncut(NESTED)['datasets'][0]['datasets'][0]['ann_file'] = 'other.json'
    with_end_pipeline(NESTED, [PACK])
    assert repr(NESTED) == before


@pytest.mark.parametrize(
    ('dataset', 'pipeline', 'count'),
    [
        (A, [LOAD, PACK], 1),
        (REPEATED, [CONVERT], 1),
        (COMBINED, [LOAD, CONVERT], 1),
        (NESTED, [LOAD, CONVERT], 2),
        (dict(type='CocoDataset', ann_file='a.json'), [], 1),
    ],
)
def test_samples_end_in_the_pipeline_of_the_whole(dataset, pipeline, count):
    assert end_pipeline(dataset) == pipeline
    assert len(list(end_pipelines(dataset))) == count
    changed = with_end_pipeline(dataset, [PACK])
    assert list(end_pipelines(changed)) == [[PACK]] * count
    # What members convert stays.
    if dataset is COMBINED:
        assert changed['datasets'] == COMBINED['datasets']


@pytest.mark.parametrize(
    ('dataset', 'file'),
    [
        (A, 'coco.py'),
        (REPEATED, 'aic.py'),
        (COMBINED, 'coco.py'),
        (NESTED, 'coco.py'),
        (dict(type='DeepFashionDataset', subset='lower'), 'deepfashion_lower.py'),
        (dict(type='mmpose.MpiiDataset'), 'mpii.py'),
        (dict(type='MpiiDataset', metainfo=COCO), 'coco.py'),
    ],
)
def test_keypoints_are_those_of_the_whole(dataset, file):
    assert unparsed_metainfo(dataset) == dict(
        from_file=f'configs/_base_/datasets/{file}'
    )


def test_what_states_no_keypoints_is_refused_by_name():
    with pytest.raises(UserError, match='BaseCocoStyleDataset states no keypoints'):
        unparsed_metainfo(dict(type='BaseCocoStyleDataset'))


def test_a_class_that_this_mmpose_has_not_is_refused_by_name():
    # As in the published recipe of five sets of hands.
    with pytest.raises(UserError, match="no data set is registered as 'HalpeHandData"):
        unparsed_metainfo(dict(type='HalpeHandDataset'))
