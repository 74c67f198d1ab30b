import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOL = ROOT / 'tools/make_toy_data.py'


def make(*arguments):
    return subprocess.run(
        [sys.executable, str(TOOL), *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )


def test_tool_draws_what_was_asked(tmp_path):
    run = make(tmp_path / 'toy', '--labeled=1', '--unlabeled=2', '--val=1', '--seed=4')
    assert run.returncode == 0, run.stderr
    images = (tmp_path / 'toy/images').rglob('*.jpg')
    names = sorted(
        path.relative_to(tmp_path / 'toy/images').as_posix() for path in images
    )
    assert names == [
        'labeled/000001.jpg',
        'unlabeled/000001.jpg',
        'unlabeled/000002.jpg',
        'val/000001.jpg',
    ]


def test_tool_refuses_a_foreign_folder_in_one_sentence(tmp_path):
    (tmp_path / 'thesis.tex').write_text('')
    run = make(tmp_path)
    assert run.returncode == 2
    assert 'thesis.tex' in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1
