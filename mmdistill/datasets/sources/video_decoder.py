"""Frames of one video, one after the other, each by its time stamp."""

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
"""Frames of a listing that are decoded and skipped rather than sought."""


class VideoDecoder:
    """Decodes a video forward and hands out the frames that are asked for.

    A frame is asked for by its stamp: its presentation time in units of the stream,
    or, where a video's own times cannot be trusted (`counted`), its number in the
    order of decoding. Frames in between are decoded and not converted. A jump far
    ahead, or back, goes to the key frame before; where that lands too late, the video
    is decoded from its beginning.

    Args:
        path: The video.
        counted: Whether stamps are numbers and not times.

    Raises:
        av.FFmpegError: If the video cannot be opened.
        IndexError: If it has no stream of pictures.
    """

    def __init__(self, path: Path, counted: bool) -> None:
        self._path = path
        self._counted = counted
        self._place = 0
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
        """Close the file; the decoder is of no use any more."""
        self._stream, self._next = iter(()), None
        self._container.close()

    def frame(self, stamp: int, place: int) -> av.VideoFrame | None:
        """One frame; None if the video does not give it.

        Args:
            stamp: Its stamp.
            place: Its place in the listing: the frame after the last one asked for
                has the place after that one's.
        """
        if not 0 <= place - self._place <= FORWARD:
            self._jump(stamp)
        self._place = place
        found = self._advance(stamp)
        if found is None and self._late(stamp):
            self._reopen()
            found = self._advance(stamp)
        return found

    def frames(self) -> Iterator[tuple[int, av.VideoFrame]]:
        """All frames that are left, with their stamps."""
        while self._next is not None:
            yield self._next
            self._next = next(self._stream, None)

    def _late(self, stamp: int) -> bool:
        """Whether a jump landed behind the frame that it was to lead to."""
        return self._jumped and self._first is not None and self._first > stamp

    def _advance(self, stamp: int) -> av.VideoFrame | None:
        while self._next is not None and self._next[0] < stamp:
            self._next = next(self._stream, None)
        if self._next is None or self._next[0] != stamp:
            return None
        return None if self._next[1].is_corrupt else self._next[1]

    def _jump(self, stamp: int) -> None:
        behind = self._next is None or self._next[0] > stamp
        if self._counted:
            if behind:
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
        self._video = picture_stream(self._container)
        # A decoder with threads that a forked process inherits hangs when it is freed.
        self._video.codec_context.thread_count = 1
        self._place = 0
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
                # A damaged packet costs its own frames.
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
        path: The video; its titles may be in any encoding.

    Raises:
        av.FFmpegError: If it cannot be opened.
    """
    return av.open(str(path), metadata_errors='surrogateescape')


def picture_stream(container: InputContainer) -> VideoStream:
    """The first stream of pictures of a video.

    Args:
        container: The video.

    Raises:
        IndexError: If it has none, or none that can be decoded.
    """
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise IndexError('no decoder for the pictures')
    return stream


def frame_pixels(frame: av.VideoFrame, form: str) -> np.ndarray:
    """A frame's pixels as they are stored, uint8.

    Args:
        frame: The frame.
        form: What a pixel is: ``'gray'`` for (height, width), ``'bgr24'`` for
            (height, width, 3).
    """
    # As of a decoder, threads of a scaler hang a forked process that frees it.
    return frame.to_ndarray(format=form, threads=1)


def upright_pixels(frame: av.VideoFrame) -> np.ndarray:
    """Orient a frame's pixels as the video says.

    Cameras write how a picture is to be shown as a matrix; front cameras mirror it,
    which no angle describes.

    Args:
        frame: The frame; its matrix counts by the nearest of the eight orientations.

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
