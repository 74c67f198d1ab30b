"""Rows as lines."""

from __future__ import annotations

from mmdistill.utils.logging import format_table


def test_the_first_column_stands_left_and_the_others_right():
    assert format_table([['', 'AP'], ['teacher', '1'], ['t', '0.25']]).split('\n') == [
        '           AP',
        '-------------',
        'teacher     1',
        't        0.25',
    ]
