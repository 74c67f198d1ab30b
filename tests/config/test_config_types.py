"""Tests of the type that a part of a config names."""

import pytest

from mmdistill.config.schema import is_type


@pytest.mark.parametrize(
    ('part', 'answer'),
    [
        (dict(type='CocoDataset'), True),
        (dict(type='mmpose.CocoDataset'), True),
        (dict(type='MyCocoDataset'), False),
        (dict(), False),
    ],
)
def test_the_scope_does_not_matter(part, answer):
    assert is_type(part, 'CocoDataset') is answer
