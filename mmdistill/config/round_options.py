"""Rounds: teacher, student, and the student as the next teacher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmdistill.config.kinds import (
    AT_LEAST_ONE,
    FOLDER,
    PATH,
    PREFIX,
    SHARE,
    Choice,
    Fields,
    ListOf,
    Text,
)
from mmdistill.config.settings import setting
from mmdistill.errors import ConfigError

STARTS = ('backbone', 'previous')
KEEPS = ('last', 'best')
HOLDOUT = Fields(
    {'ann_file': PATH, 'data_root': FOLDER, 'data_prefix': PREFIX, 'metric': Text()}
)


@dataclass(frozen=True)
class RoundsConfig:
    """The rounds: each labels by the students of the one before, and trains anew."""

    number: int = setting(AT_LEAST_ONE, 'rounds at most; 1 is one distillation', 3)
    students: int = setting(
        AT_LEAST_ONE,
        'students of a round, by their seeds; all of them label the next one, fused',
        1,
    )
    start: str = setting(
        Choice(STARTS),
        'where a student starts: as its config says (backbone), or from the student of '
        'the round before',
        'backbone',
    )
    settings: Sequence[Mapping[str, Any]] = setting(
        ListOf(Fields()),
        'a dict for each round with what differs in it: sections of `distill`, parts '
        'of the config (`model`, `train_cfg`, …), or another `config` whole',
        (),
    )
    keep: str = setting(
        Choice(KEEPS),
        'the student that becomes `student.pth`: that of the last round, or the best '
        'on `holdout`',
        'last',
    )
    holdout: Mapping[str, Any] | None = setting(
        HOLDOUT,
        'labeled images that neither train nor are reported: `ann_file`, and '
        '`data_root` and `data_prefix` where they are not those of the labeled set; '
        '`metric` that compares, else the first one',
    )
    stop: float | None = setting(
        SHARE,
        'share of the kept keypoints that move from one round to the next, at or below '
        'which no further student is trained',
    )

    def __post_init__(self) -> None:
        if len(self.settings) > self.number:
            raise ConfigError(
                f'settings has an element for each round, at most number '
                f'{self.number}, got {len(self.settings)}'
            )

    def of_round(self, number: int) -> Mapping[str, Any]:
        """The settings of a round.

        Args:
            number: Number of the round, from 1.
        """
        return self.settings[number - 1] if number <= len(self.settings) else {}
