"""Checks of the settings of wrappers that fuse views, and of what they are given."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from torch import Tensor

from mmdistill.errors import ConfigError, DataError
from mmdistill.functional.adaptive_views import AdaptiveRule
from mmdistill.functional.fusion import FUSIONS


def check_switches(**switches: Any) -> None:
    """Check that switches are boolean; a string would count as true.

    Args:
        **switches: Values by name.

    Raises:
        UserError: If one is not boolean.
    """
    for name, value in switches.items():
        if not isinstance(value, (bool, np.bool_)):
            raise ConfigError(f'{name} must be True or False, got {value!r}')


def check_fusion_resolution(resolution: Any) -> None:
    """Check the resolution on whose grid views are fused.

    Args:
        resolution: A factor of the sides of the network input, or None.

    Raises:
        UserError: If it is invalid.
    """
    if resolution is None:
        return
    # Compared as it is: an integer may be too large to be a float.
    real = isinstance(resolution, Real)
    if not real or not 0 < resolution <= sys.float_info.max:
        raise ConfigError(
            f'fusion_resolution must be a positive number, got {resolution!r}'
        )


def adaptive_rule(
    agreement: float | None, groups: Sequence[int]
) -> AdaptiveRule | None:
    """Make the rule by which instances are shown in no further views.

    Args:
        agreement: Agreement from which on an instance is settled; None for no rule.
        groups: Number of views in each group but the last.

    Raises:
        ConfigError: If one is invalid.
    """
    if not isinstance(groups, Sequence) or not all(
        isinstance(count, Integral) and count >= 1 for count in groups
    ):
        raise ConfigError(
            f'adaptive_groups must be numbers of views of at least 1, got {groups!r}'
        )
    if agreement is None:
        return None
    if not isinstance(agreement, Real) or not 0 <= float(agreement) <= 1:
        raise ConfigError(f'adaptive must be from 0 to 1, got {agreement!r}')
    return AdaptiveRule(float(agreement), tuple(map(int, groups)))


def check_fusion(fusion: Any, padding: Any, forward_batch_size: Any) -> None:
    """Check the settings of a fusion.

    Args:
        fusion: 'mean' or 'max'.
        padding: Factor by which a crop is larger than its box.
        forward_batch_size: Crops in a forward pass, or None.

    Raises:
        UserError: If one is invalid.
    """
    if fusion not in [*FUSIONS]:
        raise ConfigError(f'fusion must be one of {list(FUSIONS)}, got {fusion!r}')
    if not isinstance(padding, Real) or not 0 < float(padding) < math.inf:
        raise ConfigError(f'padding must be a positive number, got {padding!r}')
    size = forward_batch_size
    if size is not None and (not isinstance(size, Integral) or size < 1):
        raise ConfigError(f'forward_batch_size must be at least 1, got {size!r}')


def check_images(images: Sequence[Tensor], boxes: Sequence[np.ndarray]) -> None:
    """Check that crops can be cut from images.

    Args:
        images: The images.
        boxes: Boxes of each image.

    Raises:
        UserError: If an image with boxes has no pixels or not three channels.
    """
    for image, rows in zip(images, boxes, strict=True):
        shape = tuple(image.shape)
        if len(rows) and (len(shape) != 3 or shape[0] != 3 or 0 in shape):
            raise DataError(
                f'an image must have the shape (3, height, width), got {shape}'
            )


def whole_images(data: Mapping[str, Any]) -> tuple[Sequence[Tensor], list]:
    """Return the images and data samples of a batch of whole images.

    Args:
        data: `inputs` and `data_samples` of the batch.

    Raises:
        UserError: If the pipeline makes a list of views of an image.
    """
    samples = data['data_samples']
    if samples and isinstance(samples[0], (list, tuple)):
        raise views_refused()
    return data['inputs'], samples


def views_refused() -> ConfigError:
    """Make the error of views that a pipeline made."""
    return ConfigError(
        'the views of an image are made and fused by the model itself, got a list of '
        'views: give it whole images, without TestTimeAug in the pipeline'
    )
