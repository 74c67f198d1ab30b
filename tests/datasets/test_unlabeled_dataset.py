"""Unlabeled images with boxes."""

from __future__ import annotations

import json

import cv2
import mmcv
import numpy as np
import pytest

from mmdistill.datasets import UnlabeledDataset
from mmdistill.errors import UserError
from mmdistill.store import LabelStore
from mmdistill.store.manifest import DETECTIONS


@pytest.fixture
def build(tmp_path, coco_metainfo):
    """Build a data set over `images/` of the test's folder."""

    def build(detections=None, **options):
        if detections is not None:
            (tmp_path / 'boxes.json').write_text(json.dumps(detections))
            options['bbox_file'] = str(tmp_path / 'boxes.json')
        return UnlabeledDataset(
            coco_metainfo,
            data_root=str(tmp_path),
            data_prefix=dict(img='images/'),
            **options,
        )

    return build


def box(image_id, *xywh, category_id=1, score=0.5):
    return dict(image_id=image_id, bbox=xywh, score=score, category_id=category_id)


def failure(sample):
    meta = sample['data_samples'].metainfo
    assert meta['status'] == 'failed'
    assert len(sample['data_samples'].gt_instances) == 0
    assert sample['inputs'].shape == (3, 0, 0)
    return meta['reason']


def test_pixels_are_those_of_mmcv(tmp_path, write_images, build):
    (path,) = write_images(tmp_path / 'images', 'a.png')
    pixels = build()[0]['inputs'].numpy().transpose(1, 2, 0)
    assert np.array_equal(pixels, mmcv.imread(path))


def test_an_image_turned_by_exif_is_turned_as_mmcv_turns_it(tmp_path, build):
    image = np.full((20, 30, 3), 200, np.uint8)
    image[:, :10] = 20
    _, data = cv2.imencode('.jpg', image)
    # An APP1 segment that holds a single Exif tag: orientation 6, a quarter turn.
    tiff = b'MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0'
    body = b'Exif\0\0' + tiff
    app1 = b'\xff\xe1' + (len(body) + 2).to_bytes(2, 'big') + body
    raw = data.tobytes()
    (tmp_path / 'images').mkdir()
    (tmp_path / 'images/a.jpg').write_bytes(raw[:2] + app1 + raw[2:])
    sample = build()[0]
    expected = mmcv.imread(tmp_path / 'images/a.jpg')
    assert expected.shape == (30, 20, 3)
    assert np.array_equal(sample['inputs'].numpy().transpose(1, 2, 0), expected)
    assert sample['data_samples'].metainfo['ori_shape'] == (30, 20)


def test_a_gray_image_has_three_channels(tmp_path, build):
    (tmp_path / 'images').mkdir()
    cv2.imwrite(str(tmp_path / 'images/a.png'), np.eye(9, dtype=np.uint8) * 255)
    assert build()[0]['inputs'].shape == (3, 9, 9)


def test_without_detections_the_image_is_one_box(tmp_path, write_images, build):
    write_images(tmp_path / 'images', 'a.png')
    instances = build()[0]['data_samples'].gt_instances
    assert instances.bboxes.tolist() == [[0, 0, 64, 48]]
    assert instances.bbox_scores.tolist() == [1]
    assert instances.category_ids.tolist() == [1]


def test_boxes_belong_to_their_image(tmp_path, write_images, build):
    write_images(tmp_path / 'images', 'a.png', 'b.png', 'c.png')
    dataset = build([box('c', 1, 2, 3, 4), box('a', 5, 6, 7, 8)])
    found = [s['data_samples'].gt_instances.bboxes.tolist() for s in dataset]
    assert found == [[[5, 6, 12, 14]], [], [[1, 2, 4, 6]]]


def test_categories_are_chosen(tmp_path, write_images, build):
    write_images(tmp_path / 'images', 'a.png')
    detections = [box('a', 1, 2, 3, 4), box('a', 5, 6, 7, 8, category_id=44)]
    instances = build(detections, category_ids=[44])[0]['data_samples'].gt_instances
    assert instances.bboxes.tolist() == [[5, 6, 12, 14]]
    assert instances.category_ids.tolist() == [44]


def test_any_category_counts_by_default(tmp_path, write_images, build):
    write_images(tmp_path / 'images', 'a.png')
    dataset = build([box('a', 1, 2, 3, 4, category_id=44)])
    assert len(dataset[0]['data_samples'].gt_instances) == 1


