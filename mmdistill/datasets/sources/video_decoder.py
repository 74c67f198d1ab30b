"""Decoder of the frames of one video, by time stamp."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

FORWARD = 64
"""Maximum distance in a listing that is decoded rather than sought."""


class VideoDecoder:
    """Decoder that reads a video forward and returns requested frames.

    A frame is requested by its stamp: its presentation time in units of the stream, or,
    if the times of the video are unreliable (`counted`), its number in the order of
    decoding. Frames in between are decoded but not converted. A jump far ahead, or
    back, seeks the key frame before; if that lands too late, the video is decoded from
    its start.

    Args:
        path: The video.
        counted: Whether stamps are frame numbers instead of times.

    Raises:
        av.FFmpegError: If the video cannot be opened.
        IndexError: If it has no video stream.
    """

    def __init__(self, path: Path, counted: bool) -> None:
        self._path = path
        self._counted = counted
        self._position = 0
        self._next: tuple[int, av.VideoFrame] | None = None
        self._stream: Iterator[tuple[int, av.VideoFrame]] = iter(())
        self._open()

    def __enter__(self) -> VideoDecoder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the decoder cannot be used afterwards."""
        self._stream, self._next = iter(()), None
        self._container.close()

    def frame(self, stamp: int, position: int) -> av.VideoFrame | None:
        """Decode one frame; None if it cannot be decoded.

        Args:
            stamp: Its stamp.
            position: Its position in the listing; consecutive frames have consecutive
                positions.
        """
        if not 0 <= position - self._position <= FORWARD:
            self._jump(stamp)
        self._position = position
        frame = self._advance(stamp)
        if frame is None and self._late(stamp):
            self._reopen()
            frame = self._advance(stamp)
        return frame

    def frames(self) -> Iterator[tuple[int, av.VideoFrame]]:
        """Iterate over the remaining frames with their stamps."""
        while self._next is not None:
            yield self._next
            self._next = next(self._stream, None)

    def _late(self, stamp: int) -> bool:
        """Whether a seek landed after the requested frame."""
        return self._jumped and self._first is not None and self._first > stamp

    def _advance(self, stamp: int) -> av.VideoFrame | None:
        while self._next is not None and self._next[0] < stamp:
            self._next = next(self._stream, None)
        if self._next is None or self._next[0] != stamp:
            return None
        return None if self._next[1].is_corrupt else self._next[1]

    def _jump(self, stamp: int) -> None:
        is_past = self._next is None or self._next[0] > stamp
        if self._counted:
            if is_past:
                self._reopen()
            return
        try:
            self._container.seek(stamp, stream=self._video, backward=True)
        except av.FFmpegError:
            self._reopen()
            return
        self._begin(jumped=True)

    def _reopen(self) -> None:
        self.close()
        self._open()

    def _open(self) -> None:
        self._container = open_video(self._path)
        self._video = video_stream(self._container)
        # A threaded decoder hangs when a forked process frees it.
        self._video.codec_context.thread_count = 1
        self._position = 0
        self._begin(jumped=False)

    def _begin(self, jumped: bool) -> None:
        self._jumped = jumped
        self._stream = self._decoded()
        self._next = next(self._stream, None)
        self._first = None if self._next is None else self._next[0]

    def _decoded(self) -> Iterator[tuple[int, av.VideoFrame]]:
        number = 0
        for packet in self._container.demux(self._video):
            try:
                frames = packet.decode()
            except av.FFmpegError:
                # Only the frames of a damaged packet are lost.
                continue
            for frame in frames:
                if self._counted:
                    yield number, frame
                elif frame.pts is not None:
                    yield frame.pts, frame
                number += 1


def open_video(path: Path) -> InputContainer:
    """Open a video.

    Args:
        path: The video; its metadata may be in any encoding.

    Raises:
        av.FFmpegError: If it cannot be opened.
    """
    return av.open(str(path), metadata_errors='surrogateescape')


def video_stream(container: InputContainer) -> VideoStream:
    """Return the first video stream of a container.

    Args:
        container: The container.

    Raises:
        IndexError: If it has none, or none that can be decoded.
    """
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise IndexError('no decoder for the pictures')
    return stream


def frame_pixels(frame: av.VideoFrame, pixel_format: str) -> np.ndarray:
    """Convert a frame to pixels as stored, without rotation, uint8.

    Args:
        frame: The frame.
        pixel_format: ``'gray'`` for (height, width), or ``'bgr24'`` for (height, width,
            3).
    """
    # Like a decoder, a threaded scaler hangs when a forked process frees it.
    return frame.to_ndarray(format=pixel_format, threads=1)


def upright_pixels(frame: av.VideoFrame) -> np.ndarray:
    """Orient the pixels of a frame by the display matrix of the video.

    Cameras write the orientation as a matrix because front cameras mirror, which no
    angle describes.

    Args:
        frame: The frame; its matrix is rounded to one of the eight orientations.

    Returns:
        (height, width, 3), uint8, BGR.
    """
    pixels = frame_pixels(frame, 'bgr24')
    matrix: Any = frame.side_data.get('DISPLAYMATRIX')
    if matrix is None:
        return pixels
    # Its rows are (a, b, u), (c, d, v) and (x, y, w): column p and row q of the frame
    # are shown at column ap + cq and row bp + dq.
    a, b, _, c, d = np.frombuffer(bytes(matrix), dtype=np.int32)[:5].tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    upright = pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return np.ascontiguousarray(upright)
