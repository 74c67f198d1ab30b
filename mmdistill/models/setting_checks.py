"""Whether what a user gives the fusing wrapper can be used; a sentence if not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from torch import Tensor

from mmdistill.errors import UserError
from mmdistill.functional.fusion import FUSIONS


def check_switches(**switches: Any) -> None:
    """Make sure that switches are on or off; a text would count as on.

    Raises:
        UserError: If one is neither.
    """
    for name, value in switches.items():
        if not isinstance(value, (bool, np.bool_)):
            raise UserError(f'{name} must be True or False, got {value!r}')


def check_fusion(fusion: Any, padding: Any, forward_batch_size: Any) -> None:
    """Make sure that the settings of a fusion are ones.

    Args:
        fusion: 'mean' or 'max'.
        padding: Factor by which a crop is larger than its box.
        forward_batch_size: Crops in a forward pass, or None.

    Raises:
        UserError: If one is not.
    """
    if fusion not in [*FUSIONS]:
        raise UserError(f'fusion must be one of {list(FUSIONS)}, got {fusion!r}')
    if not isinstance(padding, Real) or not 0 < float(padding) < math.inf:
        raise UserError(f'padding must be a positive number, got {padding!r}')
    size = forward_batch_size
    if size is not None and (not isinstance(size, Integral) or size < 1):
        raise UserError(f'forward_batch_size must be at least 1, got {size!r}')


def check_images(images: Sequence[Tensor], boxes: Sequence[np.ndarray]) -> None:
    """Make sure that crops can be cut of images.

    Args:
        images: The images.
        boxes: The boxes of each.

    Raises:
        UserError: If one that has boxes has other channels than three, or no pixels.
    """
    for image, rows in zip(images, boxes, strict=True):
        shape = tuple(image.shape)
        if len(rows) and (len(shape) != 3 or shape[0] != 3 or 0 in shape):
            raise UserError(
                f'an image must have the shape (3, height, width), got {shape}'
            )
