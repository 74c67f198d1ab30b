"""Labeled sets made of several, counted against a slow loop over the host's own set."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest

from mmdistill.errors import UserError
from mmdistill.selection.counts import (
    build_labeled,
    count_labeled,
    count_members,
    labeled_statistics,
    log_members,
)
from mmdistill.utils.dataset_members import instances_of, is_countable, members_of
from tests.helpers.host_sets import write_set
from tests.helpers.mixed_configs import AIC, combined

COCO = dict(from_file='configs/_base_/datasets/coco.py')
# Two points between two joints, which are visible where both joints are.
MPII = [((6, 7), 0), ((14, 15), 1), (10, 10), (11, 8)]


def converter(mapping, num_keypoints=17):
    return dict(type='KeypointConverter', num_keypoints=num_keypoints, mapping=mapping)


@pytest.fixture(scope='module')
def parts(tmp_path_factory):
    """Members of three classes whose images and instances have the same ids."""
    root = tmp_path_factory.mktemp('sets')
    return dict(
        coco=dict(write_set('CocoDataset', root / 'coco', (2, 0, 1)), pipeline=[]),
        aic=dict(
            write_set('AicDataset', root / 'aic', (1, 3, 0, 0)),
            pipeline=[converter(AIC)],
        ),
        mpii=dict(
            write_set('MpiiDataset', root / 'mpii', (1, 4)), pipeline=[converter(MPII)]
        ),
    )


def slow_counts(dataset):
    """Instances and visible keypoints, sample by sample, as training gets them."""
    infos = [dataset[number] for number in range(len(dataset))]
    visible = [info['keypoints_visible'] for info in infos]
    rows = [each[..., 0] if each.ndim == 3 else each for each in visible]
    return len(infos), tuple((np.concatenate(rows) > 0).sum(axis=0).tolist())


def test_every_member_counts_with_the_keypoints_of_the_whole(parts):
    dataset = build_labeled(combined(*parts.values()))

    counts = count_labeled(dataset)

    assert (counts.instances, counts.keypoints) == slow_counts(dataset)
    # Ids repeat between members; MPII lists no image without an instance.
    assert (counts.images, counts.annotated_images) == (3 + 4 + 2, 2 + 2 + 2)
    assert counts.categories == ((1, 12),)


@pytest.mark.parametrize('wrapper', ['ConcatDataset', 'CombinedDataset'])
def test_wrappers_within_wrappers_count_as_their_members(parts, wrapper):
    coco, aic, mpii = parts.values()
    inner = combined(aic, mpii, pipeline=[])
    nested = dict(type=wrapper, datasets=[coco, inner], ignore_keys='CLASSES')
    if wrapper == 'CombinedDataset':
        nested.pop('ignore_keys')
        nested['metainfo'] = COCO

    counts = count_labeled(build_labeled(nested))

    assert counts == count_labeled(build_labeled(combined(coco, aic, mpii)))


def test_a_converter_of_the_whole_comes_after_those_of_its_members(parts):
    # As the bodies of whole-body sets: two sets are joined, then mapped again.
    turned = converter([(i, 16 - i) for i in range(17)])
    inner = combined(parts['coco'], parts['aic'], pipeline=[turned])
    dataset = build_labeled(combined(parts['coco'], inner))

    counts = count_labeled(dataset)

    assert (counts.instances, counts.keypoints) == slow_counts(dataset)


@pytest.mark.parametrize('times', [1, 3])
def test_a_repeated_set_counts_as_often_as_it_is_seen(parts, times):
    once = count_labeled(build_labeled(parts['coco']))

    repeated = count_labeled(
        build_labeled(dict(type='RepeatDataset', times=times, dataset=parts['coco']))
    )

    assert repeated.instances == times * once.instances
    assert repeated.images == times * once.images
    assert repeated.keypoints == tuple(times * count for count in once.keypoints)
    assert (repeated.fingerprint == once.fingerprint) == (times == 1)


@pytest.mark.parametrize('factors', [(1, 2, 0.4), (0.5, 1, 3), (1, 0, 1)])
def test_resampled_members_count_as_much_as_training_draws_of_them(parts, factors):
    dataset = build_labeled(
        combined(*parts.values(), sample_ratio_factor=list(factors))
    )

    counts = count_labeled(dataset)

    members = [count_labeled(build_labeled(part)) for part in parts.values()]
    drawn = [round(m.instances * f) for m, f in zip(members, factors, strict=True)]
    # The host's own length, and what its samples are drawn from.
    assert counts.instances == len(dataset) == sum(drawn)
    images = [round(m.images * f) for m, f in zip(members, factors, strict=True)]
    assert counts.images == pytest.approx(sum(images), abs=1)


def test_draws_of_a_resampled_set_have_the_counted_shares(parts):
    dataset = build_labeled(
        combined(parts['coco'], parts['mpii'], sample_ratio_factor=[4, 1])
    )
    counts = count_labeled(dataset)
    np.random.seed(0)  # noqa: NPY002 (what the host draws from)

    drawn = Counter()
    for _ in range(40):
        for number in range(len(dataset)):
            visible = dataset[number]['keypoints_visible']
            drawn[visible.ndim] += 1

    assert drawn[2] == 40 * 4 * 3
    assert counts.instances == 4 * 3 + 5


def test_fingerprints_distinguish_members_factors_and_order_of_ids(parts):
    coco, aic, mpii = parts.values()
    sets = [
        combined(coco, aic),
        combined(coco, mpii),
        combined(coco, aic, mpii),
        combined(coco, aic, aic),
        combined(coco, aic, sample_ratio_factor=[1, 2]),
        combined(coco, aic, sample_ratio_factor=[2, 1]),
        combined(coco, dict(aic, pipeline=[converter(AIC[::-1][:3])])),
    ]

    found = {count_labeled(build_labeled(each)).fingerprint for each in sets}

    assert len(found) == len(sets)


def test_the_fingerprint_of_a_set_alone_is_that_of_its_combination(parts):
    alone = count_labeled(build_labeled(parts['coco']))
    assert count_labeled(build_labeled(combined(parts['coco']))) == alone


def test_a_member_of_other_keypoints_is_refused_by_name(parts):
    bare = dict(parts['aic'], pipeline=[])

    with pytest.raises(
        UserError,
        match=r'AicDataset .*aic/annotations\.json gives 14 keypoints to a '
        'CombinedDataset of 17; its pipeline needs a KeypointConverter',
    ):
        count_labeled(build_labeled(combined(parts['coco'], bare)))


def test_a_converter_that_does_not_fit_is_refused_by_name(parts):
    wrong = dict(parts['aic'], pipeline=[converter([(30, 0)])])

    with pytest.raises(UserError, match=r'KeypointConverter of AicDataset .* 14 key'):
        count_labeled(build_labeled(combined(parts['coco'], wrong)))


def test_a_member_without_instances_is_refused_by_name(parts, tmp_path):
    empty = write_set('CocoDataset', tmp_path, (0, 0))

    with pytest.raises(UserError, match=r'annotations\.json has no instance'):
        count_labeled(build_labeled(combined(parts['coco'], empty)))


def test_hands_are_mapped_by_their_type(tmp_path):
    # The host's test of the type lets any single hand pass for a left one.
    left = [(i, i) for i in range(21)]
    step = dict(
        type='SingleHandConverter',
        num_keypoints=42,
        left_hand_mapping=left,
        right_hand_mapping=[(i, i + 21) for i in range(21)],
    )
    part = dict(write_set('InterHand2DDoubleDataset', tmp_path), pipeline=[step])
    content = json.loads((tmp_path / 'annotations.json').read_text())
    for annotation in content['annotations']:
        annotation['hand_type'] = 'left'
    (tmp_path / 'annotations.json').write_text(json.dumps(content))
    metainfo = dict(from_file='configs/_base_/datasets/interhand3d.py')
    dataset = build_labeled(dict(combined(part), metainfo=metainfo))

    counts = count_labeled(dataset)

    assert (counts.instances, counts.keypoints) == slow_counts(dataset)


def test_members_are_counted_one_by_one(parts):
    dataset = build_labeled(combined(*parts.values()))

    assert [each.instances for each in count_members(dataset)] == [3, 4, 5]


def test_instances_of_a_member_are_its_own(parts):
    (member,) = members_of(build_labeled(parts['mpii']))

    found = instances_of(member)

    assert found.image_ids.tolist() == [1, 2, 2, 2, 2]
    assert found.category_ids.tolist() == [1] * 5
    assert found.visible.shape == (5, 17)


def test_what_has_no_annotations_cannot_be_counted(parts):
    assert is_countable(build_labeled(combined(*parts.values())))
    assert not is_countable([1, 2, 3])


@pytest.mark.parametrize('factors', [None, (2, 0.5, 1), (1, 0, 3)])
def test_the_report_shows_each_member_as_often_as_it_counts(parts, factors):
    settings = {} if factors is None else dict(sample_ratio_factor=list(factors))
    dataset = build_labeled(combined(*parts.values(), **settings))
    counts = count_labeled(dataset)

    side = labeled_statistics(dataset, counts.images)

    assert len(side.per_image) == counts.images
    assert len(side.visible) == counts.instances
    assert np.abs(side.visible.sum(axis=0) - counts.keypoints).max() <= 1


def test_keypoints_of_a_combination_of_one_are_checked_too(parts):
    with pytest.raises(UserError, match='gives 14 keypoints to a CombinedDataset'):
        count_labeled(build_labeled(combined(dict(parts['aic'], pipeline=[]))))


def test_the_counts_of_each_member_are_logged(parts, logged):
    whole = build_labeled(combined(*parts.values()))

    assert log_members(whole) == count_labeled(whole)
    assert log_members(build_labeled(parts['coco'])).instances == 3

    (line,) = (line for line in logged if 'the labeled set' in line)
    assert line.startswith('the labeled set is made of 3 data sets')
    assert 'mpii/annotations.json with 5 instances on 2 images' in line
