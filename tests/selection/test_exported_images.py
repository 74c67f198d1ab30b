"""An export of folders, videos and tars: one folder opens all of it."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmpose.datasets.datasets.body import CocoDataset

from mmdistill.datasets import UnlabeledDataset
from mmdistill.errors import UserError
from mmdistill.selection.export import ExportOptions, Surroundings, export_coco
from mmdistill.selection.exported_images import ExportedImages, own_image_ids
from mmdistill.store import LabelStore
from tests.helpers.labeling import Teacher, run_loop
from tests.helpers.media import (  # noqa: F401
    clouds_of,
    picture_of,
    write_tar,
    write_video,
)

TURNED = (0, 1 << 16, 0, -(1 << 16), 0, 0, 48 << 16, 0, 1 << 30)
"""The display matrix of an upright telephone."""


class Pointing(Teacher):
    """A teacher that points five pixels into each box."""

    def test_step(self, batch: dict) -> list:
        samples = super().test_step(batch)
        for sample in samples:
            sample.pred_instances.keypoints += 5
        return samples


def turn(video: Path) -> None:
    """Say of a video that it is to be shown turned clockwise."""
    data = video.read_bytes()
    place = data.index(b'tkhd') + 4 + 40
    matrix = struct.pack('>9i', *TURNED)
    video.write_bytes(data[:place] + matrix + data[place + len(matrix) :])


@pytest.fixture
def pile(tmp_path, write_images, write_video, write_tar):  # noqa: F811
    """Two folders, a tar and videos in both folders, with names in common."""
    root = tmp_path / 'pile'
    write_images(root, 'i/a.png', 'j/a.png', 'j/b.png')
    write_video(root / 'i/v.mp4', range(9), draw=clouds_of)
    write_video(root / 'j/v.mp4', range(20, 26), draw=clouds_of)
    turn(root / 'j/v.mp4')
    member = cv2.imencode('.jpg', picture_of(33))[1].tobytes()
    write_tar(root / 't.tar', {'j/a.jpg': member, 'x.png': b'no picture'})
    return [
        dict(type='FolderSource', path='i', name='one'),
        dict(type='FolderSource', path='j', name='two'),
        dict(type='VideoSource', path='i/v.mp4', every=2, name='film'),
        dict(type='VideoSource', path='j/v.mp4', name='turned'),
        dict(type='TarSource', path='t.tar'),
    ]


@pytest.fixture
def images(tmp_path, coco_metainfo, pile):
    return UnlabeledDataset(coco_metainfo, str(tmp_path / 'pile'), sources=pile)


@pytest.fixture
def export(tmp_path, coco_metainfo, pile, images, make_selection):
    """Label everything and export; returns the json's content."""
    folder = tmp_path / 'labels'
    run_loop(
        *(tmp_path / 'pile', folder, coco_metainfo, Pointing()),
        dataset=dict(sources=pile),
        max_failures=1.0,
    )
    store = LabelStore(folder)

    def export(path=tmp_path / 'out/labels.json', dataset=lambda: images, **options):
        files = ExportedImages(store, path.with_name('labels_images'), dataset)
        export_coco(
            *(store, make_selection(0.1), path, 'person'),
            options=ExportOptions(**options),
            surroundings=Surroundings(files_of=files),
        )
        return json.loads(path.read_text())

    return export


def test_every_file_opens_and_is_what_was_labeled(export, images, tmp_path):
    content = export()
    keys = [key for key in images.paths if key != 't.tar#x.png']
    assert [image.get('key', image['file_name']) for image in content['images']] == keys
    for image in content['images']:
        file = tmp_path / 'out/labels_images' / image['file_name']
        number = images.paths.index(image.get('key', image['file_name']))
        right = images[number]['inputs'].numpy().transpose(1, 2, 0)
        assert np.array_equal(cv2.imread(str(file)), right)
        assert right.shape[:2] == (image['height'], image['width'])


@pytest.mark.parametrize(('video', 'every'), [('i/v.mp4', 2), ('j/v.mp4', 1)])
def test_frames_are_those_of_opencv_at_the_same_pixels(export, tmp_path, video, every):
    export()
    capture = cv2.VideoCapture(str(tmp_path / 'pile' / video))
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
    frames = []
    while (step := capture.read())[0]:
        turned = video.startswith('j')
        frames.append(cv2.rotate(step[1], 0) if turned else step[1])
    written = sorted((tmp_path / 'out/labels_images' / video).iterdir())
    assert len(written) == len(frames[::every]) > 3
    for file, frame in zip(written, frames[::every], strict=True):
        pixels = cv2.imread(str(file))
        assert pixels.shape == frame.shape
        near = np.abs(pixels.astype(float) - frame).mean()
        moved = np.abs(pixels.astype(float) - np.roll(frame, 1, axis=1)).mean()
        assert near < 1.5 < moved


def test_members_and_files_have_their_own_bytes(export, tmp_path):
    export()
    out = tmp_path / 'out/labels_images'
    assert (out / 'j/b.png').read_bytes() == (tmp_path / 'pile/j/b.png').read_bytes()
    member = cv2.imencode('.jpg', picture_of(33))[1].tobytes()
    assert (out / 't.tar/j/a.jpg').read_bytes() == member


