"""Small videos and tars, made here; each frame shows its number."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

WIDTH, HEIGHT = 64, 48
BITS = 6


def picture_of(number: int) -> np.ndarray:
    """Six wide columns, white where the number has its bit: survives any codec."""
    bits = [number >> bit & 1 for bit in range(BITS)]
    row = np.repeat(bits, 10)[None, :, None] * 200 + 20
    picture = np.full((HEIGHT, WIDTH, 3), 20, dtype=np.uint8)
    picture[:, : 10 * BITS] = row
    return picture


def clouds_of(number: int) -> np.ndarray:
    """Gray clouds, other ones for each number: a picture with all frequencies."""
    rng = np.random.default_rng(number)
    gray = cv2.resize(rng.random((24, 32)), (WIDTH, HEIGHT), interpolation=2)
    return np.repeat(np.clip(gray * 255, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def number_in(pixels: np.ndarray) -> int:
    """The number that a picture shows, (height, width, 3)."""
    bits = pixels[HEIGHT // 2, 5 : 10 * BITS : 10].mean(axis=1) > 120
    return int((bits * 2 ** np.arange(BITS)).sum())


@pytest.fixture
def write_video() -> Callable[..., Path]:
    """Write numbered pictures as a video; `times` are milliseconds."""

    def write(
        path: Path,
        numbers: Sequence[int],
        times: Sequence[int] | None = None,
        codec: str = 'libx264',
        draw: Callable[[int], np.ndarray] = picture_of,
        **options: str,
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        muxing = {key: options.pop(key) for key in ('movflags',) if key in options}
        with av.open(str(path), 'w', options=muxing) as container:
            video = container.add_stream(codec, rate=25, options=options)
            video.width, video.height = WIDTH, HEIGHT
            video.pix_fmt = 'yuvj420p' if codec == 'mjpeg' else 'yuv420p'
            video.codec_context.time_base = Fraction(1, 1000 if times else 25)
            for place, number in enumerate(numbers):
                frame = av.VideoFrame.from_ndarray(draw(number), format='bgr24')
                frame.pts = times[place] if times else place
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
        return path

    return write


@pytest.fixture
def write_tar() -> Callable[..., Path]:
    """Write members by name."""

    def write(path: Path, members: dict[str, bytes]) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(path, 'w') as tar:
            for name, data in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        return path

    return write