def test_a_coco_list_names_the_images(tmp_path, write_images, build):
    write_images(tmp_path / 'images', 'a.png', 'b.png', 'c.png')
    infos = [dict(id=5, file_name='c.png'), dict(id=3, file_name='b.png')]
    (tmp_path / 'list.json').write_text(json.dumps({'images': infos}))
    dataset = build([box(5, 1, 2, 3, 4)], ann_file='list.json')
    samples = [sample['data_samples'] for sample in dataset]
    assert [s.metainfo['path'] for s in samples] == ['b.png', 'c.png']
    assert [len(s.gt_instances) for s in samples] == [0, 1]


def test_a_sample_says_what_a_teacher_needs(tmp_path, write_images, build):
    write_images(tmp_path / 'images', 'a.png')
    meta = build()[0]['data_samples'].metainfo
    swaps = dict(enumerate(meta['flip_indices']))
    assert all(swaps[swaps[k]] == k for k in range(17))
    assert meta['ori_shape'] == (48, 64)
    assert meta['img_path'] == f'{tmp_path}/images/a.png'
    assert (meta['status'], meta['reason']) == ('ok', '')


def test_a_text_named_jpg_is_a_failed_sample(tmp_path, build):
    (tmp_path / 'images').mkdir()
    (tmp_path / 'images/a.jpg').write_text('not an image')
    assert failure(build()[0]) == 'not an image: no header that Pillow reads'


def test_a_file_without_bytes_is_a_failed_sample(tmp_path, build):
    (tmp_path / 'images').mkdir()
    (tmp_path / 'images/a.jpg').touch()
    reason = failure(build()[0])
    assert reason
    assert str(tmp_path) not in reason


def test_a_file_that_vanished_is_a_failed_sample(tmp_path, write_images, build):
    (path,) = write_images(tmp_path / 'images', 'a.png')
    dataset = build()
    path.unlink()
    assert failure(dataset[0]) == 'No such file or directory'


def test_a_folder_named_as_an_image_is_a_failed_sample(tmp_path, write_images, build):
    (path,) = write_images(tmp_path / 'images', 'a.png')
    dataset = build()
    path.unlink()
    path.mkdir()
    assert failure(dataset[0]) == 'Is a directory'


def test_the_neighbors_of_a_failed_sample_are_fine(tmp_path, write_images, build):
    write_images(tmp_path / 'images', 'a.png', 'c.png')
    (tmp_path / 'images/b.png').write_text('not an image')
    states = [sample['data_samples'].metainfo['status'] for sample in build()]
    assert states == ['ok', 'failed', 'ok']


def test_a_box_off_the_decoded_image_costs_no_other_box(tmp_path, write_images, build):
    write_images(tmp_path / 'images', 'a.png')
    boxes = [box('a', 70, 2, 3, 4), box('a', 1, 2, 3, 4), box('a', -9, 2, 3, 4)]
    sample = build(boxes)[0]['data_samples']
    assert sample.metainfo['status'] == 'ok'
    assert sample.metainfo['reason'] == 'boxes that lie off the image are left out'
    assert sample.gt_instances.bboxes.tolist() == [[1, 2, 4, 6]]
    assert len(sample.gt_instances.bbox_scores) == 1


def test_an_image_whose_boxes_all_lie_off_it_has_none(tmp_path, write_images, build):
    write_images(tmp_path / 'images', 'a.png')
    sample = build([box('a', 70, 2, 3, 4)])[0]['data_samples']
    assert sample.metainfo['status'] == 'ok'
    assert len(sample.gt_instances) == 0


def test_a_box_partly_off_its_image_is_fine(tmp_path, write_images, build):
    write_images(tmp_path / 'images', 'a.png')
    sample = build([box('a', 60, -2, 30, 40)])[0]['data_samples']
    assert sample.metainfo['status'] == 'ok'
    assert sample.gt_instances.bboxes.tolist() == [[60, -2, 90, 38]]


def test_detections_of_unknown_images_are_refused(tmp_path, write_images, build):
    write_images(tmp_path / 'images', 'a.png')
    with pytest.raises(UserError, match=r"images 'b', they are called 'a.png'"):
        build([box('b', 1, 2, 3, 4)])


def test_an_empty_folder_is_refused(tmp_path, build):
    (tmp_path / 'images').mkdir()
    with pytest.raises(UserError, match='holds no image'):
        build()


def test_provenance_names_images_boxes_and_keypoints(
    tmp_path, write_images, build, coco_names
):
    write_images(tmp_path / 'images', 'a.png', 'b.png')
    provenance = build().provenance()
    assert provenance['boxes'] == 'the whole image'
    assert provenance['keypoints'] == coco_names


