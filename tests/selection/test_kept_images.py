"""Videos and tars through the loop, the selection and training's data set."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mmdistill.datasets import PseudoLabelDataset, UnlabeledDataset
from mmdistill.errors import UserError
from mmdistill.selection.training_labels import write_kept_images
from mmdistill.store import LabelStore
from mmdistill.store.image_keys import written_name
from tests.helpers.labeling import Teacher, run_loop
from tests.helpers.media import (  # noqa: F401
    number_in,
    picture_of,
    write_tar,
    write_video,
)


@pytest.fixture
def pile(tmp_path, write_images, write_video, write_tar):  # noqa: F811
    """A folder, a video and a tar; the sources that name them."""
    write_images(tmp_path / 'pile', 'i/a.png', 'i/b.png')
    write_video(tmp_path / 'pile/v.mp4', range(11))
    picture = cv2.imencode('.png', picture_of(33))[1].tobytes()
    write_tar(tmp_path / 'pile/t.tar', {'x.png': picture})
    return [
        dict(type='FolderSource', path='i'),
        dict(type='VideoSource', path='v.mp4', every=2, name='film'),
        dict(type='TarSource', path='t.tar'),
    ]


@pytest.fixture
def label_all(tmp_path, coco_metainfo, pile):
    def label(name, **settings):
        settings.setdefault('dataset', {})['sources'] = pile
        folder = tmp_path / name
        run_loop(tmp_path / 'pile', folder, coco_metainfo, Teacher(), **settings)
        return LabelStore(folder)

    return label


@pytest.fixture
def images(tmp_path, coco_metainfo, pile):
    return lambda: UnlabeledDataset(coco_metainfo, str(tmp_path / 'pile'), sources=pile)


def test_rows_have_keys_and_sources(label_all):
    labels = label_all('labels').read()
    assert labels.failures == [None] * 9
    assert labels.paths.to_pylist() == [
        *('i/a.png', 'i/b.png'),
        *(f'v.mp4#{number:06d}' for number in range(0, 11, 2)),
        't.tar#x.png',
    ]


def test_a_sample_of_a_frame_is_the_frame_and_names_its_source(images):
    samples = [images()[number] for number in (4, 3, 7)]
    pixels = [sample['inputs'].numpy().transpose(1, 2, 0) for sample in samples]
    assert [number_in(one) for one in pixels] == [4, 2, 10]
    assert {sample['data_samples'].metainfo['source'] for sample in samples} == {'film'}


@pytest.mark.parametrize('workers', [1, 2])
def test_the_store_is_the_same_with_any_number_of_workers(label_all, workers):
    stores = [
        label_all(name, loader=dict(num_workers=number))
        for name, number in (('one', 0), ('other', workers))
    ]
    chunks = [
        [file.read_bytes() for file in sorted(store.root.glob('*/*.parquet'))]
        for store in stores
    ]
    assert chunks[0] == chunks[1]


def test_kept_images_are_written_once(label_all, images, make_selection, coco_metainfo):
    store = label_all('labels')
    selection = make_selection(0.1)
    assert write_kept_images(store, selection, images) == 7
    frame = cv2.imread(str(store.root / written_name('v.mp4#000006')))
    assert number_in(frame) == 6
    member = cv2.imread(str(store.root / written_name('t.tar#x.png')))
    assert np.array_equal(member, picture_of(33))
    assert write_kept_images(store, selection, images) == 0


def test_training_reads_the_written_images(
    label_all, images, make_selection, coco_metainfo
):
    store = label_all('labels')
    make_selection(0.1).write(store)
    with pytest.raises(UserError, match=r'7 of the 9 images .*select_labels'):
        PseudoLabelDataset(str(store.root), coco_metainfo)
    write_kept_images(store, make_selection(0.1), images)
    dataset = PseudoLabelDataset(
        str(store.root), coco_metainfo, pipeline=[dict(type='mmpose.LoadImage')]
    )
    shapes = [dataset[number]['img'].shape for number in range(len(dataset))]
    assert shapes == [(48, 64, 3)] * 9


def test_nothing_is_written_when_nothing_is_kept(label_all, make_selection):
    assert write_kept_images(label_all('labels'), make_selection(2.0), None) == 0
