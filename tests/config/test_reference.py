"""The tables of all settings in the README of the configs."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmdistill.config.reference import COMMAND, main, reference, renewed
from mmdistill.errors import UserError
from tests.helpers.schema_parts import parts

README = Path(__file__).parents[2] / 'configs' / 'README.md'


def test_the_tables_are_those_of_the_schema():
    text = README.read_text()
    assert renewed(text) == text, f'configs/README.md is stale; renew it: {COMMAND}'


@pytest.mark.parametrize('part', list(parts()))
def test_every_setting_has_a_row(part):
    for name in part.__dataclass_fields__:
        assert f'\n| `{name}` | ' in reference()


def test_kinds_and_defaults_are_shown():
    rows = reference().splitlines()
    assert any(
        r.startswith('| `store` | a path ') and '**required**' in r for r in rows
    )
    assert any(
        r.startswith('| `batch_size` | a whole number of at least 1 | `16` |')
        for r in rows
    )


def test_other_text_stays(tmp_path):
    path = tmp_path / 'README.md'
    path.write_text('a\n<!-- settings -->\nold\n<!-- end of settings -->\nb\n')

    main([str(path)])

    assert path.read_text() == f'a\n{reference()}b\n'
    assert renewed(path.read_text()) == path.read_text()


def test_a_text_without_markers_is_refused():
    with pytest.raises(UserError, match='there must be a line <!-- settings -->'):
        renewed('a\n')