def test_the_hash_of_boxes_changes_with_the_boxes(tmp_path, write_images, build):
    write_images(tmp_path / 'images', 'a.png')
    first = build([box('a', 1, 2, 3, 4)]).boxes_sha256(np.arange(1))
    second = build([box('a', 1, 2, 3, 5)]).boxes_sha256(np.arange(1))
    assert first != second


def test_provenance_changes_with_the_categories(tmp_path, write_images, build):
    write_images(tmp_path / 'images', 'a.png')
    detections = [box('a', 1, 2, 3, 4), box('a', 5, 6, 7, 8, category_id=44)]
    every = build(detections).provenance()
    some = build(detections, category_ids=[44]).provenance()
    assert every != some


def test_images_come_from_sources_or_from_a_folder(tmp_path, write_images, build):
    write_images(tmp_path / 'images', 'a.png')
    with pytest.raises(UserError, match='from sources or from data_prefix'):
        build(sources=[dict(type='FolderSource', path='images')])


def test_boxes_of_a_detection_store(tmp_path, write_images, coco_metainfo, make_rows):
    write_images(tmp_path / 'images', '000.png', '001.png')
    rows = make_rows((0, 2), num_keypoints=0)
    store = LabelStore(tmp_path / 'found', DETECTIONS)
    made_by = dict(about=dict(img_root='x'), detector=dict(score_thr=0.1))
    options = dict(data_root=str(tmp_path), data_prefix=dict(img='images/'))
    dataset = UnlabeledDataset(coco_metainfo, **options)
    store.claim(dict(made_by, keypoints=[], chunk_size=2), dataset)
    store.write_chunk(0, rows)

    dataset = UnlabeledDataset(coco_metainfo, detections=str(store.root), **options)

    first, second = (dataset[n]['data_samples'] for n in range(2))
    # Nothing was found on the first: an image without instances, not a whole one.
    assert (first.status, len(first.gt_instances)) == ('ok', 0)
    assert np.array_equal(second.gt_instances.bboxes, rows[1].candidates.bboxes)
    assert dataset.about()['detector'] == dict(score_thr=0.1)
    assert dataset.provenance()['boxes'] == 'detections'


def test_images_are_called_by_their_id_or_path(tmp_path, write_images, coco_metainfo):
    write_images(tmp_path, 'a/7.png', 'a/8.png', 'b/9.png')
    images = [dict(id=n, file_name=f'a/{n}.png') for n in (7, 8)]
    (tmp_path / 'list.json').write_text(json.dumps(dict(images=images)))
    sources = [
        dict(type='CocoSource', ann_file='list.json'),
        dict(type='FolderSource', path='b'),
    ]

    dataset = UnlabeledDataset(coco_metainfo, str(tmp_path), sources=sources)

    assert dict(dataset.names()) == {'a/7.png': 7, 'a/8.png': 8, 'b/9.png': 'b/9.png'}


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        *(
            (dict(sources=value), 'sources must be a list')
            for value in ([], {}, 'a', 5)
        ),
        *((dict(sources=[value]), 'a source must be a dict') for value in (5, 'a', [])),
        *(
            (dict(data_prefix=value), 'data_prefix must be a dict')
            for value in ('x/', 5)
        ),
        (
            dict(data_prefix=dict(img=5)),
            r'data_prefix\.img of .* must be a text, got 5',
        ),
        (dict(data_prefix=dict(img=None)), r'data_prefix\.img of .* must be a text'),
        *(
            (dict(data_root=value), 'data_root .* must be a text')
            for value in (5, ['a'])
        ),
        *((dict(ann_file=value), 'ann_file .* must be a text') for value in (5, ['a'])),
        (dict(hidden='yes'), 'hidden must be True or False'),
        (dict(hidden=True, sources=[dict(type='FolderSource')]), 'got both'),
    ],
)
def test_a_value_of_another_kind_is_a_sentence(coco_metainfo, options, sentence):
    with pytest.raises(UserError, match=sentence):
        UnlabeledDataset(coco_metainfo, **options)


def test_omitted_options_may_be_none(tmp_path, write_images, coco_metainfo):
    write_images(tmp_path, 'a.png')
    nothing = dict(data_prefix=None, ann_file=None, sources=None, bbox_file=None)
    assert UnlabeledDataset(coco_metainfo, str(tmp_path), **nothing).paths == ['a.png']
