"""The noise of a student: what is done to its images and features, and to whose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from mmdistill.config.kinds import (
    AT_LEAST_ONE,
    POSITIVE,
    SHARE,
    SWITCH,
    Choice,
    Interval,
    Range,
)
from mmdistill.config.settings import setting
from mmdistill.errors import ConfigError

SOURCES = ('pseudo', 'all')


@dataclass(frozen=True)
class OcclusionConfig:
    """Boxes in the mean color that cover joints of a crop.

    As the Joint Cutout of PoseCons and PoseDual (Xie et al., ICCV 2021): half-sides
    of 10 to 20 pixels on crops of 192 x 256.

    Attributes:
        prob: Share of the crops that are covered.
        joints: The least and the greatest number of boxes, each at another visible
            keypoint.
        size: The least and the greatest half-side of a box.
        jitter: Standard deviation of a box's center around its keypoint, in both
            directions. Lengths are parts of the crop's, the geometric mean of its
            width and height.

    Raises:
        ConfigError: If one of them is none of these.
    """

    prob: float = setting(SHARE, 'share of the crops that are covered', 0.8)
    joints: Sequence[int] = setting(
        Interval(AT_LEAST_ONE),
        'boxes, each at another visible keypoint',
        (1, 4),
    )
    size: Sequence[float] = setting(
        Interval(Range(0, 1)),
        "half-side of a box, a part of the crop's side (that of a square as large)",
        (0.04, 0.10),
    )
    jitter: float = setting(
        Range(0, 1),
        'standard deviation of a box around its keypoint, such a part too',
        0.04,
    )

    def __post_init__(self) -> None:
        for each in fields(self):
            value, kind = getattr(self, each.name), each.metadata['kind']
            if value not in kind:
                raise ConfigError(f'{each.name} must be {kind}, got {value!r}')


@dataclass(frozen=True)
class NoiseConfig:
    """Noise that only the student sees, where stated.

    After Noisy Student (Xie et al., CVPR 2020), whose student without noise falls below
    its teacher.
    """

    sources: str = setting(
        Choice(SOURCES),
        'whose samples: the pseudo-labeled ones alone, or all; a supervised training '
        'that is compared needs all',
        'pseudo',
    )
    occlusion: OcclusionConfig | None = field(
        default_factory=OcclusionConfig,
        metadata=dict(
            section=OcclusionConfig,
            none_is_off=True,
            meaning='boxes that cover joints; None for none',
        ),
    )
    color: bool = setting(
        SWITCH,
        'whether hue, saturation and value vary, where the pipeline does not do it '
        'itself',
        True,
    )
    scale_factor: Sequence[float] = setting(
        Interval(POSITIVE),
        "the box's scale varies at least so far; (1, 1) for as far as it does",
        (0.6, 1.4),
    )
    rotate_factor: float = setting(
        Range(0, 180),
        'the crop turns at least so far, degrees; 0 for as far as it does',
        60.0,
    )
    feature_dropout: float = setting(
        Range(0, 0.9),
        'share of the feature channels that are dropped behind the backbone and its '
        'neck, in each training step',
        0.0,
    )
    drop_path: float | None = setting(
        Range(0, 0.9),
        'rate of stochastic depth in the whole batch, of a backbone or head that has '
        "it; else the config's own",
    )

    @property
    def geometry(self) -> bool:
        """Whether the box varies further than its pipeline has it."""
        return tuple(self.scale_factor) != (1, 1) or self.rotate_factor > 0

    @property
    def occludes(self) -> bool:
        """Whether joints are covered."""
        return self.occlusion is not None and self.occlusion.prob > 0
