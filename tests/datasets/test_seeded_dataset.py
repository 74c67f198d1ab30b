"""Samples of concatenated and of combined data sets, drawn with a seed."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from mmcv.transforms import BaseTransform
from mmengine.dataset import ConcatDataset
from mmpose.datasets import CombinedDataset
from mmpose.datasets.datasets.body import CocoDataset

from mmdistill.datasets import (
    MixedRatioBatchSampler,
    PseudoLabelDataset,
    SeededDataset,
)
from mmdistill.datasets.seeded_dataset import SeededIndex, with_last_step
from mmdistill.errors import UserError
from tests.helpers.chain_metainfo import AS_TEXT, PARTNERS, chain
from tests.helpers.mixed_configs import LOAD, PACK, with_pipelines
from tests.helpers.mixed_sources import Sampler
from tests.helpers.students import CODEC, pipeline, write_labels

CROWDPOSE = dict(from_file='configs/_base_/datasets/crowdpose.py')
# Keypoints of COCO by their places in CrowdPose, which has a head and a neck beside.
TO_CROWDPOSE = [(number, number - 5) for number in range(5, 17)]


class GiveUp(BaseTransform):
    """Gives up some instances, by their number."""

    def __init__(self, ids):
        self.ids = ids

    def transform(self, results):
        return None if results['id'] in self.ids else results


@pytest.fixture
def labels(tmp_path, request):
    """A store of 11 pseudo-labels with numbers from 0."""
    return write_labels(tmp_path, request.getfixturevalue)


@pytest.fixture
def sources(toy_root, labels, coco_metainfo):
    """Make the labeled set and the pseudo-labels, with a pipeline each."""

    def sources(*pipelines):
        labeled = CocoDataset(
            ann_file=str(toy_root / 'annotations/labeled.json'),
            data_prefix=dict(img=f'{toy_root}/images/labeled/'),
            metainfo=coco_metainfo,
            pipeline=pipelines[0],
        )
        pseudo = PseudoLabelDataset(
            str(labels.root), metainfo=coco_metainfo, pipeline=pipelines[1]
        )
        return [labeled, pseudo]

    return sources


@pytest.fixture
def combined(toy_root, labels, coco_metainfo):
    """Make a combined data set of both, with a pipeline of its own."""

    def combined(steps, metainfo=coco_metainfo, own=((), ()), **options):
        configs = [
            dict(
                type='mmpose.CocoDataset',
                ann_file=str(toy_root / 'annotations/labeled.json'),
                data_prefix=dict(img=f'{toy_root}/images/labeled/'),
                metainfo=coco_metainfo,
                pipeline=list(own[0]),
            ),
            dict(
                type='mmdistill.PseudoLabelDataset',
                store=str(labels.root),
                metainfo=coco_metainfo,
                pipeline=list(own[1]),
                **options,
            ),
        ]
        return CombinedDataset(metainfo, configs, pipeline=steps)

    return combined


def scoped(steps):
    """Steps whose types name their registry."""
    steps = copy.deepcopy(steps)
    for step in steps:
        if isinstance(step, dict):
            step['type'] = f'mmpose.{step["type"]}'
    return steps


STEPS = scoped(pipeline(CODEC))
PLAIN = [s for s in STEPS if 'Random' not in s['type'] and 'Photo' not in s['type']]


def ids(dataset, indices):
    return [
        (dataset[i]['data_samples'].img_path, int(dataset[i]['data_samples'].id))
        for i in indices
    ]


def test_a_draw_gives_the_same_pixels_each_time(sources):
    dataset = SeededDataset(ConcatDataset(sources(STEPS, STEPS), ignore_keys='CLASSES'))
    for index in (0, len(dataset) - 1):
        one, again, other = (
            dataset[SeededIndex(index, seed)]['inputs'] for seed in (4, 4, 5)
        )
        assert np.array_equal(one, again)
        assert not np.array_equal(one, other)


@pytest.mark.parametrize('kind', ['concatenated', 'combined'])
def test_a_rejected_sample_is_replaced_within_its_source(sources, combined, kind):
    # Ids of pseudo-labels are below 11, those of the labeled set from 1 on.
    dropped = GiveUp({*range(1, 11)})
    if kind == 'combined':
        dataset = combined([dropped, *STEPS])
    else:
        both = sources([dropped, *STEPS], [dropped, *STEPS])
        dataset = ConcatDataset(both, ignore_keys='CLASSES')
    seeded = SeededDataset(dataset)
    sizes = [len(source) for source in seeded.datasets]
    first = [SeededIndex(i, seed) for i in range(sizes[0]) for seed in range(2)]
    second = [SeededIndex(sizes[0] + i, seed) for i in range(11) for seed in range(2)]

    found, pseudo = ids(seeded, first), ids(seeded, second)

    assert {number for _, number in pseudo} == {0}
    assert all('/labeled/' in path and number > 10 for path, number in found)
    assert found == ids(seeded, first)


def test_the_host_replaces_from_any_source_of_a_combined_set(combined):
    # What the wrapper is for: if this fails, MMPose has mended it.
    dataset = combined([GiveUp({*range(1, 11)}), *STEPS])
    start = len(dataset.datasets[0])
    np.random.seed(0)  # noqa: NPY002
    assert {'/labeled/' in path for path, _ in ids(dataset, [start + 1] * 20)} == {
        True,
        False,
    }


def test_a_source_that_gives_up_everything_is_named(combined):
    dataset = combined([GiveUp({*range(11)}), *STEPS])
    dataset.max_refetch = 3
    with pytest.raises(UserError, match='PseudoLabelDataset that was tried, 4 of them'):
        SeededDataset(dataset)[SeededIndex(len(dataset) - 1, 0)]


def test_a_source_of_a_concatenation_that_gives_up_everything_is_named(sources):
    both = sources(STEPS, [GiveUp({*range(11)}), *STEPS])
    both[1].max_refetch = 3
    seeded = SeededDataset(ConcatDataset(both, ignore_keys='CLASSES'))
    with pytest.raises(UserError, match='PseudoLabelDataset rejects every sample'):
        seeded[SeededIndex(len(seeded) - 1, 0)]


def test_sources_may_have_different_pipelines(sources):
    dataset = SeededDataset(ConcatDataset(sources(PLAIN, STEPS), ignore_keys='CLASSES'))
    labeled, pseudo = (
        [dataset[SeededIndex(i, seed)]['inputs'] for seed in (1, 2)]
        for i in (0, len(dataset) - 1)
    )
    assert np.array_equal(*labeled)
    assert not np.array_equal(*pseudo)


def test_keypoints_are_converted_in_their_source(combined, sources):
    convert = dict(
        type='mmpose.KeypointConverter', num_keypoints=14, mapping=TO_CROWDPOSE
    )
    dataset = SeededDataset(combined(PLAIN, CROWDPOSE, own=([convert], [convert])))
    unchanged = sources(PLAIN, PLAIN)[1]
    start = len(dataset.datasets[0])

    for index in range(len(unchanged)):
        ours = dataset[SeededIndex(start + index, 0)]['data_samples']
        theirs = unchanged[index]['data_samples']
        weights, expected = (
            sample.gt_instance_labels.keypoint_weights for sample in (ours, theirs)
        )
        # Head and neck, which no label has, weigh nothing.
        assert np.array_equal(weights[:, :12], expected[:, 5:])
        assert not weights[:, 12:].any()
        assert np.array_equal(
            ours.gt_fields.heatmaps[:12], theirs.gt_fields.heatmaps[5:]
        )


def test_batches_of_a_combined_set_with_converted_keypoints_hold_their_share(combined):
    convert = dict(
        type='mmpose.KeypointConverter', num_keypoints=14, mapping=TO_CROWDPOSE
    )
    dataset = SeededDataset(combined(STEPS, CROWDPOSE, own=([convert], [convert])))
    for batch in MixedRatioBatchSampler(Sampler(dataset), 5):
        samples = [dataset[i]['data_samples'] for i in batch]
        assert sum('/labeled/' in s.img_path for s in samples) == 3
        assert {s.gt_fields.heatmaps.shape for s in samples} == {(14, 8, 8)}


@pytest.mark.parametrize('weight', [0, 0.25])
def test_pseudo_weight_reaches_a_combined_set(combined, weight):
    plain, weighed = (
        SeededDataset(combined(STEPS, pseudo_weight=w)) for w in (1, weight)
    )
    for index in (0, len(plain) - 1):
        one, other = (
            d[SeededIndex(index, 3)]['data_samples'].gt_instance_labels.keypoint_weights
            for d in (plain, weighed)
        )
        factor = weight if index else 1
        assert one.any()
        assert np.array_equal(one * factor, other)


def test_pseudo_weight_in_a_combined_set_without_the_wrapper_is_refused(combined):
    with pytest.raises(UserError, match='pseudo_weight in a CombinedDataset needs'):
        MixedRatioBatchSampler(Sampler(combined(STEPS, pseudo_weight=0.5)), 5)


def test_all_else_is_the_wrapped_data_set_s(sources):
    inner = ConcatDataset(sources(STEPS, STEPS), ignore_keys='CLASSES')
    dataset = SeededDataset(inner)
    assert dataset.metainfo.keys() == inner.metainfo.keys()
    assert dataset.datasets is inner.datasets
    assert len(dataset) == len(copy.copy(dataset)) == len(inner)


SHOW = [dict(type='PackPoseInputs', pack_transformed=True)]
PACKED = {**PACK, 'pack_transformed': True}


def test_settings_join_the_last_step_of_each_pipeline():
    mix = with_pipelines(None, [LOAD, PACK], [PACK])
    changed = with_last_step(dict(type='Repeat', dataset=mix), SHOW)
    pipelines = [each['pipeline'] for each in changed['dataset']['datasets']]
    assert pipelines == [[LOAD, PACKED], [PACKED]]
    assert mix == with_pipelines(None, [LOAD, PACK], [PACK])


def test_settings_join_the_pipeline_that_samples_end_with():
    changed = with_last_step(with_pipelines([PACK], [LOAD], []), SHOW)
    assert changed == with_pipelines([PACKED], [LOAD], [])


def test_no_pipeline_is_no_change_and_an_empty_one_none_at_all():
    mix = with_pipelines(None, [LOAD, PACK], [PACK])
    assert with_last_step(mix, None) == mix
    assert with_last_step(mix, [dict(type='PackPoseInputs')]) == mix
    assert with_last_step(mix, []) == with_pipelines(None, [], [])


def test_a_step_that_ends_no_pipeline_is_named():
    with pytest.raises(UserError, match=r'must be the last step .* got LoadImage'):
        with_last_step(with_pipelines(None, [LOAD, PACK]), [LOAD])


def test_a_data_set_that_is_built_has_its_pipelines(sources):
    inner = ConcatDataset(sources(STEPS, STEPS), ignore_keys='CLASSES')
    with pytest.raises(UserError, match='got a ConcatDataset that is built'):
        SeededDataset(inner, pipeline=[])


def test_the_sources_of_scrambled_keypoints_are_mirrored_right(tmp_path):
    ann_file = tmp_path / 'empty.json'
    ann_file.write_text('{"images": [], "annotations": [], "categories": []}')
    sets = [
        dict(
            type='mmpose.CocoDataset',
            ann_file=str(ann_file),
            metainfo=chain(AS_TEXT),
            serialize_data=False,
        )
    ] * 2
    dataset = SeededDataset(dict(type='ConcatDataset', datasets=sets))
    for source in (dataset, *dataset.datasets):
        assert source.metainfo['flip_indices'] == PARTNERS


def test_mmpose_sees_the_length_of_each_source(sources):
    both = sources(STEPS, STEPS)
    dataset = SeededDataset(ConcatDataset(both, ignore_keys='CLASSES'))
    assert isinstance(dataset, CombinedDataset)
    assert dataset.lens == [len(source) for source in both]
