"""Codecs of heatmaps: where their cells lie, and the same codec on another grid.

Shapes: `w, h` heatmap.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mmdistill.errors import ConfigError
from mmdistill.functional.input_sizes import grown_kernel, grown_sigma
from mmdistill.functional.inverse_views import Axis
from mmdistill.functional.views import Frame

GROWING: dict[str, Callable[[float, float], float]] = {
    'sigma': grown_sigma,
    'blur_kernel_size': grown_kernel,  # type: ignore[dict-item]
    'kernel_size': grown_kernel,  # type: ignore[dict-item]
}
"""Arguments of MMPose's codecs that are counted in cells, and how they grow."""


@dataclass(frozen=True)
class Layout:
    """Sizes of a network input and of its heatmaps.

    Attributes:
        input_size: Width and height, pixels.
        heatmap_size: Width and height, cells.
    """

    input_size: tuple[int, int]
    heatmap_size: tuple[int, int]

    @staticmethod
    def of(decoder: Any) -> Layout:
        """Return the sizes of a codec of MMPose."""
        width, height = decoder.input_size
        columns, rows = decoder.heatmap_size
        return Layout((int(width), int(height)), (int(columns), int(rows)))


def resized_codec(decoder: Any, layout: Layout) -> Any:
    """Build a codec anew for an input and heatmaps of other sizes.

    Its Gaussians and blur kernels, which are counted in cells, grow with the heatmaps,
    as those of MMPose's configs for larger inputs.

    Args:
        decoder: A codec of MMPose with `input_size` and `heatmap_size`.
        layout: The sizes; the codec itself is returned where they are its own.

    Raises:
        UserError: If the codec does not keep its arguments.
    """
    own = Layout.of(decoder)
    if layout == own:
        return decoder
    growth = math.sqrt(math.prod(layout.heatmap_size) / math.prod(own.heatmap_size))
    arguments = {}
    for name, parameter in inspect.signature(type(decoder)).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if name not in vars(decoder):
            raise ConfigError(
                f'{type(decoder).__name__} does not keep its argument {name}, so it '
                'cannot be built for another resolution: use scales, which magnify '
                'the crop, instead of resolutions'
            )
        value = vars(decoder)[name]
        arguments[name] = GROWING[name](value, growth) if name in GROWING else value
    sizes = dict(input_size=layout.input_size, heatmap_size=layout.heatmap_size)
    return type(decoder)(**{**arguments, **sizes})


def has_offsets(decoder: Any) -> bool:
    """Whether a codec has two maps of offsets with each heatmap."""
    return getattr(decoder, 'heatmap_type', 'gaussian') == 'combined'


def needs_udp(decoder: Any) -> bool:
    """Whether a codec expects crops cut with MMPose's UDP warp.

    A UDP codec decodes its last cell to the far edge of the input.
    """
    axis = heatmap_axes(decoder)[0]
    return bool(np.isclose(axis.stride * (axis.cells - 1), axis.pixels))


def peak_axes(decoder: Any, frame: Frame) -> tuple[Axis, Axis]:
    """Compute the x and y axis of a codec's heatmaps, by the peaks of a network.

    A network learns the encoder of the codec, which defines the positions of the cells.
    For MMPose's codecs these are, on average over a cell, those of the decoder
    (Megvii's encoder rounds down and its decoder adds half a cell), in pixels of a UDP
    warp for a UDP codec. The two differ only where crops are cut with another warp than
    the codec's, by a factor of ``(W - 1) / W``: views are undone by the positions of
    the peaks, and the fused heatmaps decoded as MMPose does.

    Args:
        decoder: A codec of MMPose with `input_size` and `heatmap_size`.
        frame: Network input, with the warp that crops are cut with.
    """
    needed = Frame(frame.width, frame.height, needs_udp(decoder))
    x, y = (
        replace(axis, pixels=axis.pixels * span / needed_span)
        for axis, span, needed_span in zip(
            heatmap_axes(decoder), frame.spans, needed.spans, strict=True
        )
    )
    return x, y


def heatmap_axes(decoder: Any) -> tuple[Axis, Axis]:
    """Determine the x and y axis of a codec's heatmaps by decoding two of them.

    Args:
        decoder: A codec of MMPose with `input_size` and `heatmap_size`.
    """
    width, height = (int(length) for length in decoder.heatmap_size)
    # Far from the border, at which some codecs blur the cells.
    low = 3 * width // 8, 3 * height // 8
    high = 5 * width // 8, 5 * height // 8
    first, last = (_decoded_cell(decoder, cell) for cell in (low, high))
    return tuple(  # type: ignore[return-value]
        Axis(
            cells=int(decoder.heatmap_size[i]),
            stride=(stride := float((last[i] - first[i]) / (high[i] - low[i]))),
            offset=float(first[i] - stride * low[i]),
            pixels=int(decoder.input_size[i]),
        )
        for i in range(2)
    )


def score_of_one(decoder: Any) -> float:
    """Compute the score that a codec decodes a peak of 1 to.

    Args:
        decoder: A codec of MMPose with `input_size` and `heatmap_size`.
    """
    width, height = (int(length) for length in decoder.heatmap_size)
    _, scores = decoder.decode(_bright_cell(decoder, (width // 2, height // 2)))
    return float(np.asarray(scores)[0, 0])


def _decoded_cell(decoder: Any, cell: tuple[int, int]) -> np.ndarray:
    """Input pixel (x, y) that the codec decodes a single bright cell to."""
    keypoints, _ = decoder.decode(_bright_cell(decoder, cell))
    return np.asarray(keypoints, dtype=np.float64)[0, 0]


def _bright_cell(decoder: Any, cell: tuple[int, int]) -> np.ndarray:
    """Maps of one keypoint, 0 but for one cell of 1, (1 or 3, h, w)."""
    width, height = decoder.heatmap_size
    maps = 3 if has_offsets(decoder) else 1
    heatmap = np.zeros((maps, int(height), int(width)), dtype=np.float32)
    heatmap[0, cell[1], cell[0]] = 1
    return heatmap
