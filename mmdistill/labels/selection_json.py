"""A selection read back from JSON, which knows neither tuples nor our classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmdistill.labels.counts import LabeledCounts, Part, UnlabeledCounts
from mmdistill.labels.selection_options import SelectionOptions
from mmdistill.labels.thresholds import Threshold

LISTS = ('keypoint_thrs', 'curve_thresholds', 'curve_means')


def selection_fields(content: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a `Selection` as they were before they became JSON.

    Args:
        content: They as `json` reads them.

    Raises:
        KeyError, TypeError, AttributeError: If it is not the content of a selection.
    """
    labeled = dict(content['labeled'])
    for name in ('categories', 'keypoints'):
        labeled[name] = tuple(labeled[name])
    labeled['categories'] = tuple(map(tuple, labeled['categories']))
    converted = dict(
        options=SelectionOptions(**content['options']),
        thresholds=tuple(Threshold(**each) for each in content['thresholds']),
        labeled=LabeledCounts(**labeled),
        unlabeled=UnlabeledCounts(**content['unlabeled']),
        parts=tuple(Part(**each) for each in content['parts']),
    )
    lists = {key: tuple(content[key]) for key in LISTS}
    return {**content, **lists, **converted}
