"""What the README files name exists: links, anchors, commands, sentences."""

from __future__ import annotations

import argparse
import ast
import re
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.helpers.readmes import (
    FENCE,
    READMES,
    REPOSITORY,
    label_of,
    prose,
    shown_recipes,
    tool_calls,
)
from tests.helpers.workshop import load_tool

LINK = re.compile(r'\[[^\]]*\]\(\s*([^)\s]+)\s*\)')
CODE = re.compile(r'`[^`]*`')
PAGES = [pytest.param(path, id=label_of(path)) for path in READMES]
LONGEST = 200
"""Lines of the README of the repository."""
CALLS = sorted({tuple(words) for path in READMES for words in tool_calls(path)})
ANY_RECIPE = 'configs/distill/NAME.py'
RECIPES = {name for path in READMES for name in shown_recipes(path)}


class ParsedError(Exception):
    """A tool's command line was understood."""


def anchors(path: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r'^#+ (.+)$', FENCE.sub('', path.read_text()), re.MULTILINE)
    return {
        re.sub(r'[^\w\- ]', '', heading.strip().lower()).replace(' ', '-')
        for heading in headings
    }


def links(path: Path) -> list[str]:
    """Targets of links, those that wrap over a line included."""
    return LINK.findall(CODE.sub('', prose(path)))


@pytest.mark.parametrize('path', PAGES)
def test_a_link_leads_somewhere(path):
    for target in links(path):
        if re.match(r'https?://', target):
            continue
        name, _, anchor = unquote(target).partition('#')
        file = (path.parent / name).resolve() if name else path
        assert file.exists(), target
        assert file.is_relative_to(REPOSITORY), target
        if anchor:
            assert anchor in anchors(file), target


def test_every_readme_is_reached_from_the_first_one():
    reached, waiting = set(), [REPOSITORY / 'README.md']
    while waiting:
        path = waiting.pop()
        if path in reached:
            continue
        reached.add(path)
        names = [target.partition('#')[0] for target in links(path)]
        files = [(path.parent / name).resolve() for name in names if name]
        waiting += [file for file in files if file.suffix == '.md']

    assert reached == set(READMES)


def test_the_first_readme_is_short():
    assert len((REPOSITORY / 'README.md').read_text().splitlines()) <= LONGEST


@pytest.mark.parametrize('words', CALLS, ids=lambda words: ' '.join(words[1:])[:70])
def test_a_command_is_understood(words, monkeypatch):
    script, arguments = REPOSITORY / words[1], words[2:]
    assert script.is_file()
    for word in arguments:
        if re.fullmatch(r'configs/.*\.py', word):
            shown = RECIPES | {ANY_RECIPE}
            assert (REPOSITORY / word).is_file() or word in shown, word

    monkeypatch.syspath_prepend(str(script.parent))
    parse = argparse.ArgumentParser.parse_args

    def parse_alone(self, args=None, namespace=None):
        raise ParsedError(parse(self, args, namespace))

    monkeypatch.setattr(argparse.ArgumentParser, 'parse_args', parse_alone)
    monkeypatch.setattr(sys, 'argv', [script.name, *arguments])
    name = script.relative_to(REPOSITORY / 'tools').with_suffix('')
    with pytest.raises(ParsedError):
        load_tool(str(name)).main(arguments)


def test_every_tool_is_listed():
    page = (REPOSITORY / 'tools' / 'README.md').read_text()
    listed = set(re.findall(r'^\| `(\w+\.py)` \|', page, re.MULTILINE))

    assert listed == {path.name for path in (REPOSITORY / 'tools').glob('*.py')}


def test_a_listed_error_is_one_of_ours():
    page = (REPOSITORY / 'tools' / 'README.md').read_text()
    _, _, section = page.partition('## Error sentences')
    rows = re.findall(r'^\| `([^`]+)`', section, re.MULTILINE)
    texts = [
        node.value
        for path in (REPOSITORY / 'mmdistill').rglob('*.py')
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]

    assert len(rows) > 20
    for row in rows:
        for part in filter(None, (part.strip() for part in row.split('…'))):
            assert any(part in text for text in texts), row
