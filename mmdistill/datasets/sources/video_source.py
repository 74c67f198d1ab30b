"""Frames of videos, labeled without being extracted.

Which frames a video has, and when they are shown.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from mmengine.logging import print_log

from mmdistill.datasets.picture_hash import hamming_distance, picture_hash
from mmdistill.datasets.sources.base import Listing, Source
from mmdistill.datasets.sources.image_reader import ImageReader, ReadImage, failed_image
from mmdistill.datasets.sources.patterns import FoundFiles, find_files
from mmdistill.datasets.sources.video_decoder import (
    VideoDecoder,
    frame_pixels,
    open_video,
    picture_stream,
    upright_pixels,
)
from mmdistill.errors import ConfigError, DataError
from mmdistill.registry import SOURCES
from mmdistill.store.image_keys import VIDEO_SUFFIXES, container_of, frame_key
from mmdistill.utils.files import spelled_name
from mmdistill.utils.logging import log_progress

JPEG_QUALITY = 95
"""Quality of frames that are written out."""


@SOURCES.register_module()
class VideoSource(Source):
    """Frames of one video or many, video after video.

    Frames are known by their presentation times, so variable frame rates are right.
    A process decodes forward: frames that follow each other are decoded once, and
    only the first one of a run of them is sought.

    Args:
        root: Folder that `path` is relative to.
        path: A video, a pattern of videos, or a folder with videos at any depth. What
            exists is taken as it is, whatever characters are in its name.
        name: What labels of these frames are counted under.
        every: Takes the first frame and each `every`-th after it.
        seconds: Where given, takes the first frame of each span of so many seconds
            instead of counting frames.
        duplicate_distance: Where given, frames are left out whose perceptual hash
            differs from that of the frame kept before in at most so many of 256 bits
            (6 is the same picture); takes one decoding of the video.

    Raises:
        UserError: If an option is out of its range.
    """

    in_order = True
    has_sequences = True

    def __init__(
        self,
        root: Path,
        path: str,
        name: str | None = None,
        every: int = 1,
        seconds: float | None = None,
        duplicate_distance: int | None = None,
    ) -> None:
        super().__init__(root, path, name)
        if not _is_whole(every) or every < 1:
            raise DataError(f'every must be a whole number from 1, got {every!r}')
        if seconds is not None and not (_is_number(seconds) and 0 < seconds < inf):
            raise DataError(f'seconds must be above 0 and finite, got {seconds!r}')
        if seconds is not None and every != 1:
            raise ConfigError(
                f'frames are chosen by every or by seconds, got every={every} and '
                f'seconds={seconds}'
            )
        distance = duplicate_distance
        if distance is not None and not (_is_whole(distance) and 0 <= distance < 256):
            raise ConfigError(
                f'duplicate_distance must be bits, 0 to 255, got {distance!r}'
            )
        self.every = every
        self.seconds = seconds
        self.duplicate_distance = duplicate_distance
        self._open: tuple[str, int, VideoDecoder] | None = None

    def list_images(self) -> Listing:
        """Read the time stamps of all videos.

        Raises:
            UserError: If no video has a frame that decodes.
        """
        keys: list[str] = []
        places: list[np.ndarray] = []
        found = self._videos()
        problems = list(found.problems)
        for video in found.paths:
            try:
                index, numbers = self._chosen(self.root / video)
            except DataError as error:
                problems.append(str(error))
                continue
            if len(index.stamps) < index.stated:
                problems.append(
                    f'the video {self.root / video} ends early: it has '
                    f'{len(index.stamps)} of the {index.stated} frames it states'
                )
            ranks = np.arange(len(keys), len(keys) + len(numbers))
            counted = np.full(len(numbers), index.counted)
            places.append(np.stack([index.stamps[numbers], ranks, counted], axis=1))
            keys += [frame_key(video, number) for number in numbers]
        if not keys:
            raise DataError('; '.join(problems))
        return Listing(keys, np.concatenate(places), problems=problems)

    def read(self, key: str, place: np.ndarray, reader: ImageReader) -> ReadImage:
        """Decode one frame.

        Args:
            key: Its name in the listing.
            place: Its stamp, its place among the frames of the source, and whether
                the stamp is a number, (3,).
            reader: Says how many pixels a frame may have.
        """
        stamp, rank, counted = place.tolist()
        try:
            frame = self._decoder(container_of(key), bool(counted)).frame(stamp, rank)
        except (av.FFmpegError, IndexError) as error:
            reason = getattr(error, 'strerror', None) or 'no stream of pictures'
            return failed_image((0, 0), f'the video cannot be opened: {reason}')
        if frame is None:
            return failed_image((0, 0), 'the video does not decode at this frame')
        shape = (frame.height, frame.width)
        if frame.height * frame.width > reader.max_pixels:
            return failed_image(shape, 'more pixels than max_pixels')
        pixels = upright_pixels(frame)
        height, width = pixels.shape[:2]
        return ReadImage(pixels, (height, width), '')

    def encoded(self, key: str, place: np.ndarray, reader: ImageReader) -> bytes | None:
        """One frame as JPEG.

        Args:
            key: Its name in the listing.
            place: As `read` takes it.
            reader: Says how many pixels a frame may have.
        """
        image = self.read(key, place, reader)
        if image.reason:
            return None
        quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        _, data = cv2.imencode('.jpg', image.pixels, quality)
        return data.tobytes()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, '_open': None}

    def _decoder(self, video: str, counted: bool) -> VideoDecoder:
        """The open decoder of a video; a forked process must open its own."""
        if self._open is None or self._open[:2] != (video, os.getpid()):
            self._open = None
            decoder = VideoDecoder(self.root / video, counted)
            self._open = (video, os.getpid(), decoder)
        return self._open[2]

    def _videos(self) -> FoundFiles:
        found = find_files(self.root, self.path, VIDEO_SUFFIXES)
        if not found.paths:
            suffixes = ', '.join(sorted(VIDEO_SUFFIXES))
            sentence = f'no video below {self.root} matches {self.path} ({suffixes})'
            raise DataError('; '.join([sentence, *found.problems]))
        return found

    def _chosen(self, video: Path) -> tuple[VideoIndex, np.ndarray]:
        index = index_video(video)
        numbers = chosen_frames(index, self.every, self.seconds)
        if self.duplicate_distance is not None:
            looked_at = len(numbers)
            numbers = without_near_duplicates(
                video, index, numbers, self.duplicate_distance
            )
            print_log(
                f'video {spelled_name(str(video))}: {len(numbers)} of {looked_at} '
                'frames are no near duplicates (distance '
                f'{self.duplicate_distance} of 256 bits)',
                logger='current',
            )
        return index, numbers


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return _is_whole(value) or isinstance(value, float)


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
            raise DataError(f'the video {path} has no frame')
        if counted:
            stamps, unit = np.arange(len(stamps)), 1 / rate
        with VideoDecoder(path, counted) as decoder:
            if next(decoder.frames(), None) is None:
                raise DataError(f'no frame of the video {path} can be decoded')
    except IndexError as error:
        raise DataError(
            f'the video {path} has no stream of pictures that can be decoded'
        ) from error
    except (OSError, av.FFmpegError) as error:
        raise DataError(
            f'the video {path} cannot be opened: {error.strerror or error}'
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
        for place, number in enumerate(log_progress(numbers, len(numbers), what)):
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
