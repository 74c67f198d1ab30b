"""Images with their pseudo-labels as MMPose's own data set gives them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.dataset import ConcatDataset
from mmengine.registry import init_default_scope
from mmpose.datasets.datasets.body import CocoDataset

from mmdistill.datasets import PseudoImageDataset, PseudoLabelDataset, SeededDataset
from mmdistill.datasets.seeded_dataset import SeededIndex, seeded
from mmdistill.errors import ConfigError, StoreError
from mmdistill.selection.export import export_coco
from tests.helpers.image_students import published, shrink

COUNTS = (2, 0, None, 3, 1, 4)
OWN_KEYS = {'id', 'img_id', 'img_path', 'area', 'raw_ann_info', 'segmentation'}


@pytest.fixture
def stored(tmp_path, write_images, make_rows, make_store, make_selection):
    """A store whose selection keeps some instances of three of its images."""
    rows = make_rows(COUNTS)
    write_images(tmp_path / 'images', *(row.path for row in rows))
    rows[4].candidates.instance_scores[:] = 0.1
    store = make_store(tmp_path / 'store', rows, img_root=tmp_path / 'images')
    make_selection(0.4, keypoint_thr=0.3).write(store)
    return store


@pytest.fixture
def build(stored, coco_metainfo):
    """Build a data set of the store."""

    def build(kind=PseudoImageDataset, **options):
        init_default_scope('mmpose')
        return kind(str(stored.root), **{'metainfo': coco_metainfo, **options})

    return build


@pytest.fixture
def build_peer(tmp_path, stored, make_selection, coco_metainfo):
    """Build MMPose's data set of the store's export."""

    def build_peer(**options):
        init_default_scope('mmpose')
        selection = make_selection(0.4, keypoint_thr=0.3)
        export_coco(stored, selection, tmp_path / 'coco.json', 'person')
        return CocoDataset(
            ann_file=str(tmp_path / 'coco.json'),
            data_prefix=dict(img=f'{tmp_path}/images/'),
            data_mode='bottomup',
            metainfo=coco_metainfo,
            **options,
        )

    return build_peer


def test_an_image_has_all_its_instances_and_one_without_does_not_train(build, stored):
    images, instances = build(), build(PseudoLabelDataset)
    infos = [images.get_data_info(i) for i in range(len(images))]

    assert [info['img_path'][-7:] for info in infos] == [
        '000.png',
        '003.png',
        '005.png',
    ]
    assert (
        sum(len(info['bbox']) for info in infos) == len(instances) == images.num_labels
    )
    together = np.concatenate([info['keypoints'] for info in infos])
    for number, keypoints in enumerate(together):
        info = instances.get_data_info(number)
        assert np.array_equal(info['keypoints'][0], keypoints)


def test_values_are_those_of_the_peer(build, build_peer):
    ours, theirs = build(), build_peer()
    assert len(ours) == len(theirs) == 3
    for number in range(3):
        mine, peer = ours.get_data_info(number), theirs.get_data_info(number)
        assert peer.keys() - mine.keys() == {'raw_ann_info', 'segmentation'}
        seen = peer['keypoints_visible'][..., None] > 0
        for info in (mine, peer):
            # Coordinates of a keypoint that trains nothing mean nothing.
            info['keypoints'] = np.where(seen, info['keypoints'], 0)
        assert mine['img_path'] == peer['img_path']
        for key in peer.keys() - OWN_KEYS:
            np.testing.assert_array_equal(mine[key], peer[key], key)
        for key in ('bbox', 'keypoints', 'keypoints_visible', 'area'):
            assert mine[key].dtype == peer[key].dtype == np.float32
        assert [type(mine[key]) for key in ('id', 'iscrowd', 'num_keypoints')] == [
            *(list, list, list)
        ]


@pytest.mark.parametrize('name', ['rtmo-s', 'dekr', 'cid'])
def test_samples_are_those_of_the_peer_in_the_pipeline_of_a_student(
    build, build_peer, name
):
    config = shrink(published(name))
    pipelines = [config.train_dataloader.dataset.pipeline]
    pipelines += [
        hook['new_train_pipeline']
        for hook in config.get('custom_hooks', [])
        if 'new_train_pipeline' in hook
    ]
    for pipeline in pipelines:
        packed = []
        for dataset in (build(pipeline=pipeline), build_peer(pipeline=pipeline)):
            with seeded(3):
                packed.append([dataset[number] for number in range(3)])
        for ours, theirs in zip(*packed, strict=True):
            assert np.array_equal(ours['inputs'], theirs['inputs'])
            mine, peer = (each['data_samples'] for each in (ours, theirs))
            for part in ('gt_instance_labels', 'gt_fields'):
                held, expected = mine.get(part), peer.get(part)
                assert (held is None) == (expected is None)
                for key in expected.keys() if expected is not None else ():
                    found, wanted = held.get(key), expected.get(key)
                    if key == 'keypoints':
                        # Those of a keypoint that trains nothing mean nothing.
                        seen = expected.keypoints_visible[..., None]
                        found, wanted = found * seen, wanted * seen
                    # Areas are rounded in a json.
                    assert np.allclose(found, wanted, atol=0.2)
            assert mine.pseudo
            assert 'pseudo' not in peer


def test_a_draw_mixes_images_of_its_own_source_and_is_the_same_again(
    build, build_peer, monkeypatch
):
    pipeline = shrink(published('rtmo-s')).train_dataloader.dataset.pipeline
    ours, theirs = build(pipeline=pipeline), build_peer(pipeline=pipeline)
    dataset = SeededDataset(ConcatDataset([theirs, ours], ignore_keys='CLASSES'))
    monkeypatch.setattr(theirs, 'get_data_info', None)

    draws = [dataset[SeededIndex(3 + number % 3, seed=number)] for number in (0, 1, 0)]

    assert torch.equal(draws[0]['inputs'], draws[2]['inputs'])
    assert not torch.equal(draws[0]['inputs'], draws[1]['inputs'])
    boxes = [draw['data_samples'].gt_instances.bboxes for draw in draws]
    assert np.array_equal(boxes[0], boxes[2])


def test_changes_in_place_do_not_reach_the_labels(build):
    dataset = build()
    first = dataset.get_data_info(0)
    expected = {key: np.copy(value) for key, value in first.items()}
    for key in ('bbox', 'keypoints', 'keypoints_visible', 'area', 'category_id'):
        first[key] *= 3
    for key, value in dataset.get_data_info(0).items():
        assert np.array_equal(expected[key], value)


def test_an_image_that_loses_all_its_instances_is_replaced(build):
    path = build().get_data_info(0)['img_path']

    def lose(sample):
        if sample['img_path'] == path:
            for key in ('bbox', 'bbox_score', 'keypoints', 'keypoints_visible'):
                sample[key] = sample[key][:0]
        return sample

    pipeline = [dict(type='mmpose.LoadImage'), lose, dict(type='mmpose.PackPoseInputs')]
    dataset = build(pipeline=pipeline)

    with seeded(0):
        sample = dataset[0]['data_samples']
    assert sample.img_path != path
    assert len(sample.gt_instances) > 0


def test_unseen_keypoints_weigh_nothing_where_visibility_is_learned(build):
    plain, weighted = build(), build(visibility_weights=True)
    for number in range(3):
        seen = plain.get_data_info(number)['keypoints_visible']
        both = weighted.get_data_info(number)['keypoints_visible']
        assert set(np.unique(seen)) == {0, 1}
        assert np.array_equal(both, np.stack([seen, seen], axis=2))


def test_categories_that_the_head_has_not_are_refused(build, stored):
    found = {int(i) for i in build().labels.category_ids}
    assert max(found) == 3
    assert len(build(num_classes=3)) == 3
    others = sorted(i for i in found if i > 1)
    with pytest.raises(StoreError, match=rf'categories 1 to 1, .*are of \{others}'):
        build(num_classes=1)


def test_a_weight_is_refused(build):
    with pytest.raises(ConfigError, match=r'must be 1, .* got 0\.5'):
        build(pseudo_weight=0.5)
