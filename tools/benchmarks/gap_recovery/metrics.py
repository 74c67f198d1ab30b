"""Metrics of a comparison: their names in results, and what they are called in a table.

MMPose names a PCK by what it is normalized by and not by its radius; a recipe that has
several gives each its prefix.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmdistill.config.detectors import is_detector
from mmdistill.config.schema import dicts_within, is_type
from mmdistill.errors import ConfigError

LOWER_IS_BETTER = ('EPE', 'NME')
"""Errors; of all other metrics more is better."""
DIGITS = {'EPE': 2, 'NME': 4}
"""Decimals that seeds differ in; 3 of all other metrics."""
PCK = {'bbox': 'PCK', 'head': 'PCKh', 'torso': 'tPCK'}
"""MMPose's names by what distances are normalized by."""
SINGLE = {'EPE': 'EPE [px]', 'NME': 'NME', 'AUC': 'AUC'}
"""Titles of what a metric of that type gives."""
PRECISION = ('coco/AP', 'coco/bbox_mAP')
"""Metrics that choose where there is one of them: PCK does not see precision."""
OF_POSES = {'AP': 'AP', 'AR': 'AR'}
"""Titles of what MMPose's `CocoMetric` gives."""
OF_BOXES = {'bbox_mAP': 'AP', 'bbox_mAP_50': 'AP .5', 'bbox_mAP_75': 'AP .75'}
"""Titles of what MMDetection's `CocoMetric` gives of boxes."""


@dataclass(frozen=True)
class Metric:
    """A metric of a comparison.

    Attributes:
        name: Its key in the results of a test.
        title: What it is called in tables.
    """

    name: str
    title: str

    @property
    def lower_is_better(self) -> bool:
        """Whether it is an error."""
        return _last(self.name) in LOWER_IS_BETTER

    @property
    def digits(self) -> int:
        """Decimals to show."""
        return DIGITS.get(_last(self.name), 3)

    def shown(self, value: float, sign: str = '') -> str:
        """Format a value.

        Args:
            value: The value, or a difference of two.
            sign: ``+`` for one that always has its sign.
        """
        return f'{value:{sign}.{self.digits}f}'


def metrics_of(config: Mapping[str, Any]) -> list[Metric]:
    """List the metrics that a config's test gives: PCK, then AP and AR, then others.

    Args:
        config: A config with a `test_evaluator`.
    """
    parts = [*dicts_within(config.get('test_evaluator'))]
    coco = OF_BOXES if is_detector(config) else OF_POSES
    radii = sorted(_pck_of(parts), key=lambda found: -found[0])
    metrics = [metric for _, metric in radii]
    for part in parts:
        if is_type(part, 'CocoMetric'):
            prefix = part.get('prefix') or 'coco'
            metrics += [
                Metric(f'{prefix}/{name}', title) for name, title in coco.items()
            ]
    for name, title in SINGLE.items():
        metrics += [
            Metric(_prefixed(part, name), title)
            for part in parts
            if is_type(part, name)
        ]
    return metrics


def choose_metrics(
    known: Sequence[Metric], names: Sequence[str] | None, choose_by: str | None
) -> tuple[list[Metric], Metric]:
    """Return the metrics to show and the one that chooses schedule and teacher.

    Args:
        known: The metrics of the recipe's test.
        names: Those to show, by name or title, also others that a test gives; None for
            all known ones.
        choose_by: The one that chooses, likewise; None for AP where it is shown, else
            the first one.

    Raises:
        ConfigError: If none is known and none is named.
    """
    by_name = {each.name: each for each in known}
    by_name.update({each.title: each for each in known})

    def named(name: str) -> Metric:
        return by_name.get(name) or Metric(name, _last(name))

    shown = [*known] if names is None else [named(name) for name in names]
    if not shown:
        raise ConfigError(
            'the test_evaluator of the recipe has no metric that the comparison knows; '
            'name one of its results with --metrics'
        )
    if choose_by is not None:
        return shown, named(choose_by)
    precise = [each for each in shown if each.name in PRECISION]
    return shown, [*precise, *shown][0]


def _pck_of(parts: Sequence[Mapping[str, Any]]) -> Iterator[tuple[float, Metric]]:
    for part in parts:
        if is_type(part, 'PCKAccuracy'):
            radius, items = part.get('thr', 0.05), part.get('norm_item', 'bbox')
            for item in [items] if isinstance(items, str) else items:
                name = PCK[item]
                yield radius, Metric(_prefixed(part, name), f'{name}@{radius:g}')


def _prefixed(part: Mapping[str, Any], name: str) -> str:
    return '/'.join([*filter(None, [part.get('prefix')]), name])


def _last(name: str) -> str:
    return name.rpartition('/')[2]
