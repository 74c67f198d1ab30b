"""The weights and targets of pseudo-labeled keypoints in the student's loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from mmdistill.config.kinds import (
    SHARE,
    SWITCH,
    Choice,
    Range,
    errors_of,
    unknown_key,
)
from mmdistill.config.settings import setting
from mmdistill.errors import ConfigError
from mmdistill.functional.keypoint_weights import CRITERIA

MOST = 10
"""Greatest exponent, greatest factor of sigma, and inverse of its least one."""


@dataclass(frozen=True)
class WeightsConfig:
    """The weights of pseudo-labeled keypoints in the loss, and their targets."""

    criterion: str = setting(
        Choice(CRITERIA),
        "what a keypoint weighs by: the views' agreement on it, its score, or both, "
        'their geometric mean',
        'agreement',
    )
    power: float = setting(
        Range(0, MOST), 'exponent of that value; 0 weighs all alike', 1.0
    )
    floor: float = setting(
        SHARE, 'least weight of a keypoint, before they are normalized', 0.0
    )
    normalize: bool = setting(
        SWITCH,
        'whether the mean weight of the kept visible keypoints is 1, so that the '
        'labeled share keeps its meaning',
        True,
    )
    sigma: float = setting(
        Range(1 / MOST, MOST),
        "factor of the codec's sigma in the targets of pseudo-labels; of heatmaps by "
        'MSRAHeatmap and UDPHeatmap, and of SimCCLabel',
        1.0,
    )

    @property
    def varies(self) -> bool:
        """Whether one keypoint may weigh more than another."""
        return self.power > 0

    @property
    def needs_agreement(self) -> bool:
        """Whether the agreement of the views is read."""
        return self.criterion != 'score' and self.varies

    @property
    def arguments(self) -> dict[str, Any]:
        """All settings, as `PseudoLabelDataset` takes them."""
        return asdict(self)

    def __str__(self) -> str:
        rule = f'{self.criterion}, power {self.power:g}, floor {self.floor:g}'
        scale = 'normalized' if self.normalize else 'not normalized'
        wide = '' if self.sigma == 1 else f'; sigma of their targets x {self.sigma:g}'
        return f'{rule}, {scale}{wide}'

    @classmethod
    def of(
        cls, stated: WeightsConfig | Mapping[str, Any] | None
    ) -> WeightsConfig | None:
        """Read what a data set states.

        Args:
            stated: Settings by name; None for no weights.

        Raises:
            ConfigError: If a setting is unknown, or none of its values.
        """
        if stated is None or isinstance(stated, cls):
            return stated
        if not isinstance(stated, Mapping):
            raise ConfigError(f'weights must be a dict, got {stated!r}')
        known = {each.name: each.metadata['kind'] for each in fields(cls)}
        for name, value in stated.items():
            if name not in known:
                raise ConfigError(unknown_key('weights', str(name), known))
            for sentence in errors_of(f'weights.{name}', value, known[name]):
                raise ConfigError(sentence)
        return cls(**stated)
