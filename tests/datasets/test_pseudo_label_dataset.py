"""Pseudo-labels as MMPose's own data set gives them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mmengine.dataset import ConcatDataset
from mmpose.datasets import CombinedDataset
from mmpose.datasets.datasets.body import CocoDataset

from mmdistill.datasets import PseudoLabelDataset
from mmdistill.errors import DataError, UserError
from mmdistill.selection.export import export_coco

COUNTS = (2, 0, None, 3, 0, 4)
# Keys that name the instance, or that only the json has.
OWN_KEYS = {'id', 'img_id', 'img_path', 'area', 'raw_ann_info', 'segmentation'}


def pipeline(codec):
    codec = dict(codec, input_size=(48, 64), heatmap_size=(12, 16), sigma=1.5)
    return [
        dict(type='mmpose.LoadImage'),
        dict(type='mmpose.GetBBoxCenterScale'),
        dict(type='mmpose.RandomFlip', direction='horizontal'),
        dict(type='mmpose.RandomHalfBody'),
        dict(type='mmpose.RandomBBoxTransform'),
        dict(type='mmpose.TopdownAffine', input_size=(48, 64)),
        dict(type='mmpose.GenerateTarget', encoder=codec),
        dict(type='mmpose.PackPoseInputs'),
    ]


@pytest.fixture
def stored(tmp_path, write_images, make_rows, make_store, make_selection):
    """A store with its selection, and the images it was made of."""
    rows = make_rows(COUNTS)
    write_images(tmp_path / 'images', *(row.path for row in rows))
    store = make_store(tmp_path / 'store', rows, img_root=tmp_path / 'images')
    make_selection(0.4, keypoint_thr=0.3).write(store)
    return store


@pytest.fixture
def build(stored, coco_metainfo):
    """Build a data set of the store."""

    def build(**options):
        return PseudoLabelDataset(
            str(stored.root), **{'metainfo': coco_metainfo, **options}
        )

    return build


@pytest.fixture
def build_peer(tmp_path, stored, make_selection, coco_metainfo):
    """Build MMPose's data set of the store's export."""

    def build_peer(score_thr=0.4, **options):
        selection = make_selection(score_thr, keypoint_thr=0.3)
        export_coco(stored, selection, tmp_path / 'coco.json', 'person')
        return CocoDataset(
            ann_file=str(tmp_path / 'coco.json'),
            data_prefix=dict(img=f'{tmp_path}/images/'),
            metainfo=coco_metainfo,
            **options,
        )

    return build_peer


def test_instances_are_those_of_the_peer(build, build_peer):
    ours, theirs = build(), build_peer()
    assert len(ours) == len(theirs) > 3
    for i in range(len(theirs)):
        assert ours.get_data_info(i)['img_path'] == theirs.get_data_info(i)['img_path']


def test_a_sample_has_the_keys_of_the_peer(build, build_peer):
    theirs = set(build_peer().get_data_info(0))
    assert theirs - set(build().get_data_info(0)) == {'raw_ann_info'}


def test_values_are_those_of_the_peer(build, build_peer):
    ours, theirs = build(), build_peer()
    for i in range(len(theirs)):
        mine, peer = ours.get_data_info(i), theirs.get_data_info(i)
        seen = peer['keypoints_visible'][..., None] > 0
        for info in (mine, peer):
            # Coordinates of a keypoint that trains nothing mean nothing.
            info['keypoints'] = np.where(seen, info['keypoints'], 0)
        for key in peer.keys() - OWN_KEYS:
            np.testing.assert_array_equal(mine[key], peer[key], key, strict=True)


@pytest.mark.parametrize(
    'codec', [dict(type='UDPHeatmap'), dict(type='MSRAHeatmap', unbiased=True)]
)
def test_targets_are_those_of_the_peer(build, build_peer, codec):
    samples = []
    for dataset in (
        build(pipeline=pipeline(codec)),
        build_peer(pipeline=pipeline(codec)),
    ):
        np.random.seed(3)  # noqa: NPY002 (MMPose's transforms draw from it)
        samples.append([dataset[i] for i in range(len(dataset))])
    for ours, theirs in zip(*samples, strict=True):
        assert np.array_equal(ours['inputs'], theirs['inputs'])
        mine, peer = (s['data_samples'] for s in (ours, theirs))
        assert np.array_equal(mine.gt_fields.heatmaps, peer.gt_fields.heatmaps)
        weights = [s.gt_instance_labels.keypoint_weights for s in (mine, peer)]
        assert np.array_equal(*weights)


def test_some_targets_are_not_empty(build):
    dataset = build(pipeline=pipeline(dict(type='UDPHeatmap')))
    assert all(
        dataset[i]['data_samples'].gt_fields.heatmaps.max() > 0.3
        for i in range(len(dataset))
    )


def test_a_sample_can_be_asked_for_twice(build):
    dataset = build()
    first = dataset.get_data_info(0)
    first['keypoints'] += 100
    first['bbox'] += 100
    second = dataset.get_data_info(0)
    assert second['keypoints'].max() < 100
    assert second['bbox'].max() < 100


def test_visibility_is_0_or_1(build):
    dataset = build()
    values = [
        dataset.get_data_info(i)['keypoints_visible'] for i in range(len(dataset))
    ]
    assert set(np.unique(values)) == {0, 1}


def test_visible_keypoints_are_counted(build):
    dataset = build()
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    total = sum(info['keypoints_visible'].sum() for info in infos)
    assert dataset.num_visible_keypoints == total


def test_score_thr_overrides_the_selection(build, stored):
    scores = stored.read().candidates.instance_scores
    assert len(build(score_thr=0.7)) == (scores >= 0.7).sum()
    assert len(build(score_thr=0.0)) == len(scores) > len(build())


def test_keypoint_thr_overrides_the_selection(build, stored):
    labels = stored.read().candidates
    seen = labels.keypoint_scores[labels.instance_scores >= np.float32(0.4)] > 0.8
    assert build(keypoint_thr=0.8).num_visible_keypoints == seen.sum()


def test_a_candidate_without_visible_keypoints_is_left_out(build, stored):
    labels = stored.read().candidates
    best = labels.keypoint_scores.max(axis=1)
    kept = build(score_thr=0.0, keypoint_thr=float(np.median(best)))
    assert len(kept) == (best > np.median(best)).sum() < len(best)


def test_a_box_that_is_empty_on_its_image_is_left_out_as_by_the_peer(
    stored, make_rows, build, build_peer
):
    rows = make_rows(COUNTS)
    # It meets the last column of pixels only, which MMPose clips to nothing.
    rows[0].candidates.bboxes[0] = [63.5, 2, 80, 40]
    stored.write_chunk(0, rows[:3])
    assert len(build(score_thr=0.0)) == len(build_peer(score_thr=0.0)) == 8


def test_img_root_moves_the_images(build):
    path = build(img_root='elsewhere').get_data_info(0)['img_path']
    assert path == 'elsewhere/000.png'


def test_nothing_kept_is_refused(build):
    with pytest.raises(
        UserError, match=r'keeps none of 9 candidates at a threshold of 2\.0'
    ):
        build(score_thr=2)


def test_no_visible_keypoint_is_refused(build):
    with pytest.raises(
        UserError, match=r'none of 9 candidates .*visible at keypoint_thr 1.0'
    ):
        build(keypoint_thr=1)


def test_an_incomplete_store_is_refused(build, stored):
    (stored.root / 'chunks/000000.parquet').unlink()
    with pytest.raises(UserError, match='1 of 2 chunks are missing'):
        build()


def test_a_store_without_selection_is_refused(build, stored):
    (stored.root / 'selection.json').unlink()
    with pytest.raises(UserError, match=r'selection\.json cannot be read'):
        build()


def test_a_folder_without_store_is_refused(tmp_path, coco_metainfo):
    with pytest.raises(UserError, match='holds no label store'):
        PseudoLabelDataset(str(tmp_path), metainfo=coco_metainfo)


def test_other_keypoints_are_refused(build):
    with pytest.raises(UserError, match=r"keypoints \['nose'.*wants \['left_shoulder'"):
        build(metainfo=dict(from_file='configs/_base_/datasets/crowdpose.py'))


def test_concatenated_with_the_labeled_set(build, build_peer):
    labeled, pseudo = build_peer(), build()
    together = ConcatDataset([labeled, pseudo], ignore_keys='CLASSES')
    last = together[len(labeled) + 2]
    assert last['img_path'] == pseudo.get_data_info(2)['img_path']


def test_combined_with_the_labeled_set(stored, build_peer, coco_metainfo):
    labeled = build_peer()
    datasets = [
        dict(
            type='mmpose.CocoDataset',
            ann_file=labeled.ann_file,
            data_prefix=labeled.data_prefix,
            metainfo=coco_metainfo,
        ),
        dict(
            type='mmdistill.PseudoLabelDataset',
            store=str(stored.root),
            metainfo=coco_metainfo,
        ),
    ]
    together = CombinedDataset(
        metainfo=coco_metainfo,
        datasets=datasets,
        pipeline=pipeline(dict(type='UDPHeatmap')),
    )
    assert len(together) == 2 * len(labeled)
    assert together[len(together) - 1]['inputs'].shape == (3, 64, 48)


@pytest.mark.parametrize('damage', ['gone', 'broken', 'none'])
def test_an_image_that_cannot_be_read_any_more_is_named(build, damage):
    labels = build(pipeline=[dict(type='mmpose.LoadImage')])
    path = Path(labels.get_data_info(0)['img_path'])
    if damage == 'none':
        assert labels[0] is not None
        return
    if damage == 'gone':
        path.unlink()
    else:
        path.write_bytes(b'text')

    problem = 'does not exist' if damage == 'gone' else 'cannot be read'
    with pytest.raises(DataError, match=f'^the image {path}, .* {problem} any more'):
        labels.prepare_data(0)
