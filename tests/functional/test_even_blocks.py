"""Instances are split evenly, so that no forward pass is nearly empty."""

import pytest

from mmdistill.functional.view_plan import even_blocks


@pytest.mark.parametrize(
    ('length', 'lengths'), [(0, []), (8, [8]), (9, [4, 5]), (38, [7, 8, 7, 8, 8])]
)
def test_blocks_hold_all_rows_and_are_even(length, lengths):
    blocks = list(even_blocks(length, 8))
    rows = list(range(length))
    assert [row for block in blocks for row in rows[block]] == rows
    assert [len(rows[block]) for block in blocks] == lengths
