"""The end of a student's training: labeled samples alone, and averaged weights.

A supervised training that a student is compared with takes the same settings.
"""

from __future__ import annotations

from dataclasses import dataclass

from mmdistill.config.kinds import POSITIVE, SWITCH, Range
from mmdistill.config.settings import setting


@dataclass(frozen=True)
class FinishConfig:
    """The last part of the training, on labeled samples alone.

    Attributes:
        length: Length of the finish, as a share of the schedule that it is added to.
        lr: Factor of the base learning rate in the first step of the finish, from
            which the rate falls to 0 by half a cosine. On Leeds Sports Pose Extended
            0.06 gave more AP than 0.02 and 0.2, and kept more PCK than 0.2.
        noise: Whether the student's noise stays on.
    """

    length: float = setting(
        Range(0, 1, open=True),
        'how much longer the training becomes, as a share of its schedule',
        0.2,
    )
    lr: float = setting(
        POSITIVE,
        'factor of the base learning rate from which the rate falls to 0, by half a '
        'cosine',
        0.06,
    )
    noise: bool = setting(SWITCH, "whether the student's noise stays on", False)


@dataclass(frozen=True)
class EmaConfig:
    """The averaging of the weights, by MMEngine's `EMAHook`.

    Attributes:
        momentum: Part of a step's weights in the average; None for one that fits the
            length of the training, see
            `mmdistill.functional.finish.fitting_momentum`.
    """

    momentum: float | None = setting(
        Range(0, 1, open=True),
        "part of a step's weights in the average; else 20 / iterations, from 0.0001 "
        'to 0.1',
    )
