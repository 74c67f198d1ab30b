"""The audit on the report's page."""

from __future__ import annotations

import json

import pytest

from tests.helpers.audit_example import FIGURES, PART

MATCHED = dict(by='instance score', score_thrs=[0.25])


def test_an_audit_of_several_sources_has_a_row_for_each(
    written, make_store, again, tmp_path
):
    store = make_store(tmp_path / 'labels', written.rows)
    parts = [dict(PART, source=name, category_id=2) for name in ('a', '')]
    matched = dict(MATCHED, **FIGURES, parts=parts)
    (store.root / 'audit.json').write_text(json.dumps(dict(matched=matched)))
    (table,) = again(store).all('table', id='audit-parts-table')
    figures = ['0.420', '20', '11', '0.875', '0.750', '0.500', '0.250', '0.200']
    assert table.cells()[1:] == [
        ['a, category 2', *figures],
        ['images without a source, category 2', *figures],
    ]


def test_an_audit_is_shown_when_there_is_one(written, make_store, again, tmp_path):
    store = make_store(tmp_path / 'labels', written.rows)
    audit = dict(
        matched={**MATCHED, 'precision': {'0.5': 0.75}, 'recall': {'0.5': None}},
        verdict='A quarter is <wrong>.',
    )
    (store.root / 'audit.json').write_text(json.dumps(audit))
    root = again(store)
    (table,) = root.all('table', id='audit-table')
    assert table.cells()[1:] == [['0.5', '0.750', '–']]
    assert 'A quarter is <wrong>.' in root.all('div', cls='verdict')[0].text


@pytest.mark.parametrize(
    ('matched', 'words'),
    [
        (dict(MATCHED, score_thrs=[0.5]), 0),
        (dict(MATCHED, score_thrs=[0.25]), 1),
        (dict(MATCHED, score_thrs=[0.5, 0.6]), 1),
        (dict(by='view agreement', score_thrs=[0.5]), 1),
        ({}, 0),
    ],
)
def test_an_audit_of_another_selection_is_reported(
    written, make_store, again, tmp_path, matched, words
):
    store = make_store(tmp_path / 'labels', written.rows)
    written.selection.write(store)
    audit = dict(matched=matched)
    (store.root / 'audit.json').write_text(json.dumps(audit))
    told = [element.text for element in again(store).all('strong')]
    assert len([text for text in told if 'another selection' in text]) == words
