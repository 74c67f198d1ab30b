"""Selections through JSON and back."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from mmdistill.selection import Selection
from mmdistill.selection.selection import selection_fields


def test_what_was_written_as_json_comes_back(make_selection):
    selection = make_selection(0.375)
    content = json.loads(json.dumps(asdict(selection)))
    assert Selection(**selection_fields(content)) == selection


@pytest.mark.parametrize('missing', ['labeled', 'options', 'parts', 'curve_means'])
def test_a_part_that_is_missing_is_an_error(make_selection, missing):
    content = asdict(make_selection(0.375))
    del content[missing]
    with pytest.raises(KeyError, match=missing):
        selection_fields(content)
