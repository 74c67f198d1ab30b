"""Examples in docstrings: every public name has one, and all of them run."""

import ast
import doctest
import importlib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / 'mmdistill'
ROOMS = [PACKAGE / name for name in ('functional',)]
FILES = [*(path for room in ROOMS for path in sorted(room.glob('*.py')))]
MODULES = ['.'.join(p.relative_to(REPOSITORY).with_suffix('').parts) for p in FILES]


def without_example(path: Path) -> list[str]:
    """Public functions and classes of a module whose docstring has no example."""
    return [
        node.name
        for node in ast.parse(path.read_text()).body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
        and not node.name.startswith('_')
        and '>>> ' not in (ast.get_docstring(node) or '')
    ]


@pytest.mark.parametrize('path', FILES, ids=MODULES)
def test_every_public_name_has_an_example(path):
    assert without_example(path) == []


@pytest.mark.parametrize('name', [m for m in MODULES if not m.endswith('__init__')])
def test_examples_run(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    failed, run = doctest.testmod(importlib.import_module(name))

    assert failed == 0
    assert run > 0
