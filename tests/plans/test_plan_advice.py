"""What a plan says of missing files: following it, nothing is missing."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from mmengine.config import Config

from mmdistill.cli.arguments import add_config_arguments
from mmdistill.config.recipe import Recipe
from mmdistill.plans import make_plan
from mmdistill.plans.missing import boxes_to_find, missing_files
from tests.helpers.recipes import RECIPES, STUDENT
from tests.helpers.workshop import load_tool

KEYS = r'set ((?:distill|model)\.[\w.]+)'
COMMAND = r'python tools/(\w+)\.py (.+)$'


@pytest.fixture
def whole(config):
    """The recipe, of which nothing is missing, below a folder that may change."""
    Path('own.pth').touch()
    config.distill.teacher.checkpoint = 'own.pth'
    root = Path('data/toy').resolve()
    Path('data/toy').unlink()
    shutil.copytree(root, 'data/toy')
    assert missing_files(Recipe.of(config)) == []
    return config


def put(config, key, value):
    *parts, last = key.split('.')
    for part in parts:
        config = config[part]
    config[last] = value


def no_teacher(config):
    config.distill.teacher.checkpoint = None


def lost_teacher(config):
    put(config, 'distill.teacher.checkpoint', 'elsewhere/best.pth')


def no_detector(config):
    config.distill.unlabeled.pop('bbox_file')
    config.distill.detector = dict(config=str(RECIPES / 'detector.py'))


def lost_detector(config):
    no_detector(config)
    config.distill.detector.checkpoint = 'elsewhere/best.pth'


@pytest.mark.parametrize(
    'change', [no_teacher, lost_teacher, no_detector, lost_detector]
)
def test_a_checkpoint_is_stated_where_it_says(whole, change):
    change(whole)
    (sentence,) = missing_files(Recipe.of(whole))
    (key,) = re.findall(KEYS, sentence)

    put(whole, key, 'own.pth')

    assert missing_files(Recipe.of(whole)) == []


def test_a_checkpoint_is_trained_by_the_command(whole):
    recipe = Config.fromfile(STUDENT)
    whole.distill.teacher = recipe.distill.teacher
    whole.distill.detector = recipe.distill.detector
    whole.distill.unlabeled.pop('bbox_file')
    sentences = missing_files(Recipe.of(whole))

    assert len(sentences) == 2
    for sentence in sentences:
        ((tool, words),) = re.findall(COMMAND, sentence)
        assert load_tool(tool).main
        (path,) = shlex.split(words)
        (checkpoint,) = re.findall(r'checkpoint (\S+): ', sentence)
        # It trains into the folder where the checkpoint is looked for.
        work_dir = Path(Config.fromfile(path).work_dir)
        assert work_dir == Path(checkpoint).parent
        work_dir.mkdir(parents=True)
        Path(checkpoint).touch()

    assert missing_files(Recipe.of(whole)) == []


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        ('distill.teacher.checkpoint', 'http://127.0.0.1:9/other.pth'),
        ('model.backbone.init_cfg', dict(type='Pretrained', checkpoint='gone.pth')),
        (
            'model.backbone.init_cfg',
            dict(type='Pretrained', checkpoint='http://127.0.0.1:9/gone.pth'),
        ),
    ],
)
def test_weights_are_put_where_it_says(whole, key, value):
    put(whole, key, value)
    (sentence,) = missing_files(Recipe.of(whole))
    match = re.search(r'put the file at (\S+?)(?:,|$)', sentence)
    path = match[1] if match else re.search(r'weights (\S+) of', sentence)[1]

    shutil.copy('own.pth', path)

    assert missing_files(Recipe.of(whole)) == []


def test_weights_are_done_without_as_it_says(whole):
    init = dict(type='Pretrained', checkpoint='gone.pth')
    put(whole, 'model.backbone.init_cfg', init)
    (sentence,) = missing_files(Recipe.of(whole))
    (words,) = re.findall(r'--cfg-options \S+$', sentence)
    parser = argparse.ArgumentParser()
    add_config_arguments(parser)
    options = parser.parse_args([whole.filename, *shlex.split(words)]).cfg_options

    whole.merge_from_dict(options)

    assert missing_files(Recipe.of(whole)) == []


def test_data_are_put_where_it_says(whole):
    paths = {
        'data/toy/annotations/labeled.json': Path.unlink,
        'data/toy/annotations/val.json': Path.unlink,
        'data/toy/images/unlabeled': shutil.rmtree,
        'data/toy/images/val': shutil.rmtree,
    }
    shutil.copytree('data/toy', 'kept/data/toy')
    for path, remove in paths.items():
        remove(Path(path))
    sentences = missing_files(Recipe.of(whole))

    assert all(re.search(': put (it|them) there$', each) for each in sentences)
    named = {
        re.search(r'(?:list|images|annotations) (\S+?)/?(?:: | of )', each)[1]
        for each in sentences
    }
    assert named == set(paths)
    for path in named:
        copy = shutil.copy if path.endswith('.json') else shutil.copytree
        copy(Path('kept', path), path)
    assert missing_files(Recipe.of(whole)) == []


def test_true_boxes_are_written_by_the_command(whole):
    whole.distill.unlabeled.bbox_file = 'none.json'
    (sentence,) = missing_files(Recipe.of(whole))
    ((tool, words),) = re.findall(COMMAND, sentence)
    ann_file = 'data/toy/annotations/unlabeled_oracle.json'

    load_tool(tool).main(shlex.split(words.replace('ANN_FILE', ann_file)))

    assert missing_files(Recipe.of(whole)) == []
    written, right = (
        json.loads(Path(name).read_text()) for name in ('none.json', 'boxes.json')
    )
    assert written == right


def test_a_split_is_cut_by_the_command(whole, capsys):
    dataset = whole.train_dataloader.dataset
    dataset.ann_file = 'annotations/few_labeled.json'
    (sentence,) = missing_files(Recipe.of(whole))
    ((tool, words),) = re.findall(COMMAND, sentence)
    with pytest.raises(SystemExit) as left:
        load_tool(tool).main(shlex.split(words))
    assert left.value.code == 0
    usage = ' '.join(capsys.readouterr().out.split())
    (positional,) = re.findall(r'\)? (\w+ out name)', usage)[:1]

    (path,) = re.findall(r'list (\S+): ', sentence)
    values = dict(
        ann_file='data/toy/annotations/labeled.json',
        out=str(Path(path).parent),
        name=Path(path).name.removesuffix('_labeled.json'),
    )
    load_tool(tool).main([*map(values.get, positional.split()), '--random', '3'])

    assert missing_files(Recipe.of(whole)) == []


def test_boxes_are_detected_by_the_command(whole, make_store, make_rows):
    whole.distill.unlabeled.pop('bbox_file')
    whole.distill.detector = dict(
        config=str(RECIPES / 'detector.py'), checkpoint='own.pth'
    )
    rows = make_plan(whole).rows
    (text,) = [text for name, text in rows if not name]
    ((tool, words),) = re.findall(COMMAND, text)
    assert load_tool(tool).main
    assert shlex.split(words) == [whole.filename]
    (folder,) = re.findall(r'into (\S+)/$', dict(rows)['boxes'])

    # Where the tool leaves a complete store, nothing is left to find.
    make_store(Path(folder), make_rows((1, 0), num_keypoints=0), names=())

    assert boxes_to_find(Recipe.of(whole)) is None
