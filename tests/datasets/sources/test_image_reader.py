"""Files that nobody vouches for: the right pixels or a reason."""

from __future__ import annotations

import io
import os
import resource
import struct
import zlib

import cv2
import mmcv
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmpose.datasets.transforms import LoadImage
from PIL import Image, ImageOps

from mmdistill.datasets.sources.image_list import SUFFIXES
from mmdistill.datasets.sources.image_reader import ImageReader
from mmdistill.errors import UserError

BYTES = [0, 1, 2, 4, 8, 16, 32, 64, 128, 255]
HEIGHT, WIDTH = 24, 32


def drawn(mode: str = 'RGB') -> Image.Image:
    """A smooth picture."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    rgb = np.stack([x * 7, y * 9, 255 - x * 3 - y * 4], axis=-1).astype(np.uint8)
    return Image.fromarray(rgb).convert(mode)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind, **options)
    return sink.getvalue()


def png_header(width: int, height: int, rows: int) -> bytes:
    """A gray PNG that claims a size and has some rows of nothing."""

    def part(name: bytes, body: bytes) -> bytes:
        check = struct.pack('>I', zlib.crc32(name + body))
        return struct.pack('>I', len(body)) + name + body + check

    size = struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes((width + 1) * rows), 9)
    chunks = part(b'IHDR', size) + part(b'IDAT', pixels) + part(b'IEND', b'')
    return b'\x89PNG\r\n\x1a\n' + chunks


@pytest.fixture
def read(tmp_path):
    """Read bytes as an image."""

    def read(content, name='a.jpg', **options):
        (tmp_path / name).write_bytes(content)
        return ImageReader(**options).read(tmp_path / name)

    return read


FORMATS = {
    'jpeg': encoded(drawn(), 'JPEG', quality=95),
    'progressive jpeg': encoded(drawn(), 'JPEG', quality=95, progressive=True),
    'gray jpeg': encoded(drawn('L'), 'JPEG'),
    'png': encoded(drawn(), 'PNG'),
    'gray png': encoded(drawn('L'), 'PNG'),
    'palette png': encoded(drawn('P'), 'PNG'),
    'one bit png': encoded(drawn('1'), 'PNG'),
    'alpha png': encoded(drawn('RGBA'), 'PNG'),
    'bmp': encoded(drawn(), 'BMP'),
    'webp': encoded(drawn(), 'WEBP'),
    'alpha webp': encoded(drawn('RGBA'), 'WEBP', lossless=True),
    'tiff': encoded(drawn(), 'TIFF'),
}


@pytest.mark.parametrize('kind', FORMATS)
def test_pixels_are_those_that_mmpose_trains_on(read, tmp_path, kind):
    image = read(FORMATS[kind])
    assert image.reason == ''
    assert image.shape == (HEIGHT, WIDTH)
    assert np.array_equal(image.pixels, mmcv.imread(tmp_path / 'a.jpg'))


@pytest.mark.parametrize('kind', ['png', 'bmp', 'tiff', 'alpha webp'])
def test_formats_without_loss_give_the_picture_back(read, kind):
    assert np.array_equal(read(FORMATS[kind]).pixels[..., ::-1], np.asarray(drawn()))


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'TIFF', 'WEBP'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_a_turned_or_mirrored_image_is_in_the_frame_of_training(
    read, tmp_path, kind, orientation
):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = dict(lossless=True) if kind == 'WEBP' else dict(quality=98)
    content = encoded(drawn(), kind, exif=exif, **options)
    image = read(content)
    results = LoadImage().transform(dict(img_path=str(tmp_path / 'a.jpg')))
    assert np.array_equal(image.pixels, results['img'])
    # MMPose does not turn WebP, and the labels must be where it trains on them.
    if kind != 'WEBP':
        upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))))
        assert np.abs(image.pixels[..., ::-1].astype(int) - upright).max() < 16


def test_cmyk_is_near_its_picture(read):
    pixels = read(encoded(drawn('CMYK'), 'JPEG', quality=95)).pixels
    difference = pixels[..., ::-1].astype(int) - np.asarray(drawn())
    assert np.abs(difference).mean() < 12


def test_sixteen_bits_become_eight(read):
    deep = np.asarray(drawn()).astype(np.uint16) * 257
    _, content = cv2.imencode('.png', deep)
    assert np.array_equal(read(content.tobytes()).pixels, np.asarray(drawn()))


@pytest.mark.parametrize('kind', ['WEBP', 'PNG'])
def test_of_an_animation_the_first_picture_counts(read, kind):
    other = Image.new('RGB', (WIDTH, HEIGHT), 'red')
    options = dict(save_all=True, append_images=[other], lossless=True)
    image = read(encoded(drawn(), kind, **options))
    assert np.array_equal(image.pixels[..., ::-1], np.asarray(drawn()))


def test_one_pixel_is_an_image(read):
    content = encoded(Image.new('RGB', (1, 1), (9, 8, 7)), 'PNG')
    assert read(content).pixels.tolist() == [[[7, 8, 9]]]


@pytest.mark.parametrize('kind', FORMATS)
@pytest.mark.parametrize('share', [0.2, 0.7, 0.97])
def test_a_truncated_file_fails(read, kind, share):
    content = FORMATS[kind]
    image = read(content[: int(len(content) * share)])
    assert image.pixels.shape == (0, 0, 3)
    assert image.reason.startswith('not an image')


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        (b'', 'a file without bytes'),
        (b'hello', 'not an image: no header that Pillow reads'),
        (bytes(1000), 'not an image: no header that Pillow reads'),
    ],
)
def test_other_content_fails(read, content, reason):
    assert read(content).reason == reason


def test_a_large_image_fails_with_its_size(read):
    image = read(png_header(9000, 9100, rows=1))
    assert image.reason == 'more pixels than max_pixels'
    assert image.shape == (9100, 9000)


def test_the_limit_itself_is_accepted(read):
    content = FORMATS['png']
    assert read(content, max_pixels=HEIGHT * WIDTH).reason == ''
    assert read(content, max_pixels=HEIGHT * WIDTH - 1).reason != ''


@pytest.mark.parametrize('side', [9000, 20_000, 65_000])
def test_a_decompression_bomb_takes_no_memory(read, side):
    content = png_header(side, side, rows=20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    image = read(content)
    assert image.reason == 'more pixels than max_pixels'
    assert image.shape == (side, side)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown * 1024 < 2**25


def test_a_file_of_many_bytes_is_not_read(tmp_path):
    with (tmp_path / 'a.jpg').open('wb') as file:
        file.truncate(2**40)
    reason = ImageReader().read(tmp_path / 'a.jpg').reason
    assert reason == 'more bytes than max_pixels may need'


def test_an_endless_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / 'a.jpg')
    assert ImageReader().read(tmp_path / 'a.jpg').reason == 'not a regular file'


def test_a_link_to_itself_fails(tmp_path):
    (tmp_path / 'a.jpg').symlink_to(tmp_path / 'a.jpg')
    assert 'symbolic links' in ImageReader().read(tmp_path / 'a.jpg').reason


def test_a_file_that_may_not_be_read_says_so(tmp_path, monkeypatch):
    (tmp_path / 'a.jpg').write_bytes(FORMATS['jpeg'])

    def refuse(path):
        raise PermissionError(13, 'Permission denied')

    monkeypatch.setattr(Image, 'open', refuse)
    assert ImageReader().read(tmp_path / 'a.jpg').reason == 'Permission denied'


def test_a_vanished_file_fails(tmp_path):
    reason = ImageReader().read(tmp_path / 'a.jpg').reason
    assert reason == 'No such file or directory'


@pytest.mark.parametrize('max_pixels', [0, -1, 10**12])
def test_a_limit_that_cannot_be_kept_is_refused(max_pixels):
    with pytest.raises(UserError, match=f'max_pixels must be .*got {max_pixels}'):
        ImageReader(max_pixels)


def deep(ending: str, bits: int = 12) -> bytes:
    numbers = np.asarray(drawn()).astype(np.uint16) * (2**bits // 256)
    return cv2.imencode(ending, numbers)[1].tobytes()


FUZZED = {
    **FORMATS,
    **{f'deep {ending}': deep(ending) for ending in ('.png', '.tif', '.ppm')},
    'gray fractions': encoded(Image.fromarray(np.eye(9, dtype=np.float32)), 'TIFF'),
    'jpeg 2000': encoded(drawn(), 'JPEG2000'),
    'pages': encoded(drawn(), 'TIFF', save_all=True, append_images=[drawn('L')] * 3),
    'gif': encoded(drawn(), 'GIF'),
    'avif': encoded(drawn(), 'AVIF'),
}
ENDINGS = {
    '.bmp': 'BMP',
    '.dib': 'BMP',
    '.jp2': 'JPEG2000',
    '.pbm': 'PPM',
    '.pgm': 'PPM',
    '.png': 'PNG',
    '.pnm': 'PPM',
    '.ppm': 'PPM',
    '.tif': 'TIFF',
    '.tiff': 'TIFF',
    '.webp': 'WEBP',
}


@pytest.mark.parametrize('ending', sorted(SUFFIXES))
def test_files_of_each_ending_train(read, tmp_path, ending):
    kind = ENDINGS.get(ending, 'JPEG')
    mode = {'.pbm': '1', '.pgm': 'L'}.get(ending, 'RGB')
    image = read(encoded(drawn(mode), kind), f'a{ending}')
    assert image.reason == ''
    results = LoadImage().transform(dict(img_path=str(tmp_path / f'a{ending}')))
    assert np.array_equal(image.pixels, results['img'])
    shown = np.asarray(drawn(mode).convert('RGB')).astype(int)
    assert np.abs(image.pixels[..., ::-1] - shown).mean() < 12


@pytest.mark.parametrize('kind', ['gif', 'avif'])
def test_files_that_mmpose_does_not_read_fail(read, kind):
    assert read(FUZZED[kind]).reason == 'not an image that OpenCV decodes'


@pytest.mark.parametrize(
    ('kind', 'note'),
    [
        ('pages', 'the first of several pictures in the file'),
        ('deep .png', 'scaled to 8 bits from 12 bits'),
        ('deep .tif', 'scaled to 8 bits from 12 bits'),
        ('gray fractions', 'scaled to 8 bits from fractions'),
        ('tiff', ''),
        ('palette png', ''),
    ],
)
def test_what_a_user_should_know_is_noted(read, kind, note):
    assert read(FUZZED[kind]).note == note


@given(
    st.sampled_from(sorted(FUZZED)),
    st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from(BYTES)), max_size=8),
    st.floats(0, 1),
)
def test_whatever_the_bytes_there_is_an_image_or_a_reason(
    tmp_path_factory, kind, changes, share
):
    content = bytearray(FUZZED[kind])
    for offset, byte in changes:
        content[offset % len(content)] = byte
    if share < 0.2:
        content = content[: int(len(content) * share * 5)]
    path = tmp_path_factory.getbasetemp() / 'fuzzed.jpg'
    path.write_bytes(content)
    image = ImageReader(max_pixels=10**6).read(path)
    if image.reason:
        assert image.pixels.shape == (0, 0, 3)
    else:
        assert image.pixels.dtype == np.uint8
        assert image.pixels.shape == (*image.shape, 3)
        assert 0 < image.pixels[..., 0].size <= 10**6
