"""Adaptive views: instances on which the first views agree are shown in no others.

Views are shown in groups, those that change the crop least first. After each group an
instance whose views agree is settled. The rule looks at one instance alone, so its
label does not depend on the others of a batch.

Shapes: `N` instances, `K` keypoints.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor

from mmdistill.functional.views import View

STEPS = 1024
"""Steps of agreement per unit: differences below one are rounding."""


@dataclass(frozen=True)
class AdaptiveRule:
    """The rule by which instances are settled.

    Attributes:
        agreement: Agreement of an instance's views from which on it is settled.
        groups: Number of views in each group but the last, which has the rest.

    >>> agreement = torch.tensor([[0.99, 0.1], [0.5, 0.9]])
    >>> evidence = torch.tensor([[0.9, 0.0], [0.5, 0.5]])
    >>> AdaptiveRule(0.9, groups=(2,)).settled(agreement, evidence).tolist()
    [True, False]
    """

    agreement: float
    groups: tuple[int, ...] = (2, 4)

    def as_json(self) -> dict[str, Any]:
        """Convert the rule to JSON values, as manifests state it."""
        return {'agreement': self.agreement, 'groups': [*self.groups]}

    def split(self, views: Sequence[View]) -> list[tuple[View, ...]]:
        """Split views into the groups that are shown one after the other.

        Args:
            views: All views; where some are mirrored, each view before its image.
        """
        ordered = sorted(views, key=distance)
        ends = [0, *(min(end, len(ordered)) for end in accumulate(self.groups))]
        ends.append(len(ordered))
        groups = (tuple(ordered[start:end]) for start, end in pairwise(ends))
        return [group for group in groups if group]

    def settled(self, agreement: Tensor, evidence: Tensor) -> Tensor:
        """Mask of the instances that need no further views, (N,), bool.

        The agreement of an instance is the mean over its keypoints, weighted by their
        evidence: the views of a hidden joint disagree whatever is shown.

        Args:
            agreement: Agreement of the views so far, (N, K).
            evidence: Sum of the values of the views' peaks, at least 0, (N, K).
        """
        total = evidence.sum(1)
        mean = (agreement * evidence).sum(1) / total.clamp(min=torch.finfo().tiny)
        return (mean * STEPS).round() >= round(self.agreement * STEPS)


def distance(view: View) -> float:
    """Compute how far a view changes the crop or its input; a flip does not count.

    Args:
        view: The view.

    >>> distance(View(flip=True)), round(distance(View(scale=2.0)), 3)
    (0.0, 0.693)
    """
    factors = (view.scale, view.aspect_ratio, view.resolution)
    turn = abs(math.remainder(view.rotation, 360)) / 60
    return sum(abs(math.log(factor)) for factor in factors) + turn
