"""Every snippet of a README runs as it is printed, on small data."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from mmengine.config import Config

from mmdistill.config.files import read_config
from mmdistill.config.recipe import Recipe, stated_views
from tests.helpers.projects import draw_points, write_deeplabcut
from tests.helpers.readmes import (
    FENCE,
    READMES,
    RECIPE,
    commands,
    label_of,
    shown_recipes,
    snippets,
)
from tests.helpers.recipes import REPOSITORY, STUDENT, TEACHER
from tests.helpers.workshop import DISTILL, QUICK, TEACHER_FILE

LABELS = 'work_dirs/toy/labels'
# Commands of the reader's shell, and those that other tests run.
NOT_OURS = ('pip', 'mim', 'git', 'A=', 'cd', 'export')

WITHOUT_CONFIG = ('new_recipe', 'make_splits', 'make_toy_data')
# Numbers that fit a handful of images and a teacher that knows nothing.
SMALLER = {'0.3': '-1', '1000': '3', '11829': '2', '5': '50'}


def blocks(language):
    return [
        pytest.param(text, id=f'{label_of(path)}-{number}')
        for path in READMES
        for number, text in enumerate(snippets(path, language))
    ]


def is_script(text):
    return bool(re.search(r'^(from|import) ', text, re.MULTILINE))


def is_piece(text):
    return not is_script(text) and not RECIPE.match(text)


# Each once, however many pages name it.
SHELL = {
    ' '.join(words): words
    for path in READMES
    for text in snippets(path, 'shell')
    for words in commands(text)
}
SHOWN = {name: text for path in READMES for name, text in shown_recipes(path).items()}


def test_a_snippet_is_of_a_language_that_is_run_here():
    languages = {
        kind for path in READMES for kind, _ in FENCE.findall(path.read_text())
    }
    # Without a language: pictures in letters, and what a command prints.
    assert languages <= {'', 'python', 'shell', 'sql', 'bibtex'}


@pytest.mark.parametrize(
    'text', [p for p in blocks('python') if is_script(p.values[0])]
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


@pytest.mark.parametrize('text', [p for p in blocks('python') if is_piece(p.values[0])])
def test_a_piece_of_a_config_states_what_can_be(text):
    given = {}
    exec(compile(text.replace('\n    ...', '\n'), 'README.md', 'exec'), given)
    section = given.get('distill') or {
        key: value for key, value in given.items() if key == 'detector'
    }

    assert section
    stated_views(Config(dict(distill=section)))


@pytest.mark.parametrize('name', SHOWN)
def test_a_recipe_that_is_shown_is_read(name, tmp_path, monkeypatch):
    # As a reader has it: beside ours, with the backbone that the page says to copy.
    shutil.copytree(REPOSITORY / 'configs', tmp_path / 'configs')
    for path, text in SHOWN.items():
        file = tmp_path / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        backbone = 'configs/distill/lspe/efficientnet_lite.py'
        shutil.copy(REPOSITORY / backbone, file.parent)
    monkeypatch.syspath_prepend(str((tmp_path / name).parent))

    config = read_config(tmp_path / name)

    assert config.model.type == 'TopdownPoseEstimator'
    assert config.work_dir == f'work_dirs/{Path(name).parent.name}/{Path(name).stem}'
    if 'distill' in config:
        Recipe.of(config)


@pytest.mark.parametrize('text', blocks('sql'))
def test_a_query_runs(workshop, text):
    query = text.replace('work_dirs/lspe/labels', LABELS)

    with duckdb.connect() as connection:
        assert connection.sql(query).fetchall()


@pytest.mark.parametrize('words', SHELL.values(), ids=[each[:60] for each in SHELL])
def test_a_command_runs(workshop, tool, words):
    if words[0] == 'make':
        targets = re.findall(r'^([\w-]+):', (REPOSITORY / 'Makefile').read_text(), re.M)
        assert words[1] in targets
        return
    if words[0] == 'bash':
        assert (REPOSITORY / words[1]).is_file()
        return
    if words[0].startswith(NOT_OURS):
        return
    assert words[0] == 'python'
    if words[1] == '-m':  # a benchmark takes hours
        assert importlib.util.find_spec(words[2])
        return
    name, arguments = Path(words[1]).stem, words[2:]
    assert (REPOSITORY / words[1]).is_file()
    if Path(words[1]).parent.name == 'benchmarks':
        return  # hours; its flags are checked with those of all commands
    assert tool(name, *on_small_data(name, arguments)) in (0, None)


def on_small_data(name, arguments):
    """A command's arguments with the toy data in place of what takes hours."""
    if name == 'import_labels':
        points = [draw_points(0), draw_points(1)]
        root = write_deeplabcut(Path('project'), dict(m1=points))
        return [str(root) if word == 'PROJECT' else word for word in arguments]
    if name == 'export_labels':
        toy = {'labels.json': 'data/toy/annotations/labeled.json'}
        toy['labels_images/'] = 'data/toy/images/labeled'
        return [toy.get(word, word) for word in arguments]
    annotations = Path('data/toy/annotations').resolve()
    if 'data/mine/labeled.json' in arguments:
        write_own_data(annotations)
    made = []
    for word in arguments:
        if re.fullmatch(r'CONFIG|configs/.*(student|teacher|baseline)\.py', word):
            assert word in SHOWN or word == 'CONFIG' or (REPOSITORY / word).is_file()
            word = TEACHER if 'teacher' in word else STUDENT
        elif re.fullmatch(r'STORE|work_dirs/\w+/labels', word):
            word = LABELS
        elif word.endswith('.pth'):
            word = TEACHER_FILE
        elif word.startswith('$A/') and word.endswith('.json'):
            labeled = annotations / 'labeled.json'
            word = str(half_of(labeled) if 'val' in word else labeled)
        elif word.startswith('$A/'):
            word = 'splits'
        elif word.startswith('param_scheduler.'):
            # Of the recipe's own schedule, which the toy one does not share.
            _, number, key = word.partition('=')[0].split('.')
            path = REPOSITORY / arguments[0]
            own = Config.fromfile(path, import_custom_modules=False).param_scheduler
            assert key in own[int(number)]
            continue
        made.append(SMALLER.get(word, word))
    for word in made:
        label, _, path = word.partition('=')
        if path.endswith('.json') and label.isalpha():
            Path(path).write_text('{"coco/AP": 0.5}')
    if name in (*WITHOUT_CONFIG, 'report', 'compare_agreement'):
        return made
    if name == 'distill':
        # Its steps are commands that are run here one by one.
        made = [*dict.fromkeys([*made, '--dry-run'])]
    quick = QUICK if name == 'train' else ()
    distill = DISTILL if STUDENT in made else ()
    return [*made, '--cfg-options', *quick, *distill]


def write_own_data(annotations):
    """The folder that the first page begins with: two splits in one folder."""
    shutil.copytree('data/toy/images/unlabeled', 'data/mine/unlabeled')
    for name in ('labeled', 'val'):
        content = json.loads((annotations / f'{name}.json').read_text())
        for image in content['images']:
            file = f'{name}_{image["file_name"]}'
            source = Path('data/toy/images', name, image['file_name'])
            target = Path('data/mine/images', file)
            target.parent.mkdir(exist_ok=True)
            shutil.copy(source, target)
            image['file_name'] = file
        Path(f'data/mine/{name}.json').write_text(json.dumps(content))


def half_of(path):
    """A json that lists every second image of another one."""
    content = json.loads(path.read_text())
    Path('half.json').write_text(json.dumps(dict(images=content['images'][::2])))
    return Path('half.json')