def test_what_it_was_made_of_cannot_be_touched_through_it(export, tmp_path):
    before = (tmp_path / 'pile/i/a.png').read_bytes()
    export()
    (tmp_path / 'out/labels_images/i/a.png').write_bytes(b'edited')
    assert (tmp_path / 'pile/i/a.png').read_bytes() == before


def test_it_loads_in_mmpose(export, tmp_path, coco_metainfo):
    content = export()
    dataset = CocoDataset(
        ann_file=str(tmp_path / 'out/labels.json'),
        data_prefix=dict(img=str(tmp_path / 'out/labels_images')),
        metainfo=coco_metainfo,
        pipeline=[dict(type='mmpose.LoadImage')],
    )
    assert len(dataset) == len(content['annotations']) > 0
    shapes = {dataset[number]['img'].shape for number in range(len(dataset))}
    assert shapes == {(48, 64, 3), (64, 48, 3)}


def test_again_it_is_the_same_and_another_file_is_not_overwritten(export, tmp_path):
    export()
    out = tmp_path / 'out'
    before = {p: p.read_bytes() for p in out.rglob('*') if p.is_file()}
    export()
    assert {p: p.read_bytes() for p in out.rglob('*') if p.is_file()} == before
    frame = next(out.glob('labels_images/i/v.mp4/*'))
    frame.write_bytes(b'mine')
    with pytest.raises(UserError, match='is not overwritten; export into another'):
        export()
    assert frame.read_bytes() == b'mine'


@pytest.mark.parametrize('way', ['another folder', 'remove'])
def test_an_export_beside_another_file_is_made_by_either_advice(export, tmp_path, way):
    before = export()
    frame = next((tmp_path / 'out').glob('labels_images/i/v.mp4/*'))
    content = frame.read_bytes()
    frame.write_bytes(b'mine')
    with pytest.raises(UserError, match=r'not overwritten; export into another') as e:
        export()
    (path,) = re.findall(r'^(\S+) exists with another content', str(e.value))
    assert str(e.value).endswith('export into another folder, or remove this file')

    if way == 'remove':
        Path(path).unlink()
        assert export() == before
        assert frame.read_bytes() == content
    else:
        assert export(tmp_path / 'other/labels.json')['images'] == before['images']
        assert frame.read_bytes() == b'mine'


def test_only_what_is_named_is_written(export, tmp_path):
    content = export(most_disagreed=5)
    written = [p for p in (tmp_path / 'out/labels_images').rglob('*') if p.is_file()]
    assert len(written) == len(content['images']) == 5


def test_what_is_gone_or_changed_is_left_out(
    export,
    tmp_path,
    coco_metainfo,
    pile,
    write_video,  # noqa: F811
    logged,
):
    root = tmp_path / 'pile'
    (root / 'i/a.png').unlink()
    write_video(root / 'j/v.mp4', range(20, 26), draw=clouds_of)  # not turned any more
    left = UnlabeledDataset(coco_metainfo, str(root), sources=pile[1:])
    content = export(dataset=lambda: left)
    names = {image['file_name'] for image in content['images']}
    assert len(names) == 2 + 5 + 1
    assert {a['image_id'] for a in content['annotations']} <= {
        image['id'] for image in content['images']
    }
    *_, unread, written = logged
    assert unread.startswith('7 of 15 images cannot be read any more')
    assert written.startswith(f'8 images are written below {tmp_path}')


def test_files_of_folders_stay_where_they_are(
    tmp_path, coco_metainfo, write_images, make_selection, logged
):
    write_images(tmp_path / 'pile', 'a.png', 'b/c.png')
    run_loop(tmp_path / 'pile', tmp_path / 'labels', coco_metainfo, Teacher())
    store = LabelStore(tmp_path / 'labels')
    files = ExportedImages(store, tmp_path / 'out', lambda: pytest.fail('not needed'))
    labels = store.read()
    logged.clear()
    found = files(labels, np.arange(2))
    assert found == {'a.png': 'a.png', 'b/c.png': 'b/c.png'}
    assert not (tmp_path / 'out').exists()
    assert logged == [
        f'every file_name of the export opens below {tmp_path / "pile"}, where the '
        'images were labeled; none is copied'
    ]
    (tmp_path / 'pile/a.png').unlink()
    files(labels, np.arange(2))
    assert logged[1].startswith('1 of 2 images of the export are not below')


def test_images_have_the_ids_of_the_list_that_names_them(
    tmp_path, coco_metainfo, write_images
):
    write_images(tmp_path, 'a.png', 'b.png', 'c/c.png', 'd/d.png', 'e/e.png')
    for name, images in {
        'one.json': [(7, 'a.png'), (3, 'b.png')],
        'two.json': [(7, 'c/c.png'), ('text', 'd/d.png')],
    }.items():
        listed = [dict(id=number, file_name=file) for number, file in images]
        (tmp_path / name).write_text(json.dumps(dict(images=listed[:1])))
        if name == 'one.json':
            (tmp_path / name).write_text(json.dumps(dict(images=listed)))
    dataset = UnlabeledDataset(
        coco_metainfo,
        str(tmp_path),
        sources=[
            dict(type='CocoSource', ann_file='one.json'),
            dict(type='CocoSource', ann_file='two.json'),
            dict(type='FolderSource', path='e'),
        ],
    )
    assert own_image_ids(dataset) == {'b.png': 3}
