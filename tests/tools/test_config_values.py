"""Values of any type in a config: the stages run, or say in one sentence why not."""

import copy
from dataclasses import fields
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, MODELS

from mmdistill.config.kinds import Fields
from mmdistill.config.recipe import Recipe
from mmdistill.config.schema import DistillConfig
from mmdistill.errors import UserError
from mmdistill.stages.label_config import label_config
from mmdistill.stages.train_config import student_config
from tests.helpers.recipes import STUDENT
from tests.helpers.workshop import BOXES, TEACHER_FILE

# One of each kind that a config can hold, and the ends of what numbers may be.
ODD = (
    *(None, True, False, 0, 5, -1, 8.0, 10**400, float('nan'), float('inf')),
    *('', 'x/', 'nul\0byte', 'é' * 300, [], [None], ['x'], [[1]], {}, {'a': 1}),
    *({'img': 3}, {'img': None}, (), set(), b'bytes', Path('x'), 1j, int),
)


def keys(part=DistillConfig, above=()):
    for each in fields(part):
        path = (*above, each.name)
        yield path
        if 'section' in each.metadata:
            yield from keys(each.metadata['section'], path)
        elif isinstance(each.metadata['kind'], Fields):
            yield from ((*path, key) for key in each.metadata['kind'].kinds or ())


@pytest.fixture
def config(workshop):
    config = Config.fromfile(STUDENT)
    config.distill.teacher.checkpoint = TEACHER_FILE
    config.distill.unlabeled.bbox_file = BOXES
    config.distill.detector = None
    init_default_scope('mmpose')
    return config


def put(config, path, value):
    section = config.distill
    for key in path[:-1]:
        if not isinstance(section.get(key), dict):
            section[key] = {}
        section = section[key]
    section[path[-1]] = value


def outcome(config):
    """The sentence that stops a stage before it runs, or None."""
    try:
        student_config(Recipe.of(copy.deepcopy(config)))
        stage = label_config(Recipe.of(copy.deepcopy(config)))
        DATASETS.build(stage.test_dataloader.dataset)
        MODELS.build(stage.model)
    except UserError as error:
        return str(error)
    return None


@pytest.mark.parametrize('path', list(keys()), ids='.'.join)
def test_a_setting_of_any_type_is_used_or_refused_in_a_sentence(config, path):
    for value in ODD:
        changed = copy.deepcopy(config)
        put(changed, path, value)

        sentence = outcome(changed)

        assert sentence is None or (sentence and 'Traceback' not in sentence), value


@pytest.mark.parametrize('path', [path for path in keys() if len(path) == 2])
def test_a_setting_that_is_none_is_one_that_is_not_stated(config, path):
    if path[0] == 'detector':
        pytest.skip('a detector with a setting beside a file of boxes is refused')
    without, none = copy.deepcopy(config), copy.deepcopy(config)
    put(none, path, None)
    without.distill.setdefault(path[0], {}).pop(path[1], None)

    assert outcome(none) == outcome(without)


@pytest.mark.parametrize(
    ('option', 'sentence'),
    [
        ('distill.teacher.checkpoint=5', 'distill.teacher.checkpoint must be a path'),
        ('distill.unlabeled.category_ids=1', 'category_ids must be a list, got 1'),
        ('distill.unlabeled.data_prefix=x/', "data_prefix must be a dict, got 'x/'"),
        ('distill.labeling.batch_size=8.0', 'at least 1, got 8.0'),
        ('distill=5', 'distill must be a dict, got 5'),
        ('distill=None', 'has no distill section'),
        ('distill.unlabeled.sources=[]', 'sources must have at least one element'),
        ('distill.store.x=5', '--cfg-options distill.store.x=5 cannot be put into'),
    ],
)
@pytest.mark.parametrize('name', ['plan', 'label', 'train'])
def test_the_tools_say_it(workshop, tool, capfd, name, option, sentence):
    options = [f'distill.teacher.checkpoint={TEACHER_FILE}', 'distill.detector=None']

    code = tool(name, STUDENT, '--cfg-options', *options, option)

    errors = [e for e in capfd.readouterr().err.splitlines() if e.startswith('error: ')]
    assert code == 2
    assert len(errors) == 1
    assert sentence in errors[0]
