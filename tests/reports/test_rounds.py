"""Rounds on the page, and where they are read from."""

import json
import re

import pytest
from mmengine.config import Config

from mmdistill.errors import StoreError
from mmdistill.reports.rounds import (
    metric_names,
    read_rounds,
    round_plots,
    round_rows,
    round_warnings,
)
from mmdistill.selection.round_changes import RoundLabels
from mmdistill.stages.round_results import RoundResult


def result(number, agreement=0.5, moved=None, **more) -> RoundResult:
    labels = RoundLabels((0.25, 0.5), 1200, 15, 100, 0.125, agreement, moved)
    return RoundResult(number, labels, **more)


ROUNDS = [
    result(1, 0.5, results={'AP': [0.25, 0.75], 'AR': [0.5, 0.5]}),
    result(2, 0.75, 0.25, results={'AP': [0.625]}, holdout={'AP': [0.5]}),
    result(3, 0.5, 0.02),
]


def write(folder, rounds=ROUNDS) -> None:
    folder.mkdir(exist_ok=True)
    content = dict(rounds=[each.as_json() for each in rounds], steps={})
    (folder / 'rounds.json').write_text(json.dumps(content))


def test_rounds_are_read_beside_the_folder_of_a_round(tmp_path):
    assert read_rounds(tmp_path / 'round_2/labels') == []
    write(tmp_path)
    assert read_rounds(tmp_path / 'round_2/labels') == ROUNDS


def test_rounds_of_a_recipe_are_read_in_its_work_folder(tmp_path):
    """The first store may lie elsewhere."""
    write(tmp_path / 'work')
    section = dict(teacher=dict(), unlabeled=dict(), store='a/b', rounds=dict())
    config = Config(dict(distill=section, work_dir=str(tmp_path / 'work')))
    assert read_rounds(tmp_path / 'a/b', config) == ROUNDS
    assert read_rounds(tmp_path / 'a/b') == []


@pytest.mark.parametrize('text', ['{', '{"rounds": [{"round": 1}]}', '[]'])
def test_a_ledger_that_is_none_says_the_way_on(tmp_path, text):
    (tmp_path / 'rounds.json').write_text(text)
    with pytest.raises(StoreError, match=r'rounds\.json is not .*Remove it and run'):
        read_rounds(tmp_path / 'round_1/labels')


def test_the_table_has_a_row_for_each_round(written, again):
    page = again(written.store, rounds=ROUNDS)
    (table,) = page.all('table', id='round-table')
    assert table.cells() == [
        [
            *('round', 'threshold', 'candidates', 'kept', 'score', 'agreement'),
            *('moved', 'AP', 'AR', 'AP on holdout'),
        ],
        [
            *('1', '0.250 to 0.500', '1,200', '15', '0.125', '0.500', '–'),
            *('0.500 ± 0.354', '0.500 ± 0.000', '–'),
        ],
        [
            *('2', '0.250 to 0.500', '1,200', '15', '0.125', '0.750', '25.0%'),
            *('0.625', '–', '0.500'),
        ],
        [
            *('3', '0.250 to 0.500', '1,200', '15', '0.125', '0.500', '2.0%'),
            *('–', '–', '–'),
        ],
    ]
    assert page.all('h2', id='rounds')


def test_a_page_without_rounds_has_no_such_section(written):
    assert written.root.all('h2', id='rounds') == []


def test_the_plots_are_of_labels_and_of_the_first_metric():
    labels, results = round_plots(ROUNDS)
    assert labels.title == 'Labels by round'
    assert results.caption == (
        'AP of the students of each round; it is highest in round 2, 0.625.'
    )
    assert re.search('<text', labels.svg)
    assert [plot.title for plot in round_plots(ROUNDS[1:])] == [
        *('Labels by round', 'Results by round')
    ]
    assert [plot.title for plot in round_plots(ROUNDS[2:] * 2)] == ['Labels by round']
    assert round_plots(ROUNDS[:1]) == []


def test_rounds_whose_agreement_deceives_are_named():
    (sentence,) = round_warnings(ROUNDS)
    assert sentence.startswith('Round 2: the views agree more than in the round before')
    assert metric_names([]) == round_rows([]) == round_warnings([]) == []
