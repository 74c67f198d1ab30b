"""Detections in another form than pixels and (x, y, width, height) are refused."""

from __future__ import annotations

import json
import random

import cv2
import numpy as np
import pytest

from mmdistill.datasets.box_providers import build_box_provider
from mmdistill.datasets.boxes import read_boxes
from mmdistill.datasets.detection_forms import check_forms
from mmdistill.datasets.sources import FolderSource
from mmdistill.datasets.sources.image_list import ImageList
from mmdistill.datasets.sources.image_reader import ImageReader
from mmdistill.datasets.sources.source_list import SourceList, build_sources
from mmdistill.errors import UserError
from tests.helpers.media import write_video  # noqa: F401

WIDTH, HEIGHT, IMAGES = 320, 240, 20


def detections(seed=0, largest=0.6, pad=0.0, on_image=True):
    """Two boxes on each image.

    Args:
        seed: Decides all.
        largest: Side of a box at most, of the image's.
        pad: Of the sides, by which boxes are larger on each side.
        on_image: Whether boxes are cut off at the border of the image.
    """
    rng, entries = random.Random(seed), []
    for number in range(2 * IMAGES):
        low, high = [], []
        for side in (WIDTH, HEIGHT):
            length = rng.uniform(0.1, largest) * side
            start = rng.uniform(0, side - length)
            ends = start - pad * length, start + (1 + pad) * length
            if on_image:
                ends = max(0, ends[0]), min(side, ends[1])
            low.append(ends[0])
            high.append(ends[1])
        box = [*low, high[0] - low[0], high[1] - low[1]]
        name = f'{number // 2:03}.png'
        # Boxes that are equal and of one category would count once.
        entries.append(dict(image_id=name, category_id=number, bbox=box, score=0.9))
    return entries


def corners(box):
    x, y, w, h = box
    return [x, y, x + w, y + h]


def centered(box):
    x, y, w, h = box
    return [x + w / 2, y + h / 2, w, h]


def shares(box):
    x, y, w, h = box
    return [x / WIDTH, y / HEIGHT, w / WIDTH, h / HEIGHT]


def percentages(box):
    return [100 * number for number in shares(box)]


def changed(entries, form):
    return [dict(entry, bbox=form(entry['bbox'])) for entry in entries]


FORMS = [
    (corners, r'look like corners \[x1, y1, x2, y2\]'),
    (centered, r'look like \[center x, center y, width, height\]'),
    (shares, 'look like shares of the width'),
]


@pytest.fixture
def read(tmp_path):
    """Read detections on images whose sizes the list states, or does not."""

    def read(entries, known=True):
        (tmp_path / 'boxes.json').write_text(json.dumps(entries))
        names = [f'{number:03}.png' for number in range(IMAGES)]
        sizes = np.array([[WIDTH, HEIGHT]] * IMAGES) if known else None
        return read_boxes(tmp_path / 'boxes.json', ImageList(names, None, sizes))

    return read


@pytest.mark.parametrize(('form', 'sentence'), FORMS)
@pytest.mark.parametrize('seed', range(10))
def test_a_file_in_another_form_is_refused(read, seed, form, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        read(changed(detections(seed), form))
    assert '[x, y, width, height] in pixels' in str(caught.value)


@pytest.mark.parametrize('pad', [0.0, 0.05, 0.25, 1.0])
@pytest.mark.parametrize('on_image', [True, False])
@pytest.mark.parametrize('seed', range(10))
@pytest.mark.parametrize('largest', [0.3, 1.0])
def test_boxes_in_form_are_taken(read, seed, on_image, pad, largest):
    entries = detections(seed, largest, pad, on_image)

    assert len(read(entries).scores) == len(entries)


@pytest.mark.parametrize('first', [0, 1, 20])
def test_boxes_of_whole_images_are_taken(read, first):
    entries = changed(
        detections(), lambda box: [first, first, WIDTH - first, HEIGHT - first]
    )

    assert len(read(entries).scores) == len(entries)


def test_a_box_of_below_a_pixel_among_others_is_taken(read):
    entries = detections()
    entries[3]['bbox'] = [0, 0, 0.5, 0.5]

    assert len(read(entries).scores) == len(entries)


def test_shares_are_told_without_sizes(read):
    with pytest.raises(UserError, match='look like shares'):
        read(changed(detections(), shares), known=False)


@pytest.mark.parametrize(
    ('form', 'sentence'),
    [
        (percentages, 'they must be pixels, not percentages'),
        (lambda box: [3 * number for number in box], 'reach far beyond their images'),
    ],
)
def test_boxes_of_another_scale_are_said(read, caplog_warnings, form, sentence):
    read(changed(detections(), form))

    assert sentence in caplog_warnings()


@pytest.fixture
def caplog_warnings(logged):
    """Sentences that the check warns with."""
    return lambda: '\n'.join(logged)


def test_nothing_is_concluded_without_sizes(tmp_path):
    boxes = np.array([[300.0, 200, 310, 230]] * 5)
    check_forms(tmp_path, boxes, np.full((5, 2), np.nan), ['a'] * 5)


@pytest.fixture
def folder(tmp_path):
    """Images whose sizes nobody states, one of them broken."""
    (tmp_path / 'images').mkdir()
    for number in range(IMAGES):
        image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        cv2.imwrite(str(tmp_path / f'images/{number:03}.png'), image)
    (tmp_path / 'images/000.png').write_bytes(b'')
    return SourceList([FolderSource(tmp_path / 'images', name='')])


@pytest.mark.parametrize(('form', 'sentence'), FORMS)
def test_sizes_are_read_from_the_images(tmp_path, folder, form, sentence):
    path = tmp_path / 'boxes.json'
    path.write_text(json.dumps(changed(detections(), form)))

    with pytest.raises(UserError, match=sentence):
        build_box_provider(folder, str(path), None, None, None, reader=ImageReader())


def test_boxes_in_form_are_taken_where_sizes_are_read(tmp_path, folder):
    path = tmp_path / 'boxes.json'
    path.write_text(json.dumps(detections()))

    boxes = build_box_provider(
        folder, str(path), None, None, None, reader=ImageReader()
    )
    assert boxes.count(np.arange(IMAGES)) == 2 * IMAGES


def test_the_size_of_a_video_is_that_of_its_frames(tmp_path, write_video):  # noqa: F811
    write_video(tmp_path / 'v.mp4', range(5))
    images = SourceList(
        build_sources([dict(type='VideoSource', path='v.mp4')], tmp_path)
    )
    reader = ImageReader()

    sizes = images.sizes(np.arange(5), reader)

    height, width = images.read(0, reader).shape
    assert sizes.tolist() == [[width, height]] * 5


def test_an_empty_list_is_named(read):
    with pytest.raises(UserError, match=r'boxes\.json is an empty list'):
        read([])
