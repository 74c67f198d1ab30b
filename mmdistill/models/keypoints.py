"""Which keypoints a model's output has: their mirror partners and OKS sigmas.

Shapes: `n` instances, `K` keypoints of the model's head. With
`output_keypoint_indices` in its `test_cfg` a model gives out some of them only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mmdistill.errors import ConfigError
from mmdistill.functional.scoring import UNKNOWN_SIGMA, known_sigmas


def flip_indices_of(module: Any, metainfo: Mapping[str, Any]) -> Sequence[int]:
    """Mirror partners of a model's keypoints, (K,).

    Args:
        module: A pose estimator; its own metainfo, where it has one, overrides the
            data set's, as in its own predict.
        metainfo: Of a data sample.
    """
    partners: Sequence[int] = (module.metainfo or metainfo)['flip_indices']
    return partners


def swap_left_right(values: Tensor, flip_indices: Sequence[int]) -> Tensor:
    """Values of a mirror image, each at the keypoint that it is in the picture.

    Args:
        values: What a view says of its keypoints, (n, K, ...).
        flip_indices: For each keypoint the one that a mirror makes of it, (K,).

    Raises:
        UserError: If these are not as many as the values' keypoints.
    """
    if len(flip_indices) != values.shape[1]:
        raise ConfigError(
            f'flip_indices must name a partner for each of the {values.shape[1]} '
            f'keypoints of the model, got {len(flip_indices)}; set metainfo of the '
            'model, or views without flip'
        )
    partners = torch.as_tensor(flip_indices, device=values.device)
    return values.index_select(1, partners)


def sigmas_of(
    sigmas: Sequence[float] | None, kept: Sequence[int] | None, num_keypoints: int
) -> Sequence[float]:
    """OKS sigmas of a model's keypoints, (K,).

    Args:
        sigmas: Of the keypoints that the model gives out, or of all; None or an
            empty list where they are not known.
        kept: The keypoints that the model gives out, None for all.
        num_keypoints: Number of its keypoints, K.

    Raises:
        UserError: If there are as many sigmas as neither has keypoints, or one is not
            positive.
    """
    if sigmas is None or len(sigmas) == 0:
        return known_sigmas(sigmas, num_keypoints).tolist()
    if min(sigmas) <= 0:
        raise ConfigError(f'sigmas must be positive, got {min(sigmas)}')
    if len(sigmas) == num_keypoints:
        return sigmas
    if kept is None or len(sigmas) != len(kept):
        raise ConfigError(
            f'sigmas must be one a keypoint, got {len(sigmas)} for {num_keypoints} '
            'keypoints'
        )
    known = dict(zip(kept, sigmas, strict=True))
    return [known.get(i, UNKNOWN_SIGMA) for i in range(num_keypoints)]
