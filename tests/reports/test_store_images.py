"""Where the images of a store are looked for."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mmdistill.errors import UserError
from mmdistill.reports.crops import StoreImages
from tests.helpers.media import write_video  # noqa: F401  (a fixture)

KEY = 'videos/a.mp4#000003'


def frame(gray):
    return np.full((4, 6, 3), gray, np.uint8)


@pytest.fixture
def images(tmp_path, write_video):  # noqa: F811
    """The images of a store with one video."""
    (tmp_path / 'images/videos').mkdir(parents=True)
    write_video(tmp_path / 'images/videos/a.mp4', range(5))
    return StoreImages(tmp_path / 'labels', tmp_path / 'images')


def test_a_frame_that_was_written_out_is_read_there(images, tmp_path):
    assert images.read(KEY).min() < 190
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
