"""Videos that are to be shown turned or mirrored, as phones write them."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from mmdistill.datasets.sources import VideoSource
from mmdistill.datasets.sources.image_reader import ImageReader
from mmdistill.datasets.sources.packed_images import PackedImages
from tests.helpers.media import HEIGHT, WIDTH

# Where column p and row q are shown: (a, b, c, d) for x = ap + cq and y = bp + dq.
MATRICES = {
    'as it is': (1, 0, 0, 1),
    'mirrored': (-1, 0, 0, 1),
    'half a turn': (-1, 0, 0, -1),
    'upside down': (1, 0, 0, -1),
    'transposed': (0, 1, 1, 0),
    'a turn to the right': (0, 1, -1, 0),
    'transposed the other way': (0, -1, -1, 0),
    'a turn to the left': (0, -1, 1, 0),
}


def corners(number: int) -> np.ndarray:
    """A picture whose quarters are all different."""
    picture = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    picture[: HEIGHT // 2, : WIDTH // 2] = 240
    picture[: HEIGHT // 2, WIDTH // 2 :] = 160
    picture[HEIGHT // 2 :, : WIDTH // 2] = 80
    return picture


def shown_by(picture: np.ndarray, matrix: tuple[int, int, int, int]) -> np.ndarray:
    """Move each pixel to its place, one after the other."""
    a, b, c, d = matrix
    height, width = picture.shape[:2]
    places = {
        (a * p + c * q, b * p + d * q): (q, p)
        for q in range(height)
        for p in range(width)
    }
    left, top = (min(place[axis] for place in places) for axis in (0, 1))
    size = (width, height) if a else (height, width)
    shown = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    for (x, y), pixel in places.items():
        shown[y - top, x - left] = picture[pixel]
    return shown


def set_matrix(path, matrix):
    """Write a display matrix into the header of a track of an MP4."""
    content = bytearray(path.read_bytes())
    header = content.index(b'tkhd')
    start = header + 8 + (32 if content[header + 4] else 20) + 16
    a, b, c, d = (value << 16 for value in matrix)
    content[start : start + 36] = struct.pack('>9i', a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)


@pytest.mark.parametrize('kind', MATRICES)
@pytest.mark.parametrize('name', ['a.mp4', 'a.mov'])
def test_a_frame_is_oriented_as_the_video_says(tmp_path, write_video, name, kind):
    write_video(tmp_path / name, range(4), draw=corners)
    set_matrix(tmp_path / name, MATRICES[kind])
    source = VideoSource(tmp_path, name)
    listing = source.list_images()
    expected = shown_by(corners(0), MATRICES[kind])
    for key, location in zip(listing.keys, listing.locations, strict=True):
        image = source.read(key, location, ImageReader())
        assert image.shape == expected.shape[:2]
        difference = np.abs(image.pixels.astype(int) - expected)
        assert np.quantile(difference, 0.9) < 12
    looked_at = PackedImages(tmp_path)(f'{name}#000003')
    assert np.array_equal(looked_at[..., ::-1], image.pixels)


def test_a_matrix_without_numbers_leaves_the_frame(tmp_path, write_video):
    write_video(tmp_path / 'a.mp4', range(2), draw=corners)
    before = read_first(tmp_path)
    set_matrix(tmp_path / 'a.mp4', (0, 0, 0, 0))
    assert np.array_equal(read_first(tmp_path), before)


def read_first(root):
    source = VideoSource(root, 'a.mp4')
    listing = source.list_images()
    return source.read(listing.keys[0], listing.locations[0], ImageReader()).pixels
