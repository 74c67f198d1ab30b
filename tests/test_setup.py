"""Tests of the wheel: what MIM looks for travels with it."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope='module')
def wheel(tmp_path_factory) -> Path:
    """The unpacked wheel."""
    folder = tmp_path_factory.mktemp('wheel')
    # Built of a copy: setuptools leaves its files beside the sources.
    source = folder / 'source'
    source.mkdir()
    for name in ('mmdistill', 'configs', 'tools', 'setup.py'):
        (source / name).symlink_to(REPOSITORY / name)
    command = [sys.executable, '-m', 'pip', 'wheel', '--no-deps', '--quiet']
    command += ['--no-build-isolation', '--no-index', '-w', str(folder), '.']
    subprocess.run(command, cwd=source, check=True)
    (built,) = folder.glob('mmdistill-*.whl')
    zipfile.ZipFile(built).extractall(folder / 'unpacked')
    return folder / 'unpacked'


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob('*.py')}


def test_every_recipe_is_in_it(wheel):
    shipped = wheel / 'mmdistill' / '.mim' / 'configs'
    assert files(shipped) == files(REPOSITORY / 'configs')


def test_the_tools_are_in_it_but_for_those_of_a_clone(wheel):
    shipped = files(wheel / 'mmdistill' / '.mim' / 'tools')
    ours = {path.name for path in (REPOSITORY / 'tools').glob('*.py')}
    assert shipped == ours - {'setup_env.py'}


SHOW_HELP = """
import runpy, sys

for script in sys.argv[1:]:
    sys.argv = [script, '--help']
    try:
        runpy.run_path(script, run_name='__main__')
    except SystemExit as end:
        print('ended with', end.code)
print(sys.modules['mmdistill'].__file__)
"""


def test_shipped_tools_run_with_the_shipped_package(wheel):
    tools = ('train', 'label', 'test')
    scripts = [wheel / 'mmdistill' / '.mim' / 'tools' / f'{tool}.py' for tool in tools]
    # One process, since the imports of the host are most of what it does.
    done = subprocess.run(
        [sys.executable, '-c', SHOW_HELP, *map(str, scripts)],
        cwd=wheel,
        env={'PYTHONPATH': str(wheel), 'PATH': ''},
        capture_output=True,
        text=True,
        check=True,
    )
    said = re.split(r'ended with 0\n', done.stdout)
    assert Path(said.pop().strip()).is_relative_to(wheel)
    for tool, text in zip(tools, said, strict=True):
        assert text.startswith(f'usage: {tool}.py')


OLD_SETUPTOOLS = """
import runpy, sys
from setuptools.command.build_py import build_py
from setuptools.command.develop import develop

# Setuptools before 64, which openmim asks for, knows no editable wheels.
run = build_py.run
def run_without_editable_mode(self):
    run(self)
    del build_py.editable_mode, self.editable_mode
build_py.run = run_without_editable_mode
develop.run = lambda self: None
sys.argv = ['setup.py', *sys.argv[1:]]
runpy.run_path('setup.py', run_name='__main__')
"""


@pytest.fixture
def clone(tmp_path) -> Path:
    """A copy of what is packaged."""
    for name in ('mmdistill', 'configs', 'tools'):
        ignored = shutil.ignore_patterns('__pycache__', '.mim')
        shutil.copytree(REPOSITORY / name, tmp_path / name, ignore=ignored)
    shutil.copy(REPOSITORY / 'setup.py', tmp_path)
    return tmp_path


def run_setup(clone, *arguments):
    command = [sys.executable, '-c', OLD_SETUPTOOLS, *arguments]
    subprocess.run(command, cwd=clone, check=True, capture_output=True)


def test_it_is_built_by_an_old_setuptools(clone):
    run_setup(clone, 'build')

    built = clone / 'build' / 'lib' / 'mmdistill' / '.mim'
    assert files(built / 'configs') == files(REPOSITORY / 'configs')


def test_a_clone_that_is_installed_for_development_has_links(clone):
    run_setup(clone, 'develop')
    run_setup(clone, 'develop')

    for name in ('configs', 'tools'):
        link = clone / 'mmdistill' / '.mim' / name
        assert link.resolve() == clone / name
