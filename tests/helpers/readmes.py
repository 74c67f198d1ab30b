"""All README files of the repository, and what is in them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
FENCE = re.compile(r'^```(\w*)\n(.*?)^```', re.DOTALL | re.MULTILINE)
READMES = [
    path
    for path in sorted(REPOSITORY.rglob('*.md'))
    if not any(
        part.startswith('.') or part in ('data', 'fixtures', 'work_dirs')
        for part in path.relative_to(REPOSITORY).parts
    )
]
RECIPE = re.compile(r'"""(configs/\S+\.py):')
"""How a recipe begins that a README shows as a whole."""
TOOL = re.compile(r'python tools/\S+\.py')


def label_of(path: Path) -> str:
    """The path of a README as a reader of the repository sees it."""
    return str(path.relative_to(REPOSITORY))


def snippets(path: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return [text for kind, text in FENCE.findall(path.read_text()) if kind == language]


def commands(text: str) -> list[list[str]]:
    """The commands of a block of a shell, as words."""
    lines = text.replace('\\\n', ' ').splitlines()
    split = [shlex.split(line, comments=True) for line in lines]
    return [words for words in split if words]


def prose(path: Path) -> str:
    """A README without its fenced blocks."""
    return FENCE.sub('', path.read_text())


def tool_calls(path: Path) -> list[list[str]]:
    """Commands of our tools, in blocks and in the prose, as words.

    A command in the prose may go over several lines. A name alone, without `python`, is
    no command.
    """
    blocks = [w for text in snippets(path, 'shell') for w in commands(text)]
    spans = re.findall(r'`([^`]+)`', prose(path))
    inline = [shlex.split(span) for span in spans if TOOL.match(span)]
    return [words for words in (*blocks, *inline) if TOOL.match(' '.join(words))]


def shown_recipes(path: Path) -> dict[str, str]:
    """Recipes that a README shows as a whole: their text by their path."""
    return {
        found[1]: text
        for text in snippets(path, 'python')
        if (found := RECIPE.match(text))
    }
