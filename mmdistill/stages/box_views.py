"""Test pipelines of the views of an image: larger, smaller and mirrored.

A view is the detector's own test pipeline with another size and a mirroring, so what
the detector finds in it is its own prediction.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from mmdistill.config.detector_options import BoxViewsConfig
from mmdistill.config.schema import is_type
from mmdistill.errors import ConfigError

RESIZE, PAD, PACK, FLIP = 'Resize', 'Pad', 'PackDetInputs', 'RandomFlip'
META_KEYS = (
    *('img_id', 'img_path', 'ori_shape', 'img_shape'),
    *('scale_factor', 'flip', 'flip_direction'),
)
"""Meta fields that a view needs to be undone."""
DIVISOR = 32
"""Sides of a padded view are multiples of it, as of networks with strides up to 32."""


def view_pipelines(
    pipeline: Sequence[Mapping[str, Any]], views: BoxViewsConfig
) -> list[list[dict[str, Any]]]:
    """Make the pipeline of each view from a test pipeline of MMDetection.

    A scale is a factor of the size that the pipeline resizes an image to, of both of
    its limits where it has two: 0.5 of `(1333, 800)` has a shorter side of at most 400
    pixels, as in Detectron. A stated size to pad to grows with it, to multiples of 32.
    At scale 1 all is as the pipeline has it.

    Args:
        pipeline: Configs of the transforms.
        views: The views.

    Returns:
        A pipeline for each view, scale by scale, each before its mirror image.

    Raises:
        ConfigError: If the pipeline does not resize images once, or does not pack them
            by `PackDetInputs`.
    """
    sizes = [step for step in pipeline if _resizes(step)]
    packs = [step for step in pipeline if is_type(step, PACK)]
    if len(sizes) != 1 or len(packs) != 1:
        names = ', '.join(str(step.get('type')) for step in pipeline)
        raise ConfigError(
            f'views of a detector need a test pipeline with one {RESIZE} that states a '
            f'scale, and with {PACK}, got {names or "no steps"}'
        )
    flips = (False, True) if views.flip else (False,)
    return [_view(pipeline, scale, flip) for scale in views.scales for flip in flips]


def _view(
    pipeline: Sequence[Mapping[str, Any]], scale: float, flip: bool
) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = []
    for step in copy.deepcopy([dict(step) for step in pipeline]):
        if is_type(step, FLIP):
            continue
        if _resizes(step):
            step['scale'] = _scaled(step['scale'], scale)
            # Before anything is padded: a mirrored frame would be on the other side.
            steps += [step, dict(type=FLIP, prob=float(flip))]
            continue
        if is_type(step, PAD) and step.get('size') is not None and scale != 1:
            step['size'] = tuple(
                -(-side // DIVISOR) * DIVISOR for side in _scaled(step['size'], scale)
            )
        if is_type(step, PACK):
            stated = step.get('meta_keys', ())
            step['meta_keys'] = (*META_KEYS, *(k for k in stated if k not in META_KEYS))
        steps.append(step)
    return steps


def _resizes(step: Mapping[str, Any]) -> bool:
    name = str(step.get('type'))
    return name.endswith(RESIZE) and step.get('scale') is not None


def _scaled(size: Any, scale: float) -> Any:
    """A size in pixels, one number or several, times a factor."""
    if isinstance(size, (list, tuple)):
        return tuple(max(round(side * scale), 1) for side in size)
    return max(round(size * scale), 1)
