"""Frames of videos: which ones, and that they are the right ones."""

from __future__ import annotations

import pickle
from contextlib import suppress

import cv2
import numpy as np
import pytest

from mmdistill.datasets.sources import VideoSource
from mmdistill.datasets.sources.image_reader import ImageReader
from mmdistill.errors import UserError
from tests.helpers.media import clouds_of, number_in

READER = ImageReader()


def shown(source, order=None):
    """Numbers that the listed frames show, read in the order of `order`."""
    listing = source.list_images()
    order = order or range(len(listing.keys))
    images = [source.read(listing.keys[i], listing.locations[i], READER) for i in order]
    return [number_in(image.pixels) for image in images]


def numbers_listed(source):
    return [int(key.rpartition('#')[2]) for key in source.list_images().keys]


@pytest.mark.parametrize(
    ('name', 'codec'),
    [
        ('a.mp4', 'libx264'),
        ('a.avi', 'mpeg4'),
        ('a.avi', 'libx264'),
        ('a.mkv', 'mpeg4'),
    ],
)
def test_every_nth_frame_is_the_one_that_was_written(
    tmp_path, write_video, name, codec
):
    write_video(tmp_path / name, range(50), codec=codec)
    source = VideoSource(tmp_path, name, every=7)
    assert numbers_listed(source) == list(range(0, 50, 7))
    assert shown(source) == list(range(0, 50, 7))


@pytest.mark.parametrize('name', ['a.mp4', 'a.avi'])
def test_frames_are_right_in_any_order(tmp_path, write_video, name):
    # Two key frames far apart, so that a jump leads to one before the frame.
    numbers = [i % 64 for i in range(200)]
    write_video(tmp_path / name, numbers, g='90', bf='2')
    order = [150, 151, 10, 199, 0, 64, 130, 131, 3]
    assert shown(VideoSource(tmp_path, name), order) == [numbers[i] for i in order]


def test_frames_are_those_of_opencv(tmp_path, write_video):
    write_video(tmp_path / 'a.mp4', range(12))
    source = VideoSource(tmp_path, 'a.mp4')
    listing = source.list_images()
    capture = cv2.VideoCapture(str(tmp_path / 'a.mp4'))
    for key, location in zip(listing.keys, listing.locations, strict=True):
        expected = capture.read()[1].astype(int)
        found = source.read(key, location, READER).pixels
        assert np.abs(found - expected).max() <= 2


def test_seconds_follow_the_times_of_a_variable_rate(tmp_path, write_video):
    # A second of 10 frames, one of 2 frames, nothing for a second, then 4 frames.
    times = [*range(0, 1000, 100), 1000, 1500, 3000, 3100, 3200, 3900]
    write_video(tmp_path / 'a.mp4', range(16), times)
    assert shown(VideoSource(tmp_path, 'a.mp4', seconds=1)) == [0, 10, 12]
    assert shown(VideoSource(tmp_path, 'a.mp4', seconds=0.5)) == [0, 5, 10, 11, 12, 15]


def test_near_duplicates_of_the_previous_frame_are_left_out(tmp_path, write_video):
    numbers = [5, 5, 5, 40, 40, 5, 5, 21]
    write_video(tmp_path / 'a.mp4', numbers, draw=clouds_of)
    assert numbers_listed(VideoSource(tmp_path, 'a.mp4', duplicate_distance=6)) == [
        *(0, 3, 5, 7)
    ]


def test_a_pattern_and_a_folder_take_several_videos(tmp_path, write_video):
    for name in ('day/b.mp4', 'day/a.mp4', 'day/deep/c.avi'):
        write_video(tmp_path / name, [1, 2], codec='mpeg4')
    assert VideoSource(tmp_path, 'day/*.mp4').list_images().keys == [
        *('day/a.mp4#000000', 'day/a.mp4#000001'),
        *('day/b.mp4#000000', 'day/b.mp4#000001'),
    ]
    assert len(VideoSource(tmp_path, 'day').list_images().keys) == 6
    assert shown(VideoSource(tmp_path, 'day'), [4, 1, 5]) == [1, 2, 2]


def test_a_source_is_pickled_without_its_open_file(tmp_path, write_video):
    write_video(tmp_path / 'a.mp4', range(5))
    source = VideoSource(tmp_path, 'a.mp4')
    assert shown(source) == shown(pickle.loads(pickle.dumps(source)))


def test_a_frame_is_written_as_the_jpeg_of_what_was_read(tmp_path, write_video):
    write_video(tmp_path / 'a.mp4', range(5))
    source = VideoSource(tmp_path, 'a.mp4')
    listing = source.list_images()
    data = source.encoded(listing.keys[3], listing.locations[3], READER)
    assert data[:2] == b'\xff\xd8'
    assert number_in(cv2.imdecode(np.frombuffer(data, np.uint8), 1)) == 3


