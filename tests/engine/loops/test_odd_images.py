"""Images of odd names and depths, from the source to the student's sample."""

from __future__ import annotations

import io
import json
import os
import tarfile

import cv2
import numpy as np
import pytest
from PIL import Image

from mmdistill.datasets import PseudoLabelDataset, UnlabeledDataset
from mmdistill.datasets.sources.image_reader import ImageReader
from mmdistill.reports.crops import StoreImages
from mmdistill.selection.export import export_coco
from mmdistill.selection.training_labels import write_kept_images
from mmdistill.store import LabelStore
from tests.helpers.labeling import Teacher, run_loop
from tests.helpers.media import (  # noqa: F401
    picture_of,
    write_tar,
    write_video,
)

LATIN = [
    b'caf\xe9',
    b'\xff\xfe',
    'naïve'.encode(),
    b'a\\udce9',
    b'x' * 250,
    b'\xe9' * 250,
]


@pytest.fixture
def trained_on(tmp_path, coco_metainfo, make_selection):
    """Label sources, select all, and read each image as the student does, by key."""

    def run(sources):
        images = dict(sources=sources)
        root, folder = str(tmp_path / 'pile'), tmp_path / 'labels'
        run_loop(tmp_path / 'pile', folder, coco_metainfo, Teacher(), dataset=images)
        store, selection = LabelStore(folder), make_selection(0.1)
        selection.write(store)
        write_kept_images(
            store, selection, lambda: UnlabeledDataset(coco_metainfo, root, **images)
        )
        loader = [dict(type='mmpose.LoadImage')]
        dataset = PseudoLabelDataset(str(folder), coco_metainfo, pipeline=loader)
        seen = [dataset[number]['img'] for number in range(len(dataset))]
        keys = dataset.labels.paths.to_pylist()
        looked_at = StoreImages(folder, tmp_path / 'pile')
        for key, pixels in zip(keys, seen, strict=True):
            assert np.array_equal(looked_at.read(key)[..., ::-1], pixels)
        export_coco(store, selection, tmp_path / 'export.json', 'person')
        exported = json.loads((tmp_path / 'export.json').read_text(encoding='utf-8'))
        assert [image['file_name'] for image in exported['images']] == keys
        return dict(zip(keys, seen, strict=True))

    (tmp_path / 'pile').mkdir()
    return run


def png(number):
    return cv2.imencode('.png', picture_of(number))[1].tobytes()


def write(folder, name, content):
    with open(os.path.join(os.fsencode(folder), name), 'wb') as file:  # noqa: PTH118
        file.write(content)


def check(seen, count):
    assert len(seen) == count
    shown = sorted(pixels.tobytes() for pixels in seen.values())
    assert shown == sorted(picture_of(number).tobytes() for number in range(count))


@pytest.mark.parametrize(
    'kind', ['FolderSource', 'GlobSource', 'ListSource', 'CocoSource']
)
def test_files_of_any_name_train(tmp_path, trained_on, kind):
    names = [name + b'.png' for name in LATIN]
    for number, name in enumerate(names):
        write(tmp_path / 'pile', name, png(number))
    (tmp_path / 'l.txt').write_bytes(b'\n'.join(names))
    infos = [dict(id=i, file_name=os.fsdecode(n)) for i, n in enumerate(names)]
    (tmp_path / 'l.json').write_text(json.dumps(dict(images=infos)))
    options = dict(
        FolderSource={},
        GlobSource=dict(pattern='*.png'),
        ListSource=dict(path='../l.txt'),
        CocoSource=dict(ann_file='../l.json'),
    )
    seen = trained_on([dict(type=kind, **options[kind])])
    check(seen, len(names))


def test_members_of_any_name_train(tmp_path, trained_on):
    names = [*LATIN, b'../up', b'/root', b'./here', b'a.b', b'd/' * 120 + b'deep']
    with tarfile.open(tmp_path / 'pile/\udcff.tar', 'w') as tar:
        for number, name in enumerate(names):
            info = tarfile.TarInfo(os.fsdecode(name + b'.png'))
            info.size = len(png(number))
            tar.addfile(info, io.BytesIO(png(number)))
    check(trained_on([dict(type='TarSource', path='*.tar')]), len(names))


def test_frames_of_videos_of_any_name_train(tmp_path, trained_on, write_video):  # noqa: F811
    for number, name in enumerate(LATIN):
        write_video(tmp_path / 'a.mkv', [number], codec='ffv1')
        target = os.path.join(os.fsencode(tmp_path), b'pile', name + b'.mkv')  # noqa: PTH118
        os.rename(tmp_path / 'a.mkv', target)  # noqa: PTH104
    seen = trained_on([dict(type='VideoSource', path='')])
    assert len(seen) == len(LATIN)


