"""The frames of a video and their times."""

from __future__ import annotations

import numpy as np
import pytest

from mmdistill.datasets.sources.video_source import (
    VideoIndex,
    drop_near_duplicates,
    index_video,
    select_frames,
)
from mmdistill.errors import UserError
from tests.helpers.media import clouds_of


@pytest.mark.parametrize('name', ['a.mp4', 'a.avi', 'a.mkv'])
def test_frames_are_counted_without_b_frames_disturbing_their_order(
    tmp_path, write_video, name
):
    index = index_video(write_video(tmp_path / name, range(30), bf='2'))
    assert len(index.stamps) == 30
    assert (np.diff(index.stamps) > 0).all()
    assert index.seconds == pytest.approx(np.arange(30) / 25, abs=2e-3)


def test_a_variable_rate_keeps_its_times(tmp_path, write_video):
    times = [0, 40, 45, 300, 1000, 1001]
    index = index_video(write_video(tmp_path / 'a.mp4', range(6), times))
    assert index.seconds == pytest.approx(np.array(times) / 1000, abs=1e-3)


def index_of(seconds):
    seconds = np.array(seconds, dtype=float)
    return VideoIndex(np.arange(len(seconds)), seconds, False, 0)


def test_a_span_without_frames_gives_none():
    index = index_of([0, 0.4, 0.9, 1.0, 3.2, 3.3])
    assert select_frames(index, 1, 1.0).tolist() == [0, 3, 4]
    assert select_frames(index, 4, None).tolist() == [0, 4]


def test_a_frame_kept_before_is_what_counts(tmp_path, write_video):
    path = write_video(tmp_path / 'a.mp4', [1, 1, 2, 1, 1], draw=clouds_of)
    index = index_video(path)
    kept = drop_near_duplicates(path, index, np.arange(5), 6)
    assert kept.tolist() == [0, 2, 3]


@pytest.mark.parametrize(
    ('content', 'sentence'),
    [(None, 'cannot be opened: No such file'), (b'x', 'cannot be opened: Invalid')],
)
def test_another_file_is_refused_in_a_sentence(tmp_path, content, sentence):
    if content:
        (tmp_path / 'a.mp4').write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        index_video(tmp_path / 'a.mp4')
