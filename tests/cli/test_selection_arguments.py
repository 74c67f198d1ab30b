"""The command line's options of a selection."""

from __future__ import annotations

import argparse
from dataclasses import fields

import pytest

from mmdistill.cli.arguments import add_selection_arguments, changed_options
from mmdistill.config.selection_options import SelectionOptions


@pytest.fixture
def parse():
    """Parse a command line to changed options."""
    parser = argparse.ArgumentParser()
    add_selection_arguments(parser)
    return lambda *words: changed_options(parser.parse_args(words))


def test_what_is_not_given_is_not_changed(parse):
    assert parse() == {}


def test_every_option_can_be_given(parse):
    given = parse(
        *(
            '--labeled-images',
            'annotated',
            '--group-by',
            'source',
            '--categories',
            'each',
        ),
        *('--criterion', 'both', '--min-thr', '0.1', '--max-thr', '0.9'),
        *('--keypoint-thr', '0.3', '--score-thr', '0.5'),
    )
    assert set(given) == {field.name for field in fields(SelectionOptions)}
    expected = ('annotated', 'source', 'each', 'both', 0.1, 0.9, 0.3, 0.5)
    assert SelectionOptions(**given) == SelectionOptions(*expected)


@pytest.mark.parametrize('rule', ['count', 'count_per_type'])
def test_a_keypoint_threshold_may_be_matched(parse, rule):
    assert parse('--keypoint-thr', rule) == {'keypoint_thr': rule}


def test_a_keypoint_threshold_of_another_kind_is_refused(parse, capsys):
    with pytest.raises(SystemExit):
        parse('--keypoint-thr', 'high')
    assert "invalid threshold value: 'high'" in capsys.readouterr().err
