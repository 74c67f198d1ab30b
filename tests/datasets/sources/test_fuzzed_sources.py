"""Whatever users and disks come up with, there are rows or one sentence."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from contextlib import suppress
from math import inf, nan
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdistill.datasets.sources.image_reader import ImageReader
from mmdistill.datasets.sources.source_list import SourceList, build_sources
from mmdistill.errors import UserError

READER = ImageReader(max_pixels=10**5)
ENDINGS = [b'.png', b'.PNG', b'.a.png', b' .png']
BYTES = st.integers(1, 255).filter(lambda byte: byte != ord('/'))
NAMES = st.lists(BYTES, max_size=12).map(bytes)
MARKS = [
    *'{}[]*?!,.\\/~#%-',
    '..',
    '**',
    'udcff',
    'u005c',
    '\udcff',
    '\0',
    '0',
    'a',
    '.tar',
]
TEXTS = st.one_of(st.lists(st.sampled_from(MARKS)).map(''.join), st.text(max_size=8))
VALUES = st.recursive(
    st.one_of(
        *(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
        st.sampled_from([b'a', inf, nan, -1, 0, 10**30, '.', 'i', 'l.txt', 'l.json']),
        st.sampled_from(['*.png', '**', 'i/*', 'v.mp4', 't.tar', 'fifo', 't.ta{q,r}']),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)
    ),
    max_leaves=4,
)
OPTIONS = [
    *('type', 'path', 'pattern', 'name', 'include', 'exclude', 'hidden', 'img_root'),
    *('ann_file', 'every', 'seconds', 'duplicate_distance', 'root', 'self', 'depth'),
]
KINDS = [
    *('FolderSource', 'GlobSource', 'ListSource', 'CocoSource', 'VideoSource'),
    *(
        'TarSource',
        'mmdistill.TarSource',
        'Source',
        '',
        '.',
        'os.getcwd',
        'builtins.dict',
    ),
]


def picture(number: int) -> np.ndarray:
    """A picture of its own for each number."""
    rng = np.random.default_rng(number)
    return rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)


def png(number: int) -> bytes:
    return cv2.imencode('.png', picture(number))[1].tobytes()


def fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def read_all(configs, root) -> list:
    """What is read of all images of sources, or the sentence instead."""
    images = None
    with suppress(UserError):
        images = SourceList(build_sources(configs, root))
    if images is None:
        return []
    for key in images.keys.to_pylist():
        assert '\0' not in key.encode().decode()
    read = [images.read(number, READER) for number in range(len(images))]
    for image in read:
        assert bool(image.reason) == (image.pixels.size == 0)
    return read


def check_pictures(read, count: int) -> None:
    assert [image.reason for image in read] == [''] * count
    shown = sorted(image.pixels.tobytes() for image in read)
    assert shown == sorted(picture(number).tobytes() for number in range(count))


@settings(max_examples=60)
@given(st.lists(st.tuples(NAMES, st.sampled_from(ENDINGS)), min_size=1, max_size=6))
def test_files_of_any_name_give_their_own_pixels(tmp_path_factory, names):
    root = fresh(tmp_path_factory.getbasetemp() / 'fuzzed_names')
    files = sorted({b'x' + start + ending for start, ending in names})
    for number, name in enumerate(files):
        with open(os.path.join(os.fsencode(root), name), 'wb') as file:  # noqa: PTH118
            file.write(png(number))
    check_pictures(read_all([dict(type='FolderSource')], root), len(files))
    check_pictures(read_all([dict(type='GlobSource', pattern='*')], root), len(files))
    infos = [dict(id=i, file_name=os.fsdecode(name)) for i, name in enumerate(files)]
    (root / 'l.json').write_text(json.dumps(dict(images=infos)))
    coco = dict(type='CocoSource', ann_file='l.json')
    check_pictures(read_all([coco], root), len(files))


@settings(max_examples=60)
@given(st.lists(st.tuples(NAMES, st.sampled_from(ENDINGS)), min_size=1, max_size=6))
def test_members_of_any_name_give_their_own_pixels(tmp_path_factory, names):
    root = fresh(tmp_path_factory.getbasetemp() / 'fuzzed_members')
    members = sorted({os.fsdecode(b'x' + start + b'1' + end) for start, end in names})
    # Beside an image a name with a further word is a field of its sample.
    members = [f'{number}/{name}' for number, name in enumerate(members)]
    with tarfile.open(root / 't.tar', 'w') as tar:
        for number, name in enumerate(members):
            info = tarfile.TarInfo(name)
            info.size = len(png(number))
            tar.addfile(info, io.BytesIO(png(number)))
    read = read_all([dict(type='TarSource', path='t.tar')], root)
    check_pictures(read, len(members))


@pytest.fixture(scope='module')
def workplace(tmp_path_factory):
    """A folder with a little of everything."""
    root = tmp_path_factory.mktemp('workplace')
    (root / 'i').mkdir()
    (root / 'i/a.png').write_bytes(png(1))
    (root / 'l.txt').write_text('i/a.png\n')
    (root / 'l.json').write_text('{"images": [{"id": 1, "file_name": "i/a.png"}]}')
    (root / 'v.mp4').write_bytes(b'no video')
    with tarfile.open(root / 't.tar', 'w') as tar:
        tar.add(root / 'i/a.png', 'a.png')
    os.mkfifo(root / 'fifo')
    return root


@settings(max_examples=400)
@given(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(OPTIONS), VALUES))
def test_any_options_of_a_source_are_rows_or_a_sentence(workplace, kind, options):
    read_all([dict(type=kind) | options], workplace)


@settings(max_examples=100)
@given(VALUES)
def test_any_value_of_sources_is_rows_or_a_sentence(workplace, value):
    read_all(value, workplace)


IMAGES = st.dictionaries(
    st.sampled_from(['id', 'file_name', 'width', 'height', 'a']), VALUES
)


@settings(max_examples=200)
@given(st.one_of(VALUES, st.fixed_dictionaries({'images': st.lists(IMAGES)})))
def test_any_json_is_a_list_or_a_sentence(workplace, content):
    try:
        text = json.dumps(content)
    except TypeError:
        text = repr(content)
    (workplace / 'fuzzed.json').write_text(text)
    read_all([dict(type='CocoSource', ann_file='fuzzed.json')], workplace)


@settings(max_examples=200)
@given(st.binary(max_size=60))
def test_any_text_is_a_list_or_a_sentence(workplace, content):
    (workplace / 'fuzzed.txt').write_bytes(b'i/a.png\n' + content)
    read_all([dict(type='ListSource', path='fuzzed.txt')], workplace)


def tar_of(kind: int) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode='w', format=kind) as tar:
        for number, name in enumerate(('a.png', 'é' * 120 + '.png', 'b/c.png')):
            info = tarfile.TarInfo(name)
            info.size = len(png(number))
            tar.addfile(info, io.BytesIO(png(number)))
    return sink.getvalue()


TARS = [tar_of(kind) for kind in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)]
CHANGES = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=12)
FIELDS = st.sampled_from([0, 100, 124, 136, 148, 156, 257, 345])
"""Places in a header: name, mode, size, time, checksum, kind, mark, start of a name."""


@settings(max_examples=300)
@given(st.sampled_from(TARS), CHANGES, st.lists(st.tuples(st.integers(0, 12), FIELDS)))
def test_any_bytes_of_a_tar_are_rows_or_a_sentence(
    tmp_path_factory, content, changes, headers
):
    content = bytearray(content)
    for offset, byte in changes:
        content[offset % len(content)] = byte
    for block, field in headers:
        start = 512 * block
        content[start + field : start + field + 8] = b'\xff' * 8
        # A header whose sum is right is believed.
        header = content[start : start + 512]
        header[148:156] = b' ' * 8
        content[start + 148 : start + 156] = b'%06o\0 ' % sum(header)
    root = tmp_path_factory.getbasetemp()
    (root / 'fuzzed.tar').write_bytes(content)
    read_all([dict(type='TarSource', path='fuzzed.tar')], root)
