"""Search for the input sizes of other resolutions, by running the network.

A network can be shown at other resolutions where its heatmaps grow with its input. No
class of backbones says so, nor by which number the sides of its input must be
divisible: both are asked by running it on a few blank inputs, most of them small.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mmdistill.errors import ConfigError
from mmdistill.functional.input_sizes import possible_divisors, rounded_size
from mmdistill.models.adapters.codecs import Layout
from mmdistill.models.adapters.grids import Layouts

Run = Callable[[int, int], Any]
"""Function that returns the output of the head for an input of a width and height."""
HasLayout = Callable[[Any, Layout], bool]
"""Function that checks the sizes of an output."""
PROBE_LENGTH = 3
"""Length of a probe in divisors: odd, so that no larger divisor divides it too."""
INSTEAD = 'use scales, which magnify the crop, instead of resolutions'
"""Advice for networks that cannot be shown at other resolutions."""


@dataclass(frozen=True)
class Resolutions:
    """Resolutions of views.

    Attributes:
        shown: Those at which views are shown.
        fused: That of the grid on which they are fused; None for the highest shown.
    """

    shown: Sequence[float] = (1.0,)
    fused: float | None = None

    @property
    def grid(self) -> float:
        """Resolution of the grid on which views are fused."""
        return max(self.shown) if self.fused is None else self.fused

    @property
    def others(self) -> list[float]:
        """All of them but 1, each once, ascending."""
        return sorted({*self.shown, self.grid} - {1.0})


def refuse_resolutions(name: str, reason: str) -> ConfigError:
    """Make the error of a network that cannot be shown at other resolutions.

    Args:
        name: Name of the network.
        reason: Why it cannot be.
    """
    return ConfigError(
        f'{name} cannot be shown at other resolutions: {reason}; {INSTEAD}'
    )


def find_layouts(
    name: str, own: Layout, resolutions: Resolutions, run: Run, has_layout: HasLayout
) -> Layouts:
    """Find the sizes of input and heatmaps at each resolution.

    Args:
        name: Name of the network.
        own: The sizes of its codec.
        resolutions: The resolutions.
        run: Function that runs it.
        has_layout: Function that checks whether an output has the heatmaps of a size.

    Raises:
        UserError: If its heatmaps do not grow with its input, or two resolutions that
            are shown round to the same input.
    """
    others = resolutions.others
    layouts = {1.0: own}
    if not others:
        return Layouts(layouts)

    def problem(layout: Layout) -> str | None:
        size, cells = (
            'x'.join(map(str, sides))
            for sides in (layout.input_size, layout.heatmap_size)
        )
        try:
            fits = has_layout(run(*layout.input_size), layout)
        except (RuntimeError, ValueError, AssertionError, IndexError) as error:
            return f'an input of {size} raises {_first_line(error)}'
        return None if fits else f'an input of {size} gives no heatmaps of {cells}'

    divisor = _find_divisor(name, own, problem)
    for resolution in others:
        size = rounded_size(own.input_size, resolution, divisor)
        layouts[resolution] = own if size == own.input_size else _with_input(own, size)
    for resolution in (others[0], others[-1]):
        reason = problem(layouts[resolution])
        if reason is not None:
            raise refuse_resolutions(name, f'at {resolution:g} {reason}')
    _check_different({r: layouts[r] for r in resolutions.shown}, divisor)
    return Layouts(layouts, resolutions.grid)


def _find_divisor(
    name: str, own: Layout, problem: Callable[[Layout], str | None]
) -> int:
    """Find the least number an odd multiple of which is the side of an input."""
    reason = None
    for divisor in possible_divisors(own.input_size, own.heatmap_size):
        reason = problem(_with_input(own, (PROBE_LENGTH * divisor,) * 2))
        if reason is None:
            return divisor
    raise refuse_resolutions(
        name, f'its heatmaps do not grow with its input ({reason})'
    )


def _with_input(own: Layout, size: tuple[int, int]) -> Layout:
    """Sizes for another input at the strides of a layout."""
    columns, rows = (
        side * cells // pixels
        for side, cells, pixels in zip(
            size, own.heatmap_size, own.input_size, strict=True
        )
    )
    return Layout(size, (columns, rows))


def _check_different(shown: dict[float, Layout], divisor: int) -> None:
    """Check that no two resolutions show the same input."""
    by_size: dict[tuple[int, int], float] = {}
    for resolution, layout in shown.items():
        size = layout.input_size
        if size in by_size:
            raise ConfigError(
                f'resolutions {by_size[size]:g} and {resolution:g} are the same input '
                f'of {size[0]}x{size[1]} pixels, since its sides must be multiples of '
                f'{divisor}: name one of them'
            )
        by_size[size] = resolution


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f'{type(error).__name__}: {lines[0]}' if lines else type(error).__name__
