"""Where the images of a store are looked for."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mmdistill.errors import UserError
from mmdistill.reports.crops import StoreImages, no_packed_images

KEY = 'videos/a.mp4#000003'


def frame(gray):
    return np.full((4, 6, 3), gray, np.uint8)


@pytest.fixture
def images(tmp_path):
    def read_packed(key):
        return frame(9) if key == KEY else None

    return StoreImages(tmp_path / 'labels', tmp_path / 'images', read_packed)


def test_a_frame_that_was_written_out_is_read_there(images, tmp_path):
    assert images.read(KEY).max() == 9
    (tmp_path / 'labels/frames/videos').mkdir(parents=True)
    cv2.imwrite(str(tmp_path / f'labels/frames/{KEY}.jpg'), frame(200))
    assert images.read(KEY).min() > 190


def test_a_file_is_read_below_the_image_root(images, write_images, tmp_path):
    write_images(tmp_path / 'images', 'a.png')
    assert images.read('a.png').shape == (48, 64, 3)


@pytest.mark.parametrize(
    ('key', 'sentence'),
    [('b.mp4#000000', r'b\.mp4#000000 of the label .* below'), ('b.png', 'b.png')],
)
def test_what_is_nowhere_is_a_sentence(images, key, sentence):
    with pytest.raises(UserError, match=sentence):
        images.read(key)


def test_without_a_reader_there_are_no_packed_images(tmp_path):
    with pytest.raises(UserError, match='cannot be read'):
        StoreImages(tmp_path, tmp_path, no_packed_images(tmp_path)).read(KEY)
