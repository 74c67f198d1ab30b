"""Images in tar shards."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile

import pytest

from mmdistill.datasets.sources import TarSource
from mmdistill.datasets.sources.image_reader import ImageReader
from mmdistill.errors import UserError
from tests.helpers.gray_images import image

READER = ImageReader()


def read_all(source):
    listing = source.list_images()
    pairs = zip(listing.keys, listing.locations, strict=True)
    return [source.read(key, location, READER) for key, location in pairs]


def test_images_are_read_where_they_are(tmp_path, write_tar):
    members = {'a/0.png': image(10), 'a/0.json': b'{}', 'a/1.png': image(30)}
    write_tar(tmp_path / 'p-000.tar', members)
    write_tar(tmp_path / 'p-001.tar', {'2.png': image(50), '2.seg.png': image(70)})
    source = TarSource(tmp_path, 'p-{000..001}.tar')
    listing = source.list_images()
    assert listing.keys == ['p-000.tar#a/0.png', 'p-000.tar#a/1.png', 'p-001.tar#2.png']
    assert [one.pixels[0, 0, 0] for one in read_all(source)] == [10, 30, 50]
    assert source.encoded(listing.keys[1], listing.locations[1], READER) == image(30)


def test_a_pattern_takes_several_shards(tmp_path, write_tar):
    for name in ('b', 'a'):
        write_tar(tmp_path / f'{name}.tar', {'x.jpg': image(1)})
    keys = TarSource(tmp_path, '*.tar').list_images().keys
    assert keys == ['a.tar#x.jpg', 'b.tar#x.jpg']


def test_a_shard_that_ends_early_gives_what_it_has(tmp_path, write_tar):
    path = write_tar(tmp_path / 'a.tar', {f'{i}.png': image(i) for i in range(9)})
    path.write_bytes(path.read_bytes()[: 5 * 1024 + 600])
    source = TarSource(tmp_path, 'a.tar')
    listing = source.list_images()
    reasons = [one.reason for one in read_all(source)]
    assert reasons[:5] == [''] * 5
    assert len(listing.problems) == 1 or 'the tar ends within the image' in reasons[5:]


def test_a_missing_shard_of_a_range_is_logged_and_the_others_are_used(
    tmp_path, write_tar
):
    write_tar(tmp_path / 'p-1.tar', {'0.png': image(1)})
    listing = TarSource(tmp_path, 'p-{0..1}.tar').list_images()
    assert listing.keys == ['p-1.tar#0.png']
    (problem,) = listing.problems
    assert problem.startswith('1 of the 2 files that p-{0..1}.tar names are missing')
    assert problem.endswith(': p-0.tar')


@pytest.mark.parametrize(
    ('path', 'sentence'),
    [('*.tar', 'no tar below .* matches'), ('empty.tar', 'holds no image')],
)
def test_nothing_is_a_sentence(tmp_path, write_tar, path, sentence):
    if path == 'empty.tar':
        write_tar(tmp_path / path, {'a.txt': b'text'})
    with pytest.raises(UserError, match=sentence):
        TarSource(tmp_path, path).list_images()


def listed(tmp_path, write_tar, *names):
    members = {name: image(number) for number, name in enumerate(names)}
    write_tar(tmp_path / 'a.tar', members)
    source = TarSource(tmp_path, 'a.tar')
    listing = source.list_images()
    levels = [int(one.pixels[0, 0, 0]) for one in read_all(source)]
    assert levels == [names.index(key[len('a.tar#') :]) for key in listing.keys]
    return [key[len('a.tar#') :] for key in listing.keys], listing.problems


NAMED = [
    *('a.b.png', 'IMG.2024.01.png', 'v1.2/x.png', './x.png', 'x..png', 'x.PNG'),
    *('/abs/x.png', '../x.png', 'x y.png', 'x.jpg.png', 'x' * 300 + '.png', 'a#1.png'),
]


@pytest.mark.parametrize('name', NAMED)
def test_a_member_of_any_name_is_an_image(tmp_path, write_tar, name):
    assert listed(tmp_path, write_tar, name) == ([name], [])


def test_names_with_dots_are_images_beside_each_other(tmp_path, write_tar):
    names = [
        'd/a.1.png',
        'd/a.2.png',
        'd/a.left.png',
        'd/a.right.png',
        'b.png',
        'b.7.png',
    ]
    assert listed(tmp_path, write_tar, *names) == (names, [])


def test_fields_of_a_sample_are_counted(tmp_path, write_tar):
    names = ['d/0.png', 'd/0.seg.png', 'd/0.depth.16.png', '0.seg.png', 'd/1.seg.png']
    found, (problem,) = listed(tmp_path, write_tar, *names)
    assert found == ['d/0.png', '0.seg.png', 'd/1.seg.png']
    assert problem == (
        f'2 members of the tar {tmp_path}/a.tar are not taken, fields of samples that '
        'have an image: d/0.seg.png, d/0.depth.16.png'
    )


def test_hidden_members_are_counted(tmp_path, write_tar):
    names = ['x.png', '._x.png', '__MACOSX/._x.png', 'd/.thumbnails/y.png', 'a.heic']
    found, problems = listed(tmp_path, write_tar, *names)
    assert found == ['x.png']
    assert [problem.split(' members')[0] for problem in problems] == ['1', '2', '1']


@pytest.mark.parametrize('kind', [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_links_and_repeated_names(tmp_path, kind):
    with tarfile.open(tmp_path / 'a.tar', 'w', format=kind) as tar:
        for name, level in (('é/a.png', 1), ('b.png', 2), ('b.png', 3)):
            info = tarfile.TarInfo(name)
            info.size = len(image(level))
            tar.addfile(info, io.BytesIO(image(level)))
        for name, type_ in (('hard.png', tarfile.LNKTYPE), ('s.png', tarfile.SYMTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = type_, 'é/a.png'
            tar.addfile(info)
        tar.addfile(tarfile.TarInfo('folder.png'), None)
    source = TarSource(tmp_path, 'a.tar')
    listing = source.list_images()
    keys = ['é/a.png', 'b.png', 'hard.png', 'folder.png']
    assert listing.keys == [f'a.tar#{name}' for name in keys]
    images = read_all(source)
    assert [one.pixels[0, 0, 0] for one in images[:3]] == [1, 2, 1]
    assert images[3].reason == 'a file without bytes'
    assert len(listing.problems) == 2


@pytest.mark.parametrize(
    ('compress', 'kind'),
    [(gzip.compress, 'gzip'), (bz2.compress, 'bzip2'), (lzma.compress, 'xz')],
)
def test_a_compressed_tar_is_named(tmp_path, write_tar, compress, kind):
    path = write_tar(tmp_path / 'a.tar', {'0.png': image(1)})
    path.write_bytes(compress(path.read_bytes()))
    with pytest.raises(UserError, match=rf'a\.tar is compressed \({kind}\)'):
        TarSource(tmp_path, 'a.tar').list_images()


def test_a_device_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / 'a.tar')
    (tmp_path / 'b.tar').symlink_to('/dev/zero')
    (tmp_path / 'c.tar').mkdir()
    for path in ('*.tar', '{a,b,c}.tar', 'a.tar', 'b.tar', 'c.tar'):
        with pytest.raises(UserError):
            TarSource(tmp_path, path).list_images()


def test_a_size_below_zero_ends_the_tar(tmp_path, write_tar):
    path = write_tar(tmp_path / 'a.tar', {'0.png': image(1), '1.png': image(2)})
    content = bytearray(path.read_bytes())
    header = tarfile.TarInfo('1.png')
    header.size = -1024
    start = content.index(b'1.png')
    content[start : start + 512] = header.tobuf(tarfile.GNU_FORMAT)
    path.write_bytes(content)
    listing = TarSource(tmp_path, 'a.tar').list_images()
    assert listing.keys == ['a.tar#0.png']
    assert 'cannot be read to its end' in listing.problems[0]
