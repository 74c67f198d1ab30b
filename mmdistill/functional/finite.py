"""Masks of keypoints with finite values, and substitutes for the others.

A broken teacher, or float16, gives non-finite values for some crops. A keypoint is
known when all of its values are finite. An unknown one is never a label: it has score
0 and agreement 0, and lies in the middle of its box.

Shapes: `N` instances, `n` of them in a view, `K` keypoints.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mmdistill.functional.fusion import Rows


def known_in_view(evidence: Sequence[Tensor]) -> Tensor:
    """Mask of the keypoints whose values in a view are all finite.

    Args:
        evidence: Output of a view, tensors of shape (n, K, ...), floating point.

    Returns:
        Mask, (n, K), bool.

    >>> known_in_view([torch.tensor([[[1.0, 2.0], [torch.nan, 2.0]]])]).tolist()
    [[True, False]]
    """
    # The sum of numbers is finite where each of them is: one pass, and no copy.
    sums = [
        values.flatten(2).sum(2) if values.ndim > 2 else values for values in evidence
    ]
    return torch.stack(sums).isfinite().all(dim=0)


def without_unknown(evidence: Sequence[Tensor], known: Tensor) -> tuple[Tensor, ...]:
    """Set the values of unknown keypoints to zero, so that sums over views stay finite.

    Args:
        evidence: Output of a view, tensors of shape (n, K, ...).
        known: Mask of the known keypoints, (n, K), bool.

    >>> values = torch.tensor([[0.5, torch.nan]])
    >>> without_unknown([values], known_in_view([values]))
    (tensor([[0.5000, 0.0000]]),)
    """
    # On a GPU the check would synchronize, and filling costs next to nothing.
    if known.device.type == 'cpu' and bool(known.all()):
        return tuple(evidence)
    return tuple(
        values.masked_fill(~known.view(*known.shape, *(1,) * (values.ndim - 2)), 0)
        for values in evidence
    )


class KnownInAll:
    """Accumulator of the keypoints that are known in every added view.

    Args:
        num_instances: Number of instances, N.

    >>> known = KnownInAll(num_instances=1)
    >>> known.add(torch.tensor([[True, True]]), slice(None))
    >>> known.add(torch.tensor([[True, False]]), slice(None))
    >>> known.result().tolist()
    [[True, False]]
    """

    def __init__(self, num_instances: int) -> None:
        self._num_instances = num_instances
        self._known: Tensor | None = None

    def add(self, known: Tensor, rows: Rows) -> None:
        """Add one view of some instances.

        Args:
            known: Mask of the keypoints that are known in it, (n, K), bool.
            rows: The n instances.
        """
        if self._known is None:
            self._known = known.new_ones(self._num_instances, known.shape[1])
        self._known[rows] &= known

    def merge(self, other: KnownInAll) -> None:
        """Add the views of another accumulator of the same instances.

        Args:
            other: The other one.
        """
        assert other._known is not None
        self.add(other._known, slice(None))

    def result(self) -> np.ndarray:
        """Mask of the known keypoints, (N, K), bool.

        Raises:
            RuntimeError: If no view was added.
        """
        if self._known is None:
            raise RuntimeError('known keypoints need at least one view, got none')
        return self._known.cpu().numpy()


def known_keypoints(*values: np.ndarray) -> np.ndarray:
    """Mask of the keypoints whose values are all finite.

    Args:
        values: Scores or the like, (N, K), or coordinates, (N, K, 2).

    Returns:
        Mask, (N, K), bool.

    >>> known_keypoints(np.array([[0.5, np.nan]]), np.array([[np.inf, 1.0]])).tolist()
    [[False, False]]
    """
    masks = [np.isfinite(array) for array in values]
    return np.logical_and.reduce(
        [mask.all(axis=-1) if mask.ndim == 3 else mask for mask in masks]
    )


def box_middles(bboxes: np.ndarray) -> np.ndarray:
    """Compute the middles of boxes, (N, 2); non-finite coordinates count as 0.

    Args:
        bboxes: Boxes (x1, y1, x2, y2), (N, 4).

    >>> box_middles(np.array([[0.0, 0.0, 4.0, 2.0], [0.0, np.nan, 4.0, 2.0]])).tolist()
    [[2.0, 1.0], [2.0, 1.0]]
    """
    boxes = np.where(np.isfinite(bboxes), bboxes, 0)
    return (boxes[:, :2] / 2 + boxes[:, 2:] / 2).astype(np.float32)
