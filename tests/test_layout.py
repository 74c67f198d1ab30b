"""The house rules that a machine can check."""

import ast
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGE = sorted((REPOSITORY / 'mmdistill').rglob('*.py'))
TOOLS = sorted((REPOSITORY / 'tools').glob('*.py'))


def named(paths: list[Path]) -> list:
    return [pytest.param(p, id=str(p.relative_to(REPOSITORY))) for p in paths]


@pytest.mark.parametrize('path', named(PACKAGE + TOOLS))
def test_files_and_functions_are_small(path):
    source = path.read_text()
    lengths = {
        node.name: node.end_lineno - node.body[bool(ast.get_docstring(node))].lineno + 1
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and len(node.body) > 1
    }

    assert source.count('\n') <= 450
    assert {name: lines for name, lines in lengths.items() if lines > 50} == {}


@pytest.mark.parametrize('path', named(PACKAGE))
def test_the_package_prints_nothing(path):
    calls = (node for node in ast.walk(ast.parse(path.read_text())))
    names = {
        node.func.id
        for node in calls
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert 'print' not in names


OF_NO_KIND = {'mmdistill/utils/files.py', 'mmdistill/engine/loops/store_loop.py'}
"""Where the disk refuses a file, and where memory or a worker process is lost."""


@pytest.mark.parametrize('path', named(PACKAGE + TOOLS))
def test_errors_are_of_a_kind(path):
    made = [
        node.func.id
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    if str(path.relative_to(REPOSITORY)) not in OF_NO_KIND:
        assert 'UserError' not in made
