"""The advice of sentences about the `distill` section: following it is accepted."""

from __future__ import annotations

import ast
import copy
import re
from dataclasses import fields
from pathlib import Path

import pytest
from mmengine.config import Config

from mmdistill.config.kinds import Fields, ListOf
from mmdistill.config.recipe import Recipe, check_checkpoint
from mmdistill.config.schema import DetectorConfig, DistillConfig, TeacherConfig
from mmdistill.config.selection_options import SelectionOptions
from mmdistill.errors import UserError
from mmdistill.stages import detections

ODD = (b'odd', [b'odd'], {'odd': b'odd'}, [], {}, '', -7, 7.5, -7.5, True)
MOST_STEPS = 12
KINDS = dict(teacher=TeacherConfig, detector=DetectorConfig)


def keys(part=DistillConfig, above=()):
    """All keys of the section, those of its parts too."""
    for setting in fields(part):
        yield (*above, setting.name)
        inner = setting.metadata.get('section')
        kind = setting.metadata.get('kind')
        if inner is not None:
            yield from keys(inner, (*above, setting.name))
        elif isinstance(kind, Fields) and kind.kinds is not None:
            yield from ((*above, setting.name, name) for name in kind.kinds)


KEYS = ['.'.join(path) for path in keys()]


def whole():
    """A section that states what has no default."""
    return dict(teacher={}, unlabeled={}, store='labels')


def check_values(section):
    Recipe.of(Config(dict(distill=copy.deepcopy(section)), filename=''))


def sentence_of(check, *arguments):
    """The sentence of a check, None where it has none."""
    try:
        check(*arguments)
    except UserError as error:
        # Of several sentences the first is followed first.
        _, *several = str(error).split('\n- ')
        return several[0] if several else str(error)
    return None


def values_in(rule):
    """Values that a rule in words allows."""
    number = r'(-?[\d.]+(?:e[+-]\d+)?)'
    forms = {
        rf'a whole number of at least {number}': lambda low: [int(low), int(low) + 3],
        rf'a number of at least {number}': lambda low: [float(low), float(low) + 0.5],
        rf'a number from {number} to {number}': lambda *ends: list(map(float, ends)),
        rf'a number above {number}': lambda low: [float(low) + 0.25],
        rf'a number between {number} and {number}, both excluded': lambda low, high: [
            (float(low) + float(high)) / 2
        ],
        'a whole number': lambda: [4, -1],
        'a number': lambda: [0.25, -3],
        'True or False': lambda: [True, False],
        r'a number or one of (.+)': lambda words: [
            *ast.literal_eval(f'[{words}]'),
            0.25,
        ],
        r'one of (.+)': lambda words: list(ast.literal_eval(f'[{words}]')),
        r'two numbers, the least and the greatest, each (.+)': lambda each: [
            [values_in(each)[0], values_in(each)[-1]],
            [values_in(each)[0]] * 2,
        ],
        'a list': lambda: [[]],
        'True or False or a list': lambda: [True, False, []],
        'a list or a dict of whole numbers by name': lambda: [
            ['a text'],
            {'a text': 3},
        ],
        'a dict': lambda: [{}],
        'a text': lambda: ['a text'],
        r'a path, each name of at most (\d+) bytes': lambda most: ['x' * int(most)],
    }
    for form, values in forms.items():
        match = re.fullmatch(form, rule)
        if match:
            return values(*match.groups())
    raise AssertionError(f'no value is known that is {rule}')


def put(section, dotted, value):
    """State a value in a section, and the parts that it is in."""
    *parts, key = dotted.split('.')[1:]
    for part in parts:
        section = section.setdefault(part, {})
    section[key] = value


def get(section, dotted):
    for key in dotted.split('.')[1:]:
        section = section[key]
    return section


def followed(section, sentence, choice):
    """The section after what a sentence says, with one of the values it names."""
    section = copy.deepcopy(section)
    each = re.match(r'each of (\S+) must be (.+), got ', sentence)
    must = re.match(r'(\S+) must be (.+), got ', sentence)
    state = re.match(r'(\S+) must state its (\w+), got ', sentence)
    unknown = re.match(
        r'(\S+) has no (\S+)(?:, only (.+)|; did you mean (\S+)\?)', sentence
    )
    empty = re.match(r'(\S+) must have at least one element, got ', sentence)
    if each:
        put(section, each[1], [pick(values_in(each[2]), choice)])
    elif must:
        put(section, must[1], pick(values_in(must[2]), choice))
    elif state:
        put(section, f'{state[1]}.{state[2]}', 'CocoDataset')
    elif empty:
        put(section, empty[1], [b'odd'])
    else:
        part = get(section, unknown[1])
        value = part.pop(unknown[2])
        right = [unknown[4]] if unknown[4] else unknown[3].split(', ')
        part[pick(right, choice)] = value
    return section


