"""Which frames a video has, and when they are shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from mmdistill.datasets.picture_hash import picture_hash
from mmdistill.datasets.sources.video_decoder import (
    VideoDecoder,
    frame_pixels,
    open_video,
    picture_stream,
)
from mmdistill.errors import UserError
from mmdistill.functional.hamming import hamming_distance
from mmdistill.labels.file_names import spelled_name
from mmdistill.progress import told

SHORTEST_SPAN = 1e-9
"""Seconds; no two frames are nearer, and quotients stay finite."""


@dataclass(frozen=True)
class VideoIndex:
    """The frames of a video in the order of display.

    Attributes:
        stamps: What a `VideoDecoder` calls each frame, ascending, (F,), int64.
        seconds: When it is shown, from the first one, (F,).
        counted: Whether stamps are numbers of frames and not times.
        stated: How many frames the file says it has; 0 if it does not.
    """

    stamps: np.ndarray
    seconds: np.ndarray
    counted: bool
    stated: int


def index_video(path: Path) -> VideoIndex:
    """Read the time stamps of a video without decoding it.

    AVI has no presentation times, only an order and a constant rate; its frames are
    numbered.

    Args:
        path: The video.

    Raises:
        UserError: If it can't be opened, has no frame, or none that decodes.
    """
    try:
        with open_video(path) as container:
            video = picture_stream(container)
            stamps, whole = _stamps(container.demux(video))
            rate = float(video.average_rate or video.guessed_rate or 25)
            unit = float(video.time_base or 0)
            counted = not whole or container.format.name == 'avi'
            stated = video.frames
        if len(stamps) == 0:
            raise UserError(f'the video {path} has no frame')
        if counted:
            stamps, unit = np.arange(len(stamps)), 1 / rate
        with VideoDecoder(path, counted) as decoder:
            if next(decoder.frames(), None) is None:
                raise UserError(f'no frame of the video {path} can be decoded')
    except IndexError as error:
        raise UserError(
            f'the video {path} has no stream of pictures that can be decoded'
        ) from error
    except (OSError, av.FFmpegError) as error:
        raise UserError(
            f'the video {path} can not be opened: {error.strerror or error}'
        ) from error
    return VideoIndex(stamps, (stamps - stamps[0]) * unit, counted, stated)


def chosen_frames(index: VideoIndex, every: int, seconds: float | None) -> np.ndarray:
    """Numbers of the frames that a step chooses, ascending, (n,).

    Args:
        index: The frames of the video.
        every: Takes the first frame and each `every`-th after it.
        seconds: Where given, takes the first frame of each span of so many seconds
            instead, by the frames' own times.
    """
    if seconds is None:
        frames = len(index.stamps)
        return np.arange(0, frames, min(every, frames))
    # Times are sums of rounded units: a frame on the border belongs behind it.
    spans = np.floor(index.seconds / max(seconds, SHORTEST_SPAN) + 1e-6)
    return np.flatnonzero(np.diff(spans, prepend=-1) > 0)


def without_near_duplicates(
    path: Path, index: VideoIndex, numbers: np.ndarray, distance: int
) -> np.ndarray:
    """Leave out frames that look like the frame kept before.

    Decodes the video once, in order. Frames that do not decode stay; they will be
    failed rows.

    Args:
        path: The video.
        index: Its frames.
        numbers: The frames to look at, ascending, (n,).
        distance: Bits of the 256 of `picture_hash` in which two frames that look
            alike differ at most.

    Returns:
        The frames that are kept, ascending.
    """
    kept = []
    before: np.ndarray | None = None
    with VideoDecoder(path, index.counted) as decoder:
        what = f'frames of {spelled_name(str(path))} are compared'
        for place, number in enumerate(told(numbers, len(numbers), what)):
            frame = decoder.frame(int(index.stamps[number]), place)
            if frame is not None:
                now = picture_hash(frame_pixels(frame, 'gray'))
                if before is not None and hamming_distance(before, now) <= distance:
                    continue
                before = now
            kept.append(number)
    return np.array(kept, dtype=np.int64)


def _stamps(packets: Iterable[av.Packet]) -> tuple[np.ndarray, bool]:
    """Ascending times of the packets that are shown, and whether all have one."""
    times = [packet.pts for packet in packets if packet.size and not packet.is_discard]
    whole = None not in times
    return np.sort(np.array(times if whole else [0] * len(times), np.int64)), whole