def test_a_video_that_ends_early_gives_what_it_has(tmp_path, write_video):
    path = write_video(
        tmp_path / 'a.mp4', range(60), movflags='faststart', g='5', bf='0'
    )
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.7)])
    source = VideoSource(tmp_path, 'a.mp4')
    listing = source.list_images()
    (problem,) = listing.problems
    assert f'ends early: it has {len(listing.keys)} of the 60 frames' in problem
    assert shown(source, range(10)) == list(range(10))


def test_a_damaged_stretch_is_failed_frames(tmp_path, write_video):
    path = write_video(tmp_path / 'a.mp4', range(60), codec='mjpeg')
    data = bytearray(path.read_bytes())
    start = data.index(b'\xff\xd8', 20 * len(data) // 60)
    data[start : start + 2000] = bytes(2000)
    path.write_bytes(data)
    source = VideoSource(tmp_path, 'a.mp4')
    listing = source.list_images()
    images = [
        source.read(key, location, READER)
        for key, location in zip(listing.keys, listing.locations, strict=True)
    ]
    failed = [i for i, image in enumerate(images) if image.reason]
    assert 0 < len(failed) < 20
    assert images[failed[0]].reason == 'the video does not decode at this frame'
    good = [i for i in range(60) if i not in failed]
    assert [number_in(images[i].pixels) for i in good] == good


def test_another_file_is_logged_and_the_videos_are_used(tmp_path, write_video):
    write_video(tmp_path / 'good.mp4', [1])
    (tmp_path / 'bad.mp4').write_bytes(bytes(range(256)) * 8)
    listing = VideoSource(tmp_path, '*.mp4').list_images()
    assert listing.keys == ['good.mp4#000000']
    assert 'bad.mp4 cannot be opened' in listing.problems[0]


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (dict(path='gone.mp4'), 'no video below .* matches gone.mp4'),
        (dict(path='a.mp4', every=0), 'every must be a whole number from 1, got 0'),
        (dict(path='a.mp4', seconds=-1), 'seconds must be above 0'),
        (dict(path='a.mp4', seconds=1, every=2), 'by every or by seconds'),
        (dict(path='a.mp4', duplicate_distance=256), 'bits, 0 to 255'),
    ],
)
def test_a_wrong_option_is_a_sentence(tmp_path, options, sentence):
    with pytest.raises(UserError, match=sentence):
        VideoSource(tmp_path, **options).list_images()


def test_titles_in_another_encoding_do_not_matter(tmp_path, write_video):
    path = write_video(tmp_path / 'a.mp4', range(3))
    content = path.read_bytes()
    assert b'isom' in content
    path.write_bytes(content.replace(b'Lavf', b'\xe9t\xe9_'))
    assert shown(VideoSource(tmp_path, 'a.mp4')) == [0, 1, 2]


@pytest.mark.parametrize(
    ('name', 'codec'), [('a.mp4', 'libx264'), ('a.mkv', 'mpeg4'), ('a.avi', 'mpeg4')]
)
def test_any_bytes_of_a_video_are_rows_or_a_sentence(
    tmp_path, write_video, name, codec
):
    content = write_video(tmp_path / name, range(12), codec=codec).read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(60):
        changed = np.frombuffer(content, dtype=np.uint8).copy()
        order = rng.integers(0, len(changed), rng.integers(1, 12))
        changed[order] = rng.choice([0, 1, 127, 128, 255, 233], len(order))
        end = len(changed) if rng.random() < 0.8 else rng.integers(len(changed))
        (tmp_path / name).write_bytes(changed[:end].tobytes())
        source = VideoSource(tmp_path, name)
        with suppress(UserError):
            listing = source.list_images()
            for key, location in zip(
                listing.keys[:20], listing.locations, strict=False
            ):
                image = source.read(key, location, READER)
                assert bool(image.reason) == (image.pixels.size == 0)


@pytest.mark.parametrize('name', ['a.mkv', 'a.webm'])
def test_a_video_that_is_cut_within_its_stream_is_said_to_end_early(
    tmp_path, write_video, name
):
    codec = 'mpeg4' if name == 'a.mkv' else 'libvpx'
    path = write_video(tmp_path / name, range(50), codec=codec, g='5')
    whole = VideoSource(tmp_path, name).list_images()
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])

    cut = VideoSource(tmp_path, name).list_images()

    assert list(whole.problems) == []
    assert 0 < len(cut.keys) < 45
    (problem,) = cut.problems
    assert problem.startswith(f'the video {path} ends early: it has frames for ')
    assert problem.endswith('of the 2.0 s it declares')
