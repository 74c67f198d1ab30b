"""Images in tar shards."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mmdistill.datasets.image_reader import ImageReader
from mmdistill.datasets.sources import TarSource
from mmdistill.errors import UserError

READER = ImageReader()


def image(level):
    return cv2.imencode('.png', np.full((4, 5, 3), level, np.uint8))[1].tobytes()


def read_all(source):
    listing = source.list_images()
    pairs = zip(listing.keys, listing.places, strict=True)
    return [source.read(key, place, READER) for key, place in pairs]


def test_images_are_read_where_they_are(tmp_path, write_tar):
    members = {'a/0.png': image(10), 'a/0.json': b'{}', 'a/1.png': image(30)}
    write_tar(tmp_path / 'p-000.tar', members)
    write_tar(tmp_path / 'p-001.tar', {'2.png': image(50), '2.seg.png': image(70)})
    source = TarSource(tmp_path, 'p-{000..001}.tar')
    listing = source.list_images()
    assert listing.keys == ['p-000.tar#a/0.png', 'p-000.tar#a/1.png', 'p-001.tar#2.png']
    assert [one.pixels[0, 0, 0] for one in read_all(source)] == [10, 30, 50]
    assert source.encoded(listing.keys[1], listing.places[1], READER) == image(30)


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


def test_a_missing_shard_of_a_range_is_told_and_the_others_go_on(tmp_path, write_tar):
    write_tar(tmp_path / 'p-1.tar', {'0.png': image(1)})
    listing = TarSource(tmp_path, 'p-{0..1}.tar').list_images()
    assert listing.keys == ['p-1.tar#0.png']
    assert 'p-0.tar can not be read to its end' in listing.problems[0]


@pytest.mark.parametrize(
    ('path', 'sentence'),
    [('*.tar', 'no tar below .* matches'), ('empty.tar', 'holds no image')],
)
def test_nothing_is_a_sentence(tmp_path, write_tar, path, sentence):
    if path == 'empty.tar':
        write_tar(tmp_path / path, {'a.txt': b'text'})
    with pytest.raises(UserError, match=sentence):
        TarSource(tmp_path, path).list_images()
