"""Perceptual hashes."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from mmdistill.datasets.picture_hash import BYTES, hamming_distance, picture_hash


@pytest.fixture(scope='module')
def pictures(toy_root):
    paths = sorted(toy_root.glob('images/labeled/*'))
    return [Image.open(path).convert('RGB') for path in paths]


def distance(left, right):
    return hamming_distance(picture_hash(left), picture_hash(right))


def compressed(picture, quality):
    file = BytesIO()
    picture.save(file, 'JPEG', quality=quality)
    return Image.open(file)


def test_a_hash_has_256_bits(pictures):
    assert picture_hash(pictures[0]).shape == (BYTES,) == (32,)


def test_an_array_is_hashed_as_its_image(pictures):
    gray = pictures[0].convert('L')
    assert distance(gray, np.asarray(gray)) == 0


@pytest.mark.parametrize('quality', [50, 95])
def test_compression_changes_few_bits(pictures, quality):
    assert max(distance(p, compressed(p, quality)) for p in pictures) <= 6


def test_other_pictures_differ_in_many(pictures):
    first, *others = pictures
    assert min(distance(first, other) for other in others) > 20