def pick(values, choice):
    return values[choice % len(values)]


@pytest.mark.parametrize('key', KEYS)
def test_a_value_as_the_sentence_says_is_accepted(key):
    said = 0
    for odd in ODD:
        for choice in (0, 1, -1):
            section = whole()
            put(section, f'distill.{key}', copy.deepcopy(odd))
            steps = 0
            while sentence := sentence_of(check_values, section):
                assert f'distill.{key}' in sentence
                section = followed(section, sentence, choice)
                steps += 1
                assert steps < MOST_STEPS, sentence
            said += steps
    assert said


@pytest.mark.parametrize('key', KEYS)
def test_the_right_key_is_among_those_that_a_sentence_names(key):
    *above, name = f'distill.{key}'.split('.')
    # Two equal letters change nothing by changing places.
    typo = name[:-2] + name[-1] + name[-2] * (name[-1] != name[-2])
    section = whole()
    put(section, '.'.join([*above, typo]), 'a value')

    sentence = sentence_of(check_values, section)

    found = re.search(rf'has no {typo}(?:; did you mean|, only) ([\w, ]+)', sentence)
    assert name in found[1].split(', ')
    nearest = whole()
    put(nearest, '.'.join([*above, name]), nearest.get(key))
    assert sentence_of(check_values, nearest) is None


def test_every_kind_of_the_section_is_tried():
    """A key of a new kind needs words that are followed above."""

    def leaves(part):
        for setting in fields(part):
            if 'section' in setting.metadata:
                yield from leaves(setting.metadata['section'])
                continue
            kind = setting.metadata['kind']
            yield from (kind.kinds or {}).values() if isinstance(kind, Fields) else ()
            yield kind.kind if isinstance(kind, ListOf) else kind

    for words in {str(kind) for kind in leaves(DistillConfig)} - {'anything'}:
        assert values_in(words)


def test_sentences_lead_from_no_section_to_a_whole_one(tmp_path):
    (tmp_path / 'recipe.py').touch()
    config = Config({}, filename=tmp_path / 'recipe.py')
    lacking = []
    for _ in range(MOST_STEPS):
        sentence = sentence_of(Recipe.of, config)
        if sentence is None:
            break
        missing = re.search(r'has no (\w+)(?: section|$)', sentence)
        lacking += [missing[1]] if missing else []
        if missing and missing[1] == 'distill':
            config.distill = {}
        elif missing:
            config.distill[missing[1]] = b'odd'
        else:
            config.distill = followed(config.distill.to_dict(), sentence, 0)

    assert lacking == ['distill', 'teacher', 'unlabeled', 'store']
    assert Recipe.of(config).distill.teacher is not None


@pytest.mark.parametrize('role', ['teacher', 'detector'])
@pytest.mark.parametrize('stated', [None, 'gone.pth'])
def test_a_checkpoint_is_stated_where_the_sentence_says(
    role, stated, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Path('own.pth').touch()
    config = Config(dict(distill={role: dict(checkpoint=stated)}))

    sentence = sentence_of(check_checkpoint, role, config.distill[role])

    (key,) = re.findall(r'(distill\.\w+\.checkpoint)', sentence)
    config.merge_from_dict({key: 'own.pth'})
    check_checkpoint(role, config.distill[role])


@pytest.mark.parametrize('role', ['teacher', 'detector'])
def test_a_checkpoint_that_is_trained_is_the_one_that_is_stated(
    role, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    part = KINDS[role](checkpoint='work_dirs/it/best.pth')
    sentence = sentence_of(check_checkpoint, role, part)
    assert f'train the {role} first' in sentence

    (path,) = re.findall(r'checkpoint (\S+) does not exist', sentence)
    Path(path).parent.mkdir(parents=True)
    Path(path).touch()

    check_checkpoint(role, part)


def test_min_thr_and_max_thr_as_the_sentence_says():
    sentence = sentence_of(lambda: SelectionOptions(min_thr=0.75, max_thr=0.25))
    assert sentence.startswith('min_thr must be at most max_thr')
    floor, cap = map(float, re.findall(r'(?:min_thr|max_thr) ([\d.]+)', sentence))
    for lowered in (cap, cap - 0.1):
        SelectionOptions(min_thr=lowered, max_thr=cap)
    SelectionOptions(min_thr=floor, max_thr=floor)


def test_the_detector_is_stated_where_the_sentence_says():
    section = dict(teacher={}, unlabeled={}, store='labels')
    config = Config(dict(distill=section))
    sentence = sentence_of(detections.status, config)
    (key,) = re.findall(r'has no (distill\.\w+) to find boxes', sentence)

    config.merge_from_dict({key: dict(config='detector.py', checkpoint='d.pth')})

    # What comes next is that it did not run yet.
    assert 'holds no detection store' in sentence_of(detections.status, config)
