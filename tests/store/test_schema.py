"""Rows become columns and come back."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from mmdistill.store import Candidates
from mmdistill.store.schema import empty_candidates, rows_to_table, table_to_labels


def test_candidates_are_indexed_together(make_candidates):
    drawn = make_candidates(5)
    chosen = drawn[np.array([3, 0])]
    for field in fields(Candidates):
        expected = getattr(drawn, field.name)[[3, 0]]
        assert np.array_equal(getattr(chosen, field.name), expected)


@pytest.mark.parametrize('num_keypoints', [1, 14, 17])
def test_no_candidates_have_the_shapes_of_some(make_candidates, num_keypoints):
    empty = empty_candidates(num_keypoints)
    some = make_candidates(3, num_keypoints=num_keypoints)
    for field in fields(Candidates):
        shape = getattr(some, field.name).shape[1:]
        assert getattr(empty, field.name).shape == (0, *shape)


@pytest.mark.parametrize(
    'counts', [(2, 0, None, 3), (0, 0), (None,), (1,), (None, 0, 4)]
)
def test_columns_give_back_the_candidates_of_each_row(make_rows, counts):
    rows = make_rows(counts, num_keypoints=5)
    labels = table_to_labels(rows_to_table(rows, 5), 5)
    for number, row in enumerate(rows):
        back = labels.candidates[np.flatnonzero(labels.image_index == number)]
        for field in fields(Candidates):
            expected = getattr(row.candidates, field.name)
            assert np.array_equal(getattr(back, field.name), expected)


def test_without_keypoints_there_are_no_columns_for_them(make_rows):
    table = rows_to_table(make_rows((2, None, 1), num_keypoints=0), 0)
    assert not any(name.startswith('keypoint') for name in table.column_names)
    assert table_to_labels(table, 0).candidates.keypoints.shape == (3, 0, 2)


def test_columns_give_back_what_the_images_are(make_rows):
    rows = make_rows((2, None, 0))
    labels = table_to_labels(rows_to_table(rows, 17), 17)
    assert labels.paths.to_pylist() == ['000.png', '001.png', '002.png']
    assert labels.sizes.tolist() == [[64, 48], [0, 0], [64, 48]]
    assert labels.failures == [None, 'no such file', None]


def test_only_images_that_were_read_are_counted(make_rows):
    table = rows_to_table(make_rows((2, None, 0, None)), 17)
    assert table_to_labels(table, 17).num_read == 2