def test_names_that_no_file_can_have_are_failed_rows(tmp_path, coco_metainfo):
    write(tmp_path, b'a.png', png(0))
    names = ['a.png', 'b\0.png', '\ud800.png', '\udcff.png', 'x' * 300, '/' * 9, '..']
    infos = [dict(id=number, file_name=name) for number, name in enumerate(names)]
    (tmp_path / 'l.json').write_text(json.dumps(dict(images=infos)))
    listed = dict(ann_file='l.json')
    run_loop(
        *(tmp_path, tmp_path / 'labels', coco_metainfo, Teacher()),
        dataset=listed,
        max_failures=1,
    )
    labels = LabelStore(tmp_path / 'labels').read()
    assert labels.num_read == 1
    assert labels.failures[0] is None
    assert len(labels.paths) == len(names)


def camera(bits, dtype=np.uint16):
    """A picture of 8 bits, and the same as a camera of so many bits gives it."""
    picture = picture_of(5).copy()
    picture[0, 0] = 255
    return picture, (picture.astype(np.float64) / 255 * (2**bits - 1)).round().astype(
        dtype
    )


@pytest.mark.parametrize('bits', [8, 10, 12, 14, 16])
@pytest.mark.parametrize('ending', ['.png', '.tif', '.ppm'])
@pytest.mark.parametrize('in_tar', [False, True])
def test_the_student_sees_images_of_16_bits_as_the_teacher_does(
    tmp_path,
    trained_on,
    write_tar,  # noqa: F811
    coco_metainfo,
    bits,
    ending,
    in_tar,
):
    picture, deep = camera(bits)
    content = cv2.imencode(ending, deep)[1].tobytes()
    write(tmp_path / 'pile', f'a{ending}'.encode(), content)
    source = dict(type='FolderSource')
    if in_tar:
        write_tar(tmp_path / 'pile/t.tar', {f'a{ending}': content})
        source = dict(type='TarSource', path='t.tar')
    (seen,) = trained_on([source]).values()
    assert np.abs(seen.astype(int) - picture).max() <= 1
    images = UnlabeledDataset(coco_metainfo, str(tmp_path / 'pile'), sources=[source])
    assert np.array_equal(images[0]['inputs'].numpy().transpose(1, 2, 0), seen)


@pytest.mark.parametrize(
    ('kind', 'scale'),
    [*((np.float32, scale) for scale in (1, 255, 4095)), (np.int32, 4095)],
)
def test_numbers_of_32_bits_train_too(tmp_path, trained_on, kind, scale):
    picture, _ = camera(8)
    numbers = (picture[..., 0].astype(np.float32) / 255 * scale).astype(kind)
    Image.fromarray(numbers).save(tmp_path / 'pile/a.tif')
    (seen,) = trained_on([dict(type='FolderSource')]).values()
    assert np.abs(seen.astype(int) - picture).max() <= 1


@pytest.mark.parametrize('number', [-1, np.nan, np.inf, 2**20])
def test_numbers_that_no_camera_gives_are_a_failed_row(tmp_path, number):
    Image.fromarray(np.full((4, 5), number, np.float32)).save(tmp_path / 'a.tif')
    image = ImageReader().read(tmp_path / 'a.tif')
    assert image.reason == 'not an image that OpenCV decodes'


def test_what_was_done_to_images_is_counted(tmp_path, coco_metainfo, logged):
    for number in range(2):
        deep = cv2.imencode('.png', camera(12)[1])[1].tobytes()
        write(tmp_path, b'%d.png' % number, deep)
    pages = [Image.fromarray(picture_of(number)) for number in range(3)]
    pages[0].save(tmp_path / 'a.tif', save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / 'b.webp', save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / 'c.png')
    run_loop(tmp_path, tmp_path / 'labels', coco_metainfo, Teacher())
    assert [line for line in logged if ' images: ' in line] == [
        '2 images: scaled to 8 bits from 12 bits',
        '2 images: the first of several pictures in the file',
    ]


@pytest.mark.parametrize('labeled_bits', [8, 12, 16, None])
def test_a_teacher_that_knows_such_images_dark_is_shown_them_dark(
    tmp_path, coco_metainfo, labeled_bits
):
    """As MMPose's loader shows the labeled ones to the teacher."""
    picture, numbers = camera(12)
    (tmp_path / 'labeled').mkdir()
    write(tmp_path, b'a.png', cv2.imencode('.png', numbers)[1].tobytes())
    if labeled_bits:
        known = picture if labeled_bits == 8 else camera(labeled_bits)[1]
        write(tmp_path / 'labeled', b'b.png', cv2.imencode('.png', known)[1].tobytes())
    infos = dict(images=[dict(id=1, file_name='b.png')])
    (tmp_path / 'l.json').write_text(json.dumps(infos))
    labeled = [dict(ann_file=str(tmp_path / 'l.json'), img_root=f'{tmp_path}/labeled')]
    image = UnlabeledDataset(coco_metainfo, str(tmp_path), labeled=labeled).read(0)
    brightest = 15 if labeled_bits == 12 else 255
    assert image.pixels.max() == brightest
    assert image.is_scaled == (labeled_bits != 12)
    assert image.note
