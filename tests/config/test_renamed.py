"""Former names of settings: one sentence that has the new one."""

from __future__ import annotations

import argparse
import ast
import json
import re
from dataclasses import fields
from inspect import signature

import pytest
from mmengine.config import Config

from mmdistill.cli.arguments import add_selection_arguments
from mmdistill.config.recipe import Recipe
from mmdistill.config.renamed import ARGUMENTS, FLAGS, KEYS, check_arguments
from mmdistill.config.selection_options import SelectionOptions
from mmdistill.datasets import PseudoLabelDataset
from mmdistill.engine.loops.label_loop import LabelLoop
from mmdistill.errors import UserError
from mmdistill.selection.selection import read_selection
from mmdistill.utils.files import json_sha256

TAKEN = {
    'LabelLoop': signature(LabelLoop).parameters,
    'PseudoLabelDataset': signature(PseudoLabelDataset).parameters,
    'CountMatchingHook': [each.name for each in fields(SelectionOptions)],
}
"""Arguments of registered classes."""


@pytest.mark.parametrize('key', KEYS)
def test_a_config_with_a_former_key_is_told_the_new_one(key):
    section = dict(teacher={}, unlabeled={}, store='labels')
    config = Config(dict(distill=section))
    config.merge_from_dict({key: 'x' if key != 'distill.counting' else {}})

    with pytest.raises(UserError) as caught:
        Recipe.of(config)

    assert f'{key} is now {KEYS[key]}' in str(caught.value)
    assert '\n' not in str(caught.value)


def test_a_former_section_names_what_is_in_it_too():
    section = dict(teacher={}, unlabeled={}, store='labels')
    section['counting'] = dict(over='all', keypoint_thr=0.2)

    with pytest.raises(UserError) as caught:
        Recipe.of(Config(dict(distill=section)))

    assert str(caught.value) == (
        'distill.counting is now distill.selection, and '
        'distill.counting.over is now distill.selection.labeled_images'
    )


@pytest.mark.parametrize('flag', FLAGS)
def test_a_former_flag_is_told_the_new_one(flag):
    parser = argparse.ArgumentParser()
    add_selection_arguments(parser)

    with pytest.raises(UserError, match=f'^{flag} is now {FLAGS[flag]}, got .* all$'):
        parser.parse_args([flag, 'all'])

    assert flag not in parser.format_help().split()


@pytest.mark.parametrize(
    ('kind', 'old'), [(kind, old) for kind, names in ARGUMENTS.items() for old in names]
)
def test_a_written_config_of_before_is_told_the_new_argument(kind, old):
    part = {'type': f'mmdistill.{kind}', old: 'x'}
    config = Config(dict(a=[dict(b=part)]))

    with pytest.raises(
        UserError, match=f'{old} of {kind} is now {ARGUMENTS[kind][old]}'
    ):
        check_arguments(config)


@pytest.mark.parametrize(
    ('kind', 'old'), [(kind, old) for kind, names in ARGUMENTS.items() for old in names]
)
def test_an_argument_that_is_renamed_as_it_says_is_accepted(kind, old):
    part = {'type': f'mmdistill.{kind}', old: 'x'}
    with pytest.raises(UserError) as caught:
        check_arguments(Config(dict(a=part)))
    sentence = str(caught.value)
    new, given, value = re.findall(r' is now (\w+), got (\w+)=(.+); ', sentence)[0]
    assert sentence.endswith(', or rename the argument')

    part[new] = part.pop(given)

    assert part[new] == ast.literal_eval(value)
    check_arguments(Config(dict(a=part)))
    assert new in TAKEN[kind]


def test_other_classes_keep_such_arguments():
    check_arguments(Config(dict(a=dict(type='CocoMetric', labels=1, over=2))))


def test_a_selection_with_former_names_is_read(
    tmp_path, make_store, make_rows, make_selection
):
    store = make_store(tmp_path, make_rows((1, 1, 1)))
    make_selection(0.5).write(store)
    path = store.root / 'selection.json'
    content = json.loads(path.read_text())
    former = dict(over='annotated', per='source', categories='each', by='both')
    former |= dict(floor=0.1, cap=0.9, keypoint_thr='count', score_thr=0.5)
    content.update(options=former, changes=dict(over='annotated', cap=0.9))
    content.pop('sha256')
    path.write_text(json.dumps(dict(content, sha256=json_sha256(content))))

    selection = read_selection(store)

    names = ('annotated', 'source', 'each', 'both')
    assert selection.options == SelectionOptions(*names, 0.1, 0.9, 'count', 0.5)
    assert selection.changes == dict(labeled_images='annotated', max_thr=0.9)
    assert read_selection(store) == selection


def test_a_selection_is_written_with_the_names_of_today(
    tmp_path, make_store, make_rows, make_selection
):
    store = make_store(tmp_path, make_rows((1, 1, 1)))
    make_selection(0.5).write(store)

    options = json.loads((tmp_path / 'selection.json').read_text())['options']

    assert {'labeled_images', 'group_by', 'criterion', 'min_thr', 'max_thr'} < {
        *options
    }
