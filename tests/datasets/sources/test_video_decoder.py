"""Frames one after the other."""

from __future__ import annotations

import multiprocessing

import av
import numpy as np
import pytest

from mmdistill.datasets.sources.video_decoder import VideoDecoder, upright_pixels
from tests.helpers.media import number_in


@pytest.fixture
def decoder(tmp_path, write_video):
    path = write_video(tmp_path / 'a.mkv', range(60), times=range(0, 2400, 40))
    with VideoDecoder(path, counted=False) as decoder:
        yield decoder


def test_a_run_of_frames_is_not_sought(decoder, monkeypatch):
    monkeypatch.setattr(decoder, '_jump', None)
    found = [decoder.frame(40 * number, number) for number in range(0, 60, 3)]
    assert [number_in(upright_pixels(frame)) for frame in found] == [*range(0, 60, 3)]


def test_a_stamp_between_two_frames_gives_none_and_loses_none(decoder):
    assert decoder.frame(50, 1) is None
    assert number_in(upright_pixels(decoder.frame(80, 2))) == 2


def test_behind_the_end_is_none(decoder):
    assert decoder.frame(2400, 60) is None
    assert number_in(upright_pixels(decoder.frame(0, 0))) == 0


def test_all_frames_come_with_their_stamps(decoder):
    assert [stamp for stamp, _ in decoder.frames()] == [*range(0, 2400, 40)]


def test_a_file_without_pictures_is_an_error(tmp_path):
    (tmp_path / 'a.mp4').write_bytes(b'no video')
    with pytest.raises(av.FFmpegError):
        VideoDecoder(tmp_path / 'a.mp4', counted=False)


def test_pixels_have_the_shape_of_the_picture(decoder):
    pixels = upright_pixels(decoder.frame(0, 0))
    assert (pixels.shape, pixels.dtype) == ((48, 64, 3), np.uint8)


def test_a_forked_process_frees_what_it_inherits(decoder):
    frames = [decoder.frame(0, 0)]
    upright_pixels(frames[0])
    decoder.frame(40, 1)  # It lets go of the first one.
    process = multiprocessing.get_context('fork').Process(target=frames.clear)
    process.start()
    process.join(60)
    process.kill()
    assert process.exitcode == 0
