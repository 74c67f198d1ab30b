"""Whose candidate falls under which threshold."""

from __future__ import annotations

import numpy as np
import pytest

from mmdistill.selection.threshold_groups import (
    Threshold,
    format_range,
    threshold_index,
)
from mmdistill.store.image_sources import Sources

CATEGORIES = np.array([1, 7, 1, 3, 7, 1], dtype=np.int32)
SOURCES = Sources(('b', 'a'), np.array([0, 0, 1, 1, 1, 0], dtype=np.int32))


@pytest.mark.parametrize(
    'keys',
    [
        [(None, None)],
        [('a', None), ('b', None)],
        [('a', None)],
        [(None, 7), (None, 1)],
        [('a', 1), ('b', 1), ('b', 7)],
        [('c', 1)],
    ],
)
def test_each_candidate_falls_under_its_threshold(keys):
    thresholds = [Threshold(*key, 0.5) for key in keys]
    expected = []
    for category, number in zip(CATEGORIES.tolist(), SOURCES.index, strict=True):
        mine = [
            place
            for place, (source, of_category) in enumerate(keys)
            if source in (None, SOURCES.names[number])
            and of_category in (None, category)
        ]
        expected.append(mine[0] if mine else -1)
    assert threshold_index(thresholds, CATEGORIES, SOURCES).tolist() == expected


def test_no_candidates_fall_under_none():
    nothing = np.zeros(0, dtype=np.int32)
    for key in (('a', 1), ('a', None), (None, 1), (None, None)):
        found = threshold_index([Threshold(*key, 0.5)], nothing, Sources((), nothing))
        assert found.tolist() == []


@pytest.mark.parametrize(
    ('thresholds', 'text'),
    [
        ([0.5], '0.50'),
        ([0.5, 0.5, None], '0.50'),
        ([0.75, 0.5, 0.625], '0.50 to 0.75'),
        ([None], 'infinity'),
    ],
)
def test_thresholds_are_described_by_the_lowest_and_the_highest(thresholds, text):
    assert format_range(thresholds, 2) == text
