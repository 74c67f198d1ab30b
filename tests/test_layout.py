"""The house rules that a machine can check."""

import ast
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGE = sorted((REPOSITORY / 'mmdistill').rglob('*.py'))
TOOLS = sorted((REPOSITORY / 'tools').glob('*.py'))
TESTS = sorted((REPOSITORY / 'tests').rglob('*.py'))


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


OF_NO_KIND = {
    *('mmdistill/utils/files.py', 'mmdistill/utils/commands.py'),
    'mmdistill/engine/loops/store_loop.py',
}
"""Where the disk refuses a file, a command fails, memory or a worker is lost."""


@pytest.mark.parametrize('path', named(PACKAGE + TOOLS))
def test_errors_are_of_a_kind(path):
    made = [
        node.func.id
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    if str(path.relative_to(REPOSITORY)) not in OF_NO_KIND:
        assert 'UserError' not in made


def imported_modules(source: str) -> list[str]:
    """Modules that are imported anywhere in a source, by their dotted names."""
    nodes = [*ast.walk(ast.parse(source))]
    imports = (node.names for node in nodes if isinstance(node, ast.Import))
    froms = (node for node in nodes if isinstance(node, ast.ImportFrom))
    return [
        *(alias.name for names in imports for alias in names),
        *(f'{node.module}.{alias.name}' for node in froms for alias in node.names),
    ]


def test_imports_are_seen_in_each_form():
    source = """
import tests.a.test_b
from tests.conftest import COCO
def f():
    from tests.a import test_b
"""
    assert imported_modules(source) == [
        'tests.a.test_b',
        'tests.conftest.COCO',
        'tests.a.test_b',
    ]


@pytest.mark.parametrize('path', named(TESTS))
def test_tests_share_helpers_alone(path):
    """Neither another test file nor a `conftest.py`, which pytest imports itself."""
    shared = [
        name for name in imported_modules(path.read_text()) if name.startswith('tests.')
    ]
    assert [name for name in shared if not name.startswith('tests.helpers.')] == []
