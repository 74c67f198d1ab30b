"""Text of configs: what a formatter leaves alone, and what it means."""

import subprocess
import sys

import pytest

from mmdistill.recipes.config_text import (
    Code,
    Reasoned,
    Statement,
    comment_lines,
    config_text,
)

LONG = 'a reason of many words that goes on and on ' * 4
VALUES = {
    'short': dict(a=1, b=[2.5, 3], c=(4,)),
    'text': "it's a 'quote'",
    'numbers as keys': {0: dict(name='nose'), 1: dict(name='eye')},
    'many numbers': [number / 8 for number in range(20)],
    'many texts': [f'text_{number}' for number in range(30)],
    'deep': dict(one=dict(two=dict(three=['x' * 30, 'y' * 30, dict(four='z' * 30)]))),
    'reasons': dict(a=Reasoned(1, 'Why.'), b=Reasoned(dict(c=2), LONG), d=3),
    'reasons in a list': [dict(a=1), Reasoned(dict(b='x' * 90), LONG)],
    'code': dict(a=Code('codec'), b=[Code("codec['x']"), Code('codec')] * 6),
    'nothing': dict(a=[], b={}, c=(), d=None, e=True),
    'exactly a line': ['x' * 40, 'y' * 30],
    'tuple': tuple(f'name_{number}' for number in range(12)),
}


def plain(value):
    """A value without its reasons, `codec` being 7."""
    if isinstance(value, Reasoned):
        return plain(value.value)
    if isinstance(value, Code):
        return eval(value.text, dict(codec=Codec()))
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(plain(each) for each in value)
    return value


class Codec:
    def __eq__(self, other):
        return isinstance(other, Codec)

    __hash__ = None

    def __getitem__(self, key):
        return key


TEXT = config_text(
    'Values of all kinds.',
    [
        Statement(
            name.replace(' ', '_'), value, LONG * (number % 2), gap=number % 3 == 0
        )
        for number, (name, value) in enumerate(VALUES.items())
    ],
)


@pytest.mark.parametrize('name', VALUES)
def test_the_text_says_what_was_given(name):
    names = dict(codec=Codec())
    exec(TEXT, names)
    assert names[name.replace(' ', '_')] == plain(VALUES[name])


def test_a_formatter_changes_nothing(tmp_path):
    pytest.importorskip('ruff')
    path = tmp_path / 'config.py'
    path.write_text(TEXT)
    options = ['--isolated', '--config', 'format.quote-style="single"', '--check']

    done = subprocess.run(
        [sys.executable, '-m', 'ruff', 'format', *options, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_reasons_stand_above_what_they_explain():
    text = config_text('A.', [Statement('a', dict(b=Reasoned(1, 'So.'), c=2), 'Yes.')])
    assert text == ('"""A."""\n\n# Yes.\na = dict(\n    # So.\n    b=1,\n    c=2,\n)\n')


def test_reasons_fit_their_lines():
    lines = comment_lines(LONG, 8)
    assert max(map(len, lines)) <= 88
    assert ' '.join(line.strip(' #') for line in lines) == LONG.strip()
    assert comment_lines('', 4) == []
