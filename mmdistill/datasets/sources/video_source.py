"""Source of video frames, and the index of the frames of a video."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.container import InputContainer
from mmengine.logging import print_log

from mmdistill.config.kinds import AT_LEAST_ONE, POSITIVE, Range
from mmdistill.datasets.picture_hash import hamming_distance, picture_hash
from mmdistill.datasets.sources.base import Listing, Source
from mmdistill.datasets.sources.image_reader import ImageReader, ReadImage, failed_image
from mmdistill.datasets.sources.patterns import MatchedFiles, find_files
from mmdistill.datasets.sources.video_decoder import (
    VideoDecoder,
    frame_pixels,
    open_video,
    upright_pixels,
    video_stream,
)
from mmdistill.errors import ConfigError, DataError
from mmdistill.registry import SOURCES
from mmdistill.store.image_keys import VIDEO_SUFFIXES, container_of, frame_key
from mmdistill.utils.files import spelled_name
from mmdistill.utils.logging import log_progress

JPEG_QUALITY = 95
BITS = Range(0, 255, whole=True)
"""Bits of a picture's hash in which two frames may differ."""
"""JPEG quality of exported frames."""


@SOURCES.register_module()
class VideoSource(Source):
    """Source of the frames of one or more videos, without extraction.

    Frames are identified by their presentation times, which handles variable frame
    rates. A process decodes forward: consecutive frames are decoded once, and only the
    first one of a sequence is sought.

    Args:
        root: Folder that `path` is relative to.
        path: A video, a pattern of videos, or a folder with videos at any depth. An
            existing path is taken literally, whatever characters are in it.
        name: Name of the source in counts and thresholds.
        every: Step in frames: the first frame and each `every`-th after it.
        seconds: Step in seconds instead: the first frame of each span of this length.
        duplicate_distance: Hamming distance of perceptual hashes, of 256 bits, up to
            which a frame is a near duplicate of the last kept one and left out (6 is
            the same content); takes one decoding of the video.

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
        if every not in AT_LEAST_ONE:
            raise DataError(f'every must be a whole number from 1, got {every!r}')
        if seconds is not None and seconds not in POSITIVE:
            raise DataError(f'seconds must be above 0 and finite, got {seconds!r}')
        if seconds is not None and every != 1:
            raise ConfigError(
                f'frames are selected by every or by seconds, got every={every} and '
                f'seconds={seconds}'
            )
        distance = duplicate_distance
        if distance is not None and distance not in BITS:
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
        locations: list[np.ndarray] = []
        videos = self._videos()
        problems = list(videos.problems)
        for video in videos.paths:
            try:
                index, frames = self._selected_frames(self.root / video)
            except DataError as error:
                problems.append(str(error))
                continue
            if len(index.stamps) < index.declared:
                problems.append(
                    f'the video {self.root / video} ends early: it has '
                    f'{len(index.stamps)} of the {index.declared} frames it declares'
                )
            elif not index.declared and index.ends_early:
                problems.append(
                    f'the video {self.root / video} ends early: it has frames for '
                    f'{index.length:.1f} of the {index.declared_seconds:.1f} s it '
                    'declares'
                )
            ranks = np.arange(len(keys), len(keys) + len(frames))
            counted = np.full(len(frames), index.counted)
            locations.append(np.stack([index.stamps[frames], ranks, counted], axis=1))
            keys += [frame_key(video, number) for number in frames]
        if not keys:
            raise DataError('; '.join(problems))
        return Listing(keys, np.concatenate(locations), problems=problems)

    def read(self, key: str, location: np.ndarray, reader: ImageReader) -> ReadImage:
        """Decode one frame.

        Args:
            key: Its key in the listing.
            location: Its stamp, its position among the frames of the source, and
                whether the stamp is a frame number, (3,).
            reader: Reader with the limit of pixels.
        """
        stamp, position, counted = location.tolist()
        try:
            frame = self._decoder(container_of(key), bool(counted)).frame(
                stamp, position
            )
        except (av.FFmpegError, IndexError) as error:
            reason = isinstance(error, av.FFmpegError) and error.strerror
            reason = reason or 'no stream of pictures'
            return failed_image((0, 0), f'the video cannot be opened: {reason}')
        if frame is None:
            return failed_image((0, 0), 'the video does not decode at this frame')
        shape = (frame.height, frame.width)
        if frame.height * frame.width > reader.max_pixels:
            return failed_image(shape, 'more pixels than max_pixels')
        pixels = upright_pixels(frame)
        height, width = pixels.shape[:2]
        return ReadImage(pixels, (height, width), '')

    def encoded(
        self, key: str, location: np.ndarray, reader: ImageReader
    ) -> bytes | None:
        """Encode one frame as JPEG.

        Args:
            key: Its key in the listing.
            location: Its location, as in `read`, (3,).
            reader: Reader with the limit of pixels.

        Returns:
            The bytes; None if the frame cannot be read.
        """
        image = self.read(key, location, reader)
        if image.reason:
            return None
        quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        _, data = cv2.imencode('.jpg', image.pixels, quality)
        return data.tobytes()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, '_open': None}

    def _decoder(self, video: str, counted: bool) -> VideoDecoder:
        """Decoder of a video, reused while open; a forked process opens its own."""
        if self._open is None or self._open[:2] != (video, os.getpid()):
            self._open = None
            decoder = VideoDecoder(self.root / video, counted)
            self._open = (video, os.getpid(), decoder)
        return self._open[2]

    def _videos(self) -> MatchedFiles:
        matched = find_files(self.root, self.path, VIDEO_SUFFIXES)
        if not matched.paths:
            suffixes = ', '.join(sorted(VIDEO_SUFFIXES))
            sentence = f'no video below {self.root} matches {self.path} ({suffixes})'
            raise DataError('; '.join([sentence, *matched.problems]))
        return matched

    def _selected_frames(self, video: Path) -> tuple[VideoIndex, np.ndarray]:
        index = index_video(video)
        numbers = select_frames(index, self.every, self.seconds)
        if self.duplicate_distance is not None:
            num_compared = len(numbers)
            numbers = drop_near_duplicates(
                video, index, numbers, self.duplicate_distance
            )
            print_log(
                f'video {spelled_name(str(video))}: {len(numbers)} of {num_compared} '
                'frames are no near duplicates (distance '
                f'{self.duplicate_distance} of 256 bits)',
                logger='current',
            )
        return index, numbers


SHORTEST_SPAN = 1e-9
"""Minimum step in seconds, which keeps quotients finite."""


CLEARLY = 0.95
"""Share of the declared length below which frames are missing."""


@dataclass(frozen=True)
class VideoIndex:
    """Frames of a video in the order of display.

    Attributes:
        stamps: Stamps of a `VideoDecoder`, ascending, (F,), int64.
        seconds: Display times, relative to the first frame, (F,).
        counted: Whether stamps are frame numbers instead of times.
        declared: Number of frames that the file declares; 0 if it does not.
        declared_seconds: Length of its pictures that it declares; 0 if it does not.
    """

    stamps: np.ndarray
    seconds: np.ndarray
    counted: bool
    declared: int
    declared_seconds: float = 0.0

    @property
    def length(self) -> float:
        """Seconds from the first frame to the last, which is shown as others are."""
        frames = len(self.seconds)
        return float(self.seconds[-1]) * frames / max(frames - 1, 1)

    @property
    def ends_early(self) -> bool:
        """Whether clearly less is there than the declared length."""
        return self.length < CLEARLY * self.declared_seconds


def index_video(path: Path) -> VideoIndex:
    """Read the time stamps of a video without decoding it.

    AVI has no presentation times, only an order and a constant rate; its frames are
    numbered.

    Args:
        path: The video.

    Raises:
        UserError: If it cannot be opened, or has no frame that can be decoded.
    """
    try:
        with open_video(path) as container:
            video = video_stream(container)
            stamps, all_timed = _stamps(container.demux(video))
            rate = float(video.average_rate or video.guessed_rate or 25)
            unit = float(video.time_base or 0)
            counted = not all_timed or container.format.name == 'avi'
            declared, declared_seconds = video.frames, _declared_seconds(container)
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
    seconds = (stamps - stamps[0]) * unit
    return VideoIndex(stamps, seconds, counted, declared, declared_seconds)


def select_frames(index: VideoIndex, every: int, seconds: float | None) -> np.ndarray:
    """Select frames by a step; returns their numbers, ascending, (n,).

    Args:
        index: The frames of the video.
        every: Step in frames: the first frame and each `every`-th after it.
        seconds: Step in seconds of display time instead: the first frame of each span.
    """
    if seconds is None:
        frames = len(index.stamps)
        return np.arange(0, frames, min(every, frames))
    # Rounding of times must not move a frame on the border to the span before.
    spans = np.floor(index.seconds / max(seconds, SHORTEST_SPAN) + 1e-6)
    return np.flatnonzero(np.diff(spans, prepend=-1) > 0)


def drop_near_duplicates(
    path: Path, index: VideoIndex, numbers: np.ndarray, distance: int
) -> np.ndarray:
    """Leave out near duplicates of the last kept frame.

    Decodes the video once, in order. Frames that cannot be decoded are kept; they
    become failed rows.

    Args:
        path: The video.
        index: Its frames.
        numbers: The frames to compare, ascending, (n,).
        distance: Maximum Hamming distance of near duplicates, of 256 bits.

    Returns:
        The frames that are kept, ascending.
    """
    kept = []
    kept_hash: np.ndarray | None = None
    with VideoDecoder(path, index.counted) as decoder:
        action = f'frames of {spelled_name(str(path))} are compared'
        for position, number in enumerate(log_progress(numbers, len(numbers), action)):
            frame = decoder.frame(int(index.stamps[number]), position)
            if frame is not None:
                frame_hash = picture_hash(frame_pixels(frame, 'gray'))
                if (
                    kept_hash is not None
                    and hamming_distance(kept_hash, frame_hash) <= distance
                ):
                    continue
                kept_hash = frame_hash
            kept.append(number)
    return np.array(kept, dtype=np.int64)


def _declared_seconds(container: InputContainer) -> float:
    """Length of the pictures that a file declares; 0 if it does not.

    The length of the whole file is theirs only if they are alone in it.
    """
    tag = video_stream(container).metadata.get('DURATION', '')
    clock = re.fullmatch(r'(\d+):(\d\d):(\d\d(?:\.\d+)?)\0*', tag)
    if clock:
        hours, minutes, seconds = map(float, clock.groups())
        return 3600 * hours + 60 * minutes + seconds
    is_alone = len(container.streams) == 1
    return (container.duration or 0) / av.time_base if is_alone else 0.0


def _stamps(packets: Iterable[av.Packet]) -> tuple[np.ndarray, bool]:
    """Display times of the packets, ascending, and whether all have one."""
    times = [packet.pts for packet in packets if packet.size and not packet.is_discard]
    all_timed = None not in times
    return np.sort(
        np.array(times if all_timed else [0] * len(times), np.int64)
    ), all_timed
