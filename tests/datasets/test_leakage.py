"""Unlabeled images that are in other sets."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

from mmdistill.datasets import UnlabeledDataset, image_hashes
from mmdistill.datasets.leakage import drop_leaked_images, format_leaks, leaked_images
from mmdistill.datasets.sources.source_list import SourceList, build_sources
from mmdistill.errors import UserError
from tests.helpers.media import clouds_of, write_video  # noqa: F401


@pytest.fixture
def folders(tmp_path):
    """Six unlabeled pictures; the validation set has three of them and another."""
    for folder in ('unlabeled', 'val'):
        (tmp_path / folder).mkdir()
    for number in range(6):
        cv2.imwrite(str(tmp_path / f'unlabeled/{number}.png'), large(number))
    shutil.copy(tmp_path / 'unlabeled/1.png', tmp_path / 'val/bytes.png')
    cv2.imwrite(
        str(tmp_path / 'val/jpeg.jpg'), large(3), [cv2.IMWRITE_JPEG_QUALITY, 60]
    )
    half = Image.open(tmp_path / 'unlabeled/4.png').resize((160, 120))
    half.save(tmp_path / 'val/half.png')
    cv2.imwrite(str(tmp_path / 'val/other.png'), large(50))
    (tmp_path / 'val/broken.jpg').write_text('no image')
    return tmp_path


def large(number):
    return cv2.resize(clouds_of(number), (320, 240), interpolation=cv2.INTER_CUBIC)


def names(found):
    return [(number, file.name) for number, file in found]


def unlabeled(root, *configs):
    configs = configs or (dict(type='FolderSource', path='unlabeled'),)
    return SourceList(build_sources(configs, root))


def test_equal_bytes_and_equal_content_are_duplicates(folders):
    files = sorted((folders / 'val').iterdir())
    found = leaked_images(
        unlabeled(folders), folders, {'val': files, 'labeled': files[:1]}
    )
    expected = [(1, 'bytes.png'), (3, 'jpeg.jpg'), (4, 'half.png')]
    assert names(found['val']) == expected
    assert found['labeled'] == []


def test_frames_and_members_are_compared_too(folders, write_video):  # noqa: F811
    write_video(folders / 'v.mp4', range(8), draw=clouds_of, qp='10')
    cv2.imwrite(str(folders / 'val/frame.png'), clouds_of(6))
    images = unlabeled(folders, dict(type='VideoSource', path='v.mp4'))
    files = [folders / 'val/frame.png', folders / 'val/other.png']
    found = leaked_images(images, folders, {'val': files})
    assert names(found['val']) == [(6, 'frame.png')]


def test_hashes_of_unchanged_files_are_kept(folders, monkeypatch):
    files = sorted((folders / 'val').iterdir())
    arguments = (unlabeled(folders), folders, {'val': files}, folders / 'hashes.json')
    first = leaked_images(*arguments)
    calls = []
    real = image_hashes._file_hash
    monkeypatch.setattr(
        image_hashes, '_file_hash', lambda file: calls.append(file.name) or real(file)
    )
    assert leaked_images(*arguments) == first
    assert calls == ['broken.jpg']
    cv2.imwrite(str(folders / 'unlabeled/0.png'), large(77))
    leaked_images(*arguments)
    assert calls[1:] == ['0.png', 'broken.jpg']


def test_a_plan_writes_no_hashes_and_uses_cached_ones(folders, monkeypatch):
    cache = folders / 'hashes.json'
    arguments = (
        unlabeled(folders),
        folders,
        {'val': [folders / 'val/jpeg.jpg']},
        cache,
    )
    first = leaked_images(*arguments, keep_hashes=False)
    assert not cache.exists()
    leaked_images(*arguments)
    monkeypatch.setattr(image_hashes, '_file_hash', pytest.fail)
    assert leaked_images(*arguments, keep_hashes=False) == first


@pytest.fixture
def build(folders, coco_metainfo):
    def build(val, **options):
        infos = [dict(id=i, file_name=name) for i, name in enumerate(val)]
        (folders / 'val.json').write_text(json.dumps({'images': infos}))
        entry = dict(ann_file=f'{folders}/val.json', img_root=f'{folders}/val')
        guard = dict(val=[entry], labeled=[dict(entry, img_root=f'{folders}/none')])
        return UnlabeledDataset(
            coco_metainfo, f'{folders}/unlabeled', leak_guard=guard, **options
        )

    return build


def test_leaks_are_no_images_of_the_data_set_and_boxes_stay_right(folders, build):
    boxes = [
        dict(image_id=i, category_id=1, bbox=[i, i, 9, 9], score=1.0) for i in range(6)
    ]
    (folders / 'boxes.json').write_text(json.dumps(boxes))
    dataset = build(['bytes.png', 'half.png'], bbox_file=str(folders / 'boxes.json'))
    assert dataset.paths == ['0.png', '2.png', '3.png', '5.png']
    corners = [s['data_samples'].gt_instances.bboxes[0, 0] for s in dataset]
    assert corners == [0, 2, 3, 5]


def test_an_unlabeled_set_equal_to_the_validation_set_is_refused(folders, build):
    for number in range(6):
        shutil.copy(folders / f'unlabeled/{number}.png', folders / f'val/{number}.png')
    with pytest.raises(UserError, match='all 6 unlabeled images are in the val'):
        build([f'{number}.png' for number in range(6)])


def test_images_are_named():
    sentence = format_leaks(
        'val', [(f'{i}.png', 'v.png') for i in range(12)], 'are left out'
    )
    assert sentence.startswith('12 unlabeled images are in the val set and are left')
    assert '0.png (v.png), 1.png' in sentence
    assert sentence.endswith(' and 2 others')


def test_a_set_without_readable_list_guards_nothing(folders, coco_metainfo):
    guard = dict(val=[dict(ann_file='gone.json', img_root='')])
    dataset = UnlabeledDataset(coco_metainfo, f'{folders}/unlabeled', leak_guard=guard)
    assert len(dataset) == 6
    assert np.array_equal(dataset[0]['inputs'].numpy().transpose(1, 2, 0), large(0))


def test_images_of_mpii_s_annotations_are_compared(folders):
    instances = [dict(image='bytes.png'), dict(image='half.png')]
    (folders / 'mpii.json').write_text(json.dumps(instances * 2))
    guard = dict(
        val=[dict(ann_file=str(folders / 'mpii.json'), img_root=str(folders / 'val'))]
    )
    stay = drop_leaked_images(unlabeled(folders), folders, guard)
    assert stay.tolist() == [0, 2, 3, 5]


def test_a_validation_set_of_which_no_image_can_be_read_is_refused(folders):
    files = [folders / 'val/broken.jpg', folders / 'val/gone.jpg']

    with pytest.raises(UserError, match=r'none of the 2 images of the val set can be'):
        leaked_images(unlabeled(folders), folders, {'val': files})


def test_images_of_it_that_cannot_be_read_are_counted(folders, logged):
    files = sorted((folders / 'val').iterdir())

    leaked_images(unlabeled(folders), folders, {'val': files})

    (line,) = (line for line in logged if 'cannot be read' in line)
    assert line.startswith(f'1 of {len(files)} images of the val set cannot be read')
    assert line.endswith('broken.jpg')
