"""Stores beside each other."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmdistill.errors import UserError
from mmdistill.reports.agreement import compare_agreement


@pytest.fixture
def store(tmp_path, make_rows, make_store):
    """Write a store whose images agree so much on their best candidate."""

    def store(name, *agreements):
        rows = make_rows([None if a is None else 2 * (a > 0) for a in agreements])
        for number, (row, value) in enumerate(zip(rows, agreements, strict=True)):
            found = row.candidates
            both = np.repeat(np.float32([[value or 0], [0.99]]), 17, axis=1)
            told = replace(found, keypoint_agreement=both[: len(found)])
            rows[number] = replace(row, candidates=told)
        make_store(tmp_path / name, rows)
        return str(tmp_path / name)

    return store


def test_shares_are_of_the_images_that_could_be_read(store):
    before = store('before', 0.25, 0.5, None, 0, 0.875)
    after = store('after', 0.75, 1, None, 0.5, 0.875)
    head, _, *rows = compare_agreement([before, after], [0.5, 0.75]).split('\n')
    assert head.split() == ['images', '>=', '0.5', '>=', '0.75', 'mean']
    assert [row.split() for row in rows] == [
        [before, '4', '50.0%', '25.0%', '0.406'],
        [after, '4', '100.0%', '75.0%', '0.781'],
    ]


def test_stores_of_other_views_are_not_compared(store):
    folders = [store('before', 0.5), store('after', 0.5)]
    path = Path(folders[1], 'manifest.json')
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, 'views': {'fusion': 'max'}}))
    with pytest.raises(
        UserError, match=r'alike.*\n- views\.fusion: the store has None'
    ):
        compare_agreement(folders)


def test_a_store_without_any_image_is_a_sentence(store):
    with pytest.raises(UserError, match=r'no image of the label store .*a could be r'):
        compare_agreement([store('a', None, None)])


@pytest.mark.parametrize('threshold', [0, 1.5, float('nan')])
def test_thresholds_are_shares(store, threshold):
    with pytest.raises(UserError, match='above 0, up to 1, got'):
        compare_agreement([store('a', 0.5)], [threshold])
