"""Keypoints of a model: their mirror partners and OKS sigmas.

Shapes: `n` instances, `K` keypoints of the model's head. With
`output_keypoint_indices` in its `test_cfg` a model returns some of them only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mmdistill.errors import ConfigError
from mmdistill.functional.scoring import UNKNOWN_SIGMA, known_sigmas


def flip_indices_of(module: Any, metainfo: Mapping[str, Any]) -> Sequence[int]:
    """Look up the mirror partners of a model's keypoints, (K,).

    Args:
        module: A pose estimator; its own metainfo, where it has one, overrides the
            data set's, as in its own predict.
        metainfo: Metainfo of a data sample.
    """
    partners: Sequence[int] = (module.metainfo or metainfo)['flip_indices']
    return partners


def swap_left_right(values: Tensor, flip_indices: Sequence[int]) -> Tensor:
    """Swap left and right keypoints in the values of a mirrored view.

    Args:
        values: Values of a view's keypoints, (n, K, ...).
        flip_indices: Mirror partner of each keypoint, (K,).

    Raises:
        UserError: If their number differs from that of the values' keypoints.
    """
    if len(flip_indices) != values.shape[1]:
        raise ConfigError(
            f'flip_indices must name a partner for each of the {values.shape[1]} '
            f'keypoints of the model, got {len(flip_indices)}; set metainfo of the '
            "model to its keypoints, as metainfo=dict(from_file='...') in its config, "
            'or views without flip, as distill.views.flip=False'
        )
    partners = torch.as_tensor(flip_indices, device=values.device)
    return values.index_select(1, partners)


def sigmas_of(
    sigmas: Sequence[float] | None, kept: Sequence[int] | None, num_keypoints: int
) -> Sequence[float]:
    """Complete the OKS sigmas of a model's keypoints, (K,).

    Args:
        sigmas: Sigmas of the keypoints that the model returns, or of all; None or an
            empty list where they are not known.
        kept: Keypoints that the model returns, None for all.
        num_keypoints: Number of its keypoints, K.

    Raises:
        UserError: If the number of sigmas fits neither set of keypoints, or one is not
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
