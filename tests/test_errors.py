"""Received values in sentences."""

from __future__ import annotations

import pytest

from mmdistill.errors import LONGEST_VALUE, shortened


@pytest.mark.parametrize('value', [None, 3, 'a text', [1, 2], dict(id='a')])
def test_a_short_value_is_shown_as_it_is(value):
    assert shortened(value) == repr(value)


def test_a_long_one_is_cut_where_it_would_be_too_long():
    longest = 'x' * (LONGEST_VALUE - 2)
    assert shortened(longest) == repr(longest)

    text = shortened(longest + 'x')

    assert len(text) == LONGEST_VALUE
    assert text == repr(longest)[:-1] + '…'
