"""Tests of the wheel: what MIM looks for travels with it."""

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


@pytest.mark.parametrize('tool', ['train', 'label', 'test'])
def test_a_shipped_tool_runs_with_the_shipped_package(wheel, tool):
    script = wheel / 'mmdistill' / '.mim' / 'tools' / f'{tool}.py'
    done = subprocess.run(
        [sys.executable, str(script), '--help'],
        env={'PYTHONPATH': str(wheel), 'PATH': ''},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(f'usage: {tool}.py')
