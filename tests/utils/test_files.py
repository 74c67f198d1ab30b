"""Files are written whole or not at all."""

from __future__ import annotations

import bz2
import gzip
import hashlib

import pytest

from mmdistill.errors import UserError
from mmdistill.utils.files import (
    file_sha256,
    folder_problem,
    read_json,
    write_bytes,
    write_json,
    write_whole,
)


def test_write_whole_makes_folders_and_file(tmp_path):
    write_whole(tmp_path / 'a/b/c.txt', lambda part: part.write_text('all'))
    assert (tmp_path / 'a/b/c.txt').read_text() == 'all'


def test_write_whole_leaves_nothing_when_the_writer_dies(tmp_path):
    def write(part):
        part.write_text('half')
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / 'c.txt', write)
    assert list(tmp_path.iterdir()) == []


def test_write_whole_keeps_the_old_file_when_the_writer_dies(tmp_path):
    (tmp_path / 'c.txt').write_text('old')

    def write(part):
        part.write_text('half of the new')
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_whole(tmp_path / 'c.txt', write)
    assert (tmp_path / 'c.txt').read_text() == 'old'


def test_write_whole_refuses_a_folder_that_is_a_file(tmp_path):
    (tmp_path / 'taken').write_text('')
    with pytest.raises(UserError, match=r'taken/c\.txt could not be written: '):
        write_whole(tmp_path / 'taken/c.txt', lambda part: part.write_text('x'))


def test_write_whole_refuses_a_file_that_is_a_folder(tmp_path):
    (tmp_path / 'c.txt').mkdir()
    with pytest.raises(UserError, match=r'c\.txt could not be written: '):
        write_whole(tmp_path / 'c.txt', lambda part: part.write_text('x'))
    assert [path.name for path in tmp_path.iterdir()] == ['c.txt']


def test_json_round_trip(tmp_path):
    content = {'name': 'Åse', 'list': [1, 2.5, None], 'nested': {'yes': True}}
    write_json(tmp_path / 'c.json', content)
    assert read_json(tmp_path / 'c.json', 'the file') == content


def test_json_of_equal_content_has_equal_bytes(tmp_path):
    for name in 'ab':
        write_json(tmp_path / name, {'x': [0.1, 1e-9], 'y': 'ü'})
    assert (tmp_path / 'a').read_bytes() == (tmp_path / 'b').read_bytes()


def test_json_that_is_missing_is_named(tmp_path):
    with pytest.raises(UserError, match=r'the list .*no\.json cannot be read: No'):
        read_json(tmp_path / 'no.json', 'the list')


def test_json_that_is_text_is_named(tmp_path):
    (tmp_path / 'c.json').write_text('{"images": [')
    with pytest.raises(UserError, match=r'the list .*c\.json is not valid JSON'):
        read_json(tmp_path / 'c.json', 'the list')


def test_json_that_is_binary_is_named(tmp_path):
    (tmp_path / 'c.json').write_bytes(b'\xff\xd8\xff\xe0')
    with pytest.raises(UserError, match=r'the list .*c\.json is not valid JSON'):
        read_json(tmp_path / 'c.json', 'the list')


def test_file_sha256_is_that_of_the_bytes(tmp_path):
    (tmp_path / 'c').write_bytes(b'weights' * 1000)
    assert file_sha256(tmp_path / 'c') == hashlib.sha256(b'weights' * 1000).hexdigest()


def test_names_that_are_not_utf8_come_back_from_json(tmp_path):
    content = {'\udce9.jpg': ['\ud800', 'é', '\0', '\\udce9']}
    write_json(tmp_path / 'a.json', content)

    assert read_json(tmp_path / 'a.json', 'it') == content
    (tmp_path / 'a.json').read_bytes().decode('utf-8')


def test_a_name_as_long_as_names_can_be_is_written(tmp_path):
    write_bytes(tmp_path / ('x' * 255), b'1')

    assert [path.name for path in tmp_path.iterdir()] == ['x' * 255]


@pytest.mark.parametrize(
    ('packed', 'sentence'),
    [
        (gzip.compress, r'compressed \(gzip\); unpack it'),
        (bz2.compress, r'compressed \(bzip2\); unpack it'),
        (lambda data: data.decode().encode('utf-16'), 'UTF-16 .*; save it as UTF-8'),
        (lambda data: data.decode().encode('utf-16-le'), 'save it as UTF-8'),
        (lambda data: data.decode().encode('utf-32'), 'save it as UTF-8'),
        (lambda data: data.decode().encode('latin-1'), 'save it as UTF-8'),
    ],
)
def test_json_that_is_no_utf_8_is_a_sentence_with_a_way_on(tmp_path, packed, sentence):
    text = '{"name": "\u00c5se"}'.encode()
    (tmp_path / 'c.json').write_bytes(packed(text))

    with pytest.raises(UserError, match=rf'c\.json is not valid JSON: .*{sentence}$'):
        read_json(tmp_path / 'c.json', 'the list')

    (tmp_path / 'c.json').write_bytes(text)
    assert read_json(tmp_path / 'c.json', 'the list') == {'name': '\u00c5se'}


@pytest.mark.parametrize('below', ['', 'deeper', 'a/b/c'])
def test_a_folder_below_a_file_cannot_be_written_to(tmp_path, below):
    file = tmp_path / 'file'
    file.write_text('')

    assert folder_problem(file / below) == f'{file} is no folder'
    assert folder_problem(tmp_path / below) == ''
