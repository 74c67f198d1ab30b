"""How long a student trains: the schedule grows with the data.

In Data Distillation a student sees more images than its teacher, so it trains longer
(COCO keypoints: 130,000 iterations supervised, 360,000 distilled), and its learning
rate drops after 70 % and 90 % of them.
"""

from __future__ import annotations

from collections.abc import Sequence


def growth(num_labeled: int, num_selected: int, max_factor: float) -> float:
    """Factor by which the data grow, and with them the iterations.

    Args:
        num_labeled: Labelled samples, at least 1.
        num_selected: Pseudo-labelled samples.
        max_factor: The factor is not above this; at least 1.

    Raises:
        ValueError: If `max_factor` is below 1.
    """
    if not max_factor >= 1:
        raise ValueError(f'max_factor must be at least 1, got {max_factor}')
    return min((num_labeled + num_selected) / num_labeled, max_factor)


def grown_iterations(iterations: int, factor: float) -> int:
    """Iterations of a student, where its teacher's config states iterations."""
    return round(iterations * factor)


def grown_epochs(epochs: int, factor: float, data_factor: float) -> int:
    """Epochs of a student, where its teacher's config states epochs.

    An epoch of the student goes over both sets, so it grows by itself: without a
    cap the number of epochs stays.

    Args:
        epochs: Epochs over the labelled set alone.
        factor: Factor by which the iterations shall grow.
        data_factor: Factor by which an epoch grows.
    """
    return max(1, round(epochs * factor / data_factor))


def milestones_at(shares: Sequence[float], length: int) -> list[int]:
    """Where the learning rate drops.

    Args:
        shares: Shares of the schedule, ascending, in (0, 1).
        length: Length of the schedule, iterations or epochs.

    Raises:
        ValueError: If the shares are not ascending in (0, 1).
    """
    inside = all(0 < share < 1 for share in shares)
    if not inside or list(shares) != sorted(set(shares)):
        raise ValueError(
            f'milestones must be ascending shares between 0 and 1, got {list(shares)}'
        )
    return [round(share * length) for share in shares]
