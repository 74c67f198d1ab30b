"""Tests of prints: which images count as the same."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmdistill.datasets.image_hashes import (
    file_hashes,
    find_duplicates,
    picture_hashes,
    read_known,
)
from mmdistill.utils.files import write_json

A, B = Path('a.png'), Path('b.png')


def print_of(file, picture):
    """A print of 64 bytes: those of the file, and those of what it shows."""
    return np.repeat(np.array([file, picture], dtype=np.uint8), 32)


def with_flipped_bits(one, count):
    bits = np.unpackbits(one)
    bits[-count:] ^= 1
    return np.packbits(bits)


@pytest.mark.parametrize(('bits', 'same'), [(6, [(0, A)]), (7, [])])
def test_pictures_are_the_same_up_to_six_bits(bits, same):
    mine = with_flipped_bits(print_of(1, 0x55), bits)

    assert find_duplicates([mine], {A: print_of(2, 0x55)}) == same


def test_equal_bytes_go_before_a_like_picture():
    theirs = {A: print_of(2, 0x55), B: print_of(1, 0x55)}

    assert find_duplicates([print_of(1, 0x55)], theirs) == [(0, B)]


def test_an_image_that_cannot_be_read_equals_nothing():
    """Not even a picture whose hash is of zeros, as that of a black frame."""
    black = picture_hashes(Image.new('L', (64, 48)))

    found = find_duplicates([None, black], {A: black})

    assert not black.any()
    assert found == [(1, A)]


@pytest.mark.parametrize('mine', [[], [None], [print_of(1, 1)]])
def test_nothing_is_in_an_empty_set(mine):
    assert find_duplicates(mine, {}) == []


def test_a_file_that_is_no_image_has_no_print(tmp_path):
    Image.new('L', (64, 48)).save(tmp_path / 'a.png')
    (tmp_path / 'b.png').write_text('no image')
    files = [tmp_path / name for name in ('a.png', 'b.png', 'gone.png')]

    assert list(file_hashes(files, {})) == files[:1]


@pytest.mark.parametrize('content', ['[1]', 'no json', '[]'])
def test_an_unusable_cache_is_ignored(tmp_path, content):
    path = tmp_path / 'hashes.json'
    path.write_text(content)

    assert read_known(path) == read_known(None) == {}


@pytest.mark.parametrize('ending', ['png', 'tif'])
def test_other_images_of_16_bits_are_other_images(tmp_path, ending):
    rng = np.random.default_rng(0)
    pictures = [rng.random((24, 32)).repeat(4, 0).repeat(4, 1) for _ in range(2)]
    files = [tmp_path / f'{number}.{ending}' for number in range(3)]
    for file, picture in zip(files, [*pictures, pictures[0] + 0.001], strict=True):
        Image.fromarray((picture * 3000 + 500).astype(np.uint16)).save(file)
    prints = file_hashes(files, {})

    first, second, near_first = (prints[file] for file in files)
    assert find_duplicates([first], {A: second}) == []
    assert find_duplicates([first], {A: near_first}) == [(0, A)]


def test_a_print_of_a_name_that_is_not_utf8_is_kept(tmp_path):
    file = tmp_path / '\udcff.png'
    Image.new('L', (64, 48)).save(file)
    known = {}
    file_hashes([file], known)

    write_json(tmp_path / 'cache.json', known)
    assert read_known(tmp_path / 'cache.json') == known


def test_a_device_has_no_hash_and_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / 'a.png')
    (tmp_path / 'b.png').symlink_to('/dev/zero')

    assert file_hashes([tmp_path / 'a.png', tmp_path / 'b.png'], {}) == {}
