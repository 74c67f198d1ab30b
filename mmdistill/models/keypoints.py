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


OWN_PARTNERS = (
    "set metainfo of the model to its keypoints, as metainfo=dict(from_file='...') in "
    'its config, or views without flip, as distill.views.flip=False'
)
"""Advice where the mirror partners of a model's keypoints are not known."""


def check_output_order(kept: Sequence[int] | None, flip_indices: Sequence[int]) -> None:
    """Make sure that a data set's mirror partners are those of a model's keypoints.

    Args:
        kept: Numbers of the model's keypoints that it returns; None for all.
        flip_indices: Mirror partner of each keypoint of the data set.

    Raises:
        UserError: If the data set has the keypoints that the model returns, and these
            are in another order than the model's.
    """
    # Partners of another number are those of all keypoints of the model.
    if kept is None or len(kept) != len(flip_indices):
        return
    if list(kept) != list(range(len(kept))):
        raise ConfigError(
            f'the model returns its keypoints {list(kept)}, whose mirror partners the '
            f'flip_indices of the data set do not name; {OWN_PARTNERS}'
        )


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
            f'keypoints of the model, got {len(flip_indices)}; {OWN_PARTNERS}'
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
