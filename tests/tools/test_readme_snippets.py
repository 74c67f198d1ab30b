"""Every snippet of a README runs as it is printed, on small data."""

import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from mmengine.config import Config

from mmdistill.config.recipe import stated_views
from tests.tools.conftest import (
    DISTILL,
    QUICK,
    REPOSITORY,
    STUDENT,
    TEACHER,
    TEACHER_FILE,
)

FENCE = re.compile(r'^```(\w*)\n(.*?)^```', re.DOTALL | re.MULTILINE)
READMES = [
    path
    for path in sorted(REPOSITORY.rglob('*.md'))
    if not {'.venv', 'data', 'work_dirs'} & set(path.relative_to(REPOSITORY).parts)
]
LABELS = 'work_dirs/toy/labels'
# Commands of the reader's shell, and those that other tests run.
NOT_OURS = ('pip', 'mim', 'git', 'A=', 'cd', 'export')

# Numbers that fit a handful of images and a teacher that knows nothing.
SMALLER = {'0.3': '-1', '1000': '3', '11829': '2'}


def snippets(language):
    return [
        pytest.param(text, id=f'{path.relative_to(REPOSITORY)}-{number}')
        for path in READMES
        for number, (kind, text) in enumerate(FENCE.findall(path.read_text()))
        if kind == language
    ]


def is_script(text):
    return bool(re.search(r'^(from|import) ', text, re.MULTILINE))


def commands(text):
    lines = text.replace('\\\n', ' ').splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


SHELL = [
    pytest.param(words, id=' '.join(words)[:60])
    for param in snippets('shell')
    for words in commands(param.values[0])
    if words
]


def test_a_snippet_is_of_a_language_that_is_run_here():
    languages = {
        kind for path in READMES for kind, _ in FENCE.findall(path.read_text())
    }
    # Without a language: pictures in letters, and what a command prints.
    assert languages <= {'', 'python', 'shell', 'sql', 'bibtex'}


@pytest.mark.parametrize(
    'text', [p for p in snippets('python') if is_script(p.values[0])]
)
def test_a_script_runs(workshop, text):
    Config.fromfile(TEACHER).dump('config.py')
    shutil.copy(TEACHER_FILE, 'checkpoint.pth')
    image = next(Path('data/toy/images').rglob('*.jpg'))
    shutil.copy(image, 'image.jpg')

    # In a process of its own: nothing is imported that it does not import.
    done = subprocess.run(
        [sys.executable, '-c', text], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    'text', [p for p in snippets('python') if not is_script(p.values[0])]
)
def test_a_piece_of_a_config_states_what_can_be(text):
    text = text if text.startswith('"""') else text.replace('\n    ...', '\n')
    given = {}
    exec(compile(text, 'README.md', 'exec'), given)
    section = given.get('distill') or {
        key: value for key, value in given.items() if key == 'detector'
    }

    assert section
    stated_views(Config(dict(distill=section)))


@pytest.mark.parametrize('text', snippets('sql'))
def test_a_query_runs(workshop, text):
    query = text.replace('work_dirs/lspe/labels', LABELS)

    with duckdb.connect() as connection:
        assert connection.sql(query).fetchall()


@pytest.mark.parametrize('words', SHELL)
def test_a_command_runs(workshop, tool, words):
    if words[0] == 'make':
        targets = re.findall(r'^(\w+):', (REPOSITORY / 'Makefile').read_text(), re.M)
        assert words[1] in targets
        return
    if words[0].startswith(NOT_OURS):
        return
    assert words[0] == 'python'
    if words[1] == '-m':  # a benchmark takes hours
        assert importlib.util.find_spec(words[2])
        return
    name, arguments = Path(words[1]).stem, words[2:]
    assert (REPOSITORY / words[1]).is_file()
    assert tool(name, *on_small_data(name, arguments)) in (0, None)


def on_small_data(name, arguments):
    """A command's arguments with the toy data in place of what takes hours."""
    annotations = Path('data/toy/annotations').resolve()
    made = []
    for word in arguments:
        if re.fullmatch(r'CONFIG|configs/.*(student|teacher|baseline)\.py', word):
            assert word == 'CONFIG' or (REPOSITORY / word).is_file()
            word = TEACHER if 'teacher' in word else STUDENT
        elif word == 'STORE':
            word = LABELS
        elif word.endswith('.pth'):
            word = TEACHER_FILE
        elif word.startswith('$A/') and word.endswith('.json'):
            labeled = annotations / 'labeled.json'
            word = str(half_of(labeled) if 'val' in word else labeled)
        elif word.startswith('$A/'):
            word = 'splits'
        made.append(SMALLER.get(word, word))
    for word in made:
        label, _, path = word.partition('=')
        if path.endswith('.json') and label.isalpha():
            Path(path).write_text('{"coco/AP": 0.5}')
    if name in ('make_splits', 'make_toy_data', 'report', 'compare_agreement'):
        return made
    quick = QUICK if name == 'train' else ()
    distill = DISTILL if STUDENT in made else ()
    return [*made, '--cfg-options', *quick, *distill]


def half_of(path):
    """A json that lists every second image of another one."""
    content = json.loads(path.read_text())
    Path('half.json').write_text(json.dumps(dict(images=content['images'][::2])))
    return Path('half.json')
