"""Numbers that are not finite: what a broken teacher, or float16, makes of a crop.

Shapes: `N` instances, `n` of them in a view, `K` keypoints. A keypoint is known when
each number that says something of it is finite. One that is not is never a label: it
has score 0 and agreement 0, and stands in the middle of its box.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mmdistill.functional.fusion import Rows


def known_in_view(evidence: Sequence[Tensor]) -> Tensor:
    """Tell of which keypoints a view says finite numbers only.

    Args:
        evidence: What a view says, tensors of shape (n, K, ...), floating point.

    Returns:
        Which, (n, K), bool.

    >>> known_in_view([torch.tensor([[[1.0, 2.0], [torch.nan, 2.0]]])]).tolist()
    [[True, False]]
    """
    # The sum of numbers is finite where each of them is: one pass, and no copy.
    sums = [each.flatten(2).sum(2) if each.ndim > 2 else each for each in evidence]
    return torch.stack(sums).isfinite().all(dim=0)


def without_unknown(evidence: Sequence[Tensor], known: Tensor) -> tuple[Tensor, ...]:
    """Put zeros where a keypoint is not known, so that nothing else is spoiled by it.

    Args:
        evidence: What a view says, tensors of shape (n, K, ...).
        known: Which keypoints are known, (n, K), bool.
    """
    # A graphics processor would have to wait for the answer, and fills in no time.
    if known.device.type == 'cpu' and bool(known.all()):
        return tuple(evidence)
    return tuple(
        each.masked_fill(~known.view(*known.shape, *(1,) * (each.ndim - 2)), 0)
        for each in evidence
    )


class KnownInAll:
    """Which keypoints are known in every view that was added.

    Args:
        num_instances: Number of instances, N.
    """

    def __init__(self, num_instances: int) -> None:
        self._num_instances = num_instances
        self._known: Tensor | None = None

    def add(self, known: Tensor, rows: Rows) -> None:
        """Add one view of some instances.

        Args:
            known: Which keypoints are known in it, (n, K), bool.
            rows: The n instances.
        """
        if self._known is None:
            self._known = known.new_ones(self._num_instances, known.shape[1])
        self._known[rows] &= known

    def result(self) -> np.ndarray:
        """Which keypoints are known, (N, K), bool.

        Raises:
            RuntimeError: If no view was added.
        """
        if self._known is None:
            raise RuntimeError('what is known needs at least one view, got none')
        return self._known.cpu().numpy()


def known_keypoints(*values: np.ndarray) -> np.ndarray:
    """Tell which keypoints have finite numbers only.

    Args:
        values: Scores or the like, (N, K), or coordinates, (N, K, 2).

    Returns:
        Which, (N, K), bool.

    >>> known_keypoints(np.array([[0.5, np.nan]]), np.array([[np.inf, 1.0]])).tolist()
    [[False, False]]
    """
    finite = [np.isfinite(each) for each in values]
    return np.logical_and.reduce(
        [each.all(axis=-1) if each.ndim == 3 else each for each in finite]
    )


def box_middles(bboxes: np.ndarray) -> np.ndarray:
    """Middles of boxes, (N, 2); the origin for a box that is not finite.

    Args:
        bboxes: Boxes (x1, y1, x2, y2), (N, 4).
    """
    boxes = np.where(np.isfinite(bboxes), bboxes, 0)
    return (boxes[:, :2] / 2 + boxes[:, 2:] / 2).astype(np.float32)
