"""Frames and members by their keys."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mmdistill.datasets.sources.packed_images import PackedImages
from tests.helpers.media import number_in, picture_of, write_tar, write_video  # noqa: F401


@pytest.fixture
def images(tmp_path, write_video, write_tar):  # noqa: F811
    """What reads a video, and a tar of two pictures whose channels differ."""
    write_video(tmp_path / 'day[1]/a.mp4', range(30))
    red = picture_of(5)
    red[..., :2] = 0
    members = {'0.png': red, 'b/1.png': picture_of(6)}
    pngs = {key: cv2.imencode('.png', p)[1].tobytes() for key, p in members.items()}
    write_tar(tmp_path / 'b.tar', pngs)
    return PackedImages(tmp_path)


def test_frames_are_those_of_their_numbers_in_any_order(images):
    found = [images(f'day[1]/a.mp4#{i:06d}') for i in (7, 3, 29, 0)]
    assert [number_in(pixels) for pixels in found] == [7, 3, 29, 0]


def test_members_are_read_as_rgb(images):
    assert number_in(images('b.tar#b/1.png')) == 6
    assert images('b.tar#0.png').max(axis=(0, 1)).tolist() == [220, 0, 0]


@pytest.mark.parametrize('key', ['day[1]/a.mp4#000030', 'b.tar#2.png', 'c.mp4#000000'])
def test_missing_images_are_none(images, key):
    assert images(key) is None


def test_a_file_is_read_as_labeling_reads_it(tmp_path, images):
    deep = picture_of(9).astype(np.uint16) * 16
    deep[0, 0] = 4095
    cv2.imwrite(str(tmp_path / 'a.png'), deep)
    assert number_in(images('a.png')) == 9
    assert images('gone.png') is None
