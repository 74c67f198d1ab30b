"""The advice of sentences about audits: following it lets an audit begin."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from mmengine.config import Config

from mmdistill.audits.candidates import match_candidates
from mmdistill.errors import UserError
from tests.helpers.metainfo import SIGMAS
from tests.helpers.workshop import load_tool

VALUES = {
    '--ann-file': 'other.json',
    '--img': 'images',
    '--folds': '2',
    '--teacher-config': 'teacher.py',
    'distill.audit': dict(ann_file='other.json', data_prefix=dict(img='images')),
    'distill.audit.ann_file': 'other.json',
    'distill.teacher.config': 'teacher.py',
}
"""What a reader states for what a sentence names."""
FLAG = re.compile(r'--[a-z-]+')
KEY = r'distill\.\w+(?:\.\w+)*'
SIDES = {
    '--folds': ['--ann-file', '--img', '--bbox-file'],
    '--ann-file': ['--folds', '--teacher-config'],
}
"""An audit is of folds or of another set: what one of them goes without."""


class BegunError(Exception):
    """Nothing stopped an audit: it labels, or trains the first teacher."""


def dataset_of(ann_file):
    return dict(
        type='CocoDataset',
        ann_file=ann_file,
        data_prefix=dict(img='images'),
        pipeline=[],
    )


def combined(*names):
    sets = [dataset_of(name) for name in names]
    metainfo = dict(from_file='configs/_base_/datasets/coco.py')
    return dict(type='CombinedDataset', metainfo=metainfo, datasets=sets, pipeline=[])


@pytest.fixture
def recipe(
    tmp_path,
    monkeypatch,
    write_images,
    make_rows,
    make_store,
    make_selection,
    coco_names,
):
    """A recipe whose images are labeled; it trains on a and b, and validates on c."""
    monkeypatch.chdir(tmp_path)
    sets = dict(train='ab', copy='ab', val='c', more='d', other='cd')
    write_images(Path('images'), *(f'{name}.png' for name in 'abcd'))
    category = dict(id=1, name='person', keypoints=coco_names)
    for name, letters in sets.items():
        images = [
            dict(id=number, file_name=f'{letter}.png', width=64, height=48)
            for number, letter in enumerate(letters, start=1)
        ]
        instances = [
            dict(
                **dict(id=image['id'], image_id=image['id'], category_id=1, iscrowd=0),
                **dict(bbox=[5, 5, 30, 30], area=900, num_keypoints=17),
                keypoints=[20, 20, 2] * 17,
            )
            for image in images
        ]
        content = dict(images=images, annotations=instances, categories=[category])
        Path(f'{name}.json').write_text(json.dumps(content))
    make_selection(0.25).write(make_store(Path('labels'), make_rows((1, 2))))
    for name, trained_on in (
        ('teacher', dataset_of('train.json')),
        ('other_teacher', combined('train.json', 'more.json')),
    ):
        Config(dict(train_dataloader=dict(dataset=trained_on))).dump(f'{name}.py')
    return dict(
        distill=dict(teacher={}, unlabeled={}, store='labels'),
        train_dataloader=dict(dataset=dataset_of('train.json')),
        val_dataloader=dict(dataset=dataset_of('val.json')),
        work_dir='work_dirs',
    )


@pytest.fixture
def begin(monkeypatch):
    """Call the tool; returns the sentence that stops it, None where it begins."""

    def begun(*arguments):
        raise BegunError

    monkeypatch.setattr('mmdistill.audits.run.label_views', begun)
    monkeypatch.setattr('mmdistill.audits.folds.stages.train', begun)
    tool = load_tool('audit_labels')

    def call(recipe, words):
        Config(recipe).dump('recipe.py')
        flags = [word for pair in words.items() for word in pair]
        try:
            tool.main(['recipe.py', *flags])
        except UserError as error:
            return str(error)
        except BegunError:
            return None
        raise AssertionError('the audit did not begin')

    return call


def put(recipe, key, value):
    *parts, last = key.split('.')
    for part in parts:
        recipe = recipe.setdefault(part, {})
    recipe[last] = value


def no_val(recipe):
    recipe['val_dataloader'] = None


def several_val(recipe):
    recipe['val_dataloader']['dataset'] = combined('val.json', 'more.json')


def several_train(recipe):
    recipe['train_dataloader']['dataset'] = combined('train.json', 'more.json')


def nameless_audit(recipe):
    put(recipe, 'distill.audit', dict(data_prefix=dict(img='images')))


def stated(key, value):
    return lambda recipe: put(recipe, key, value)


def nothing(recipe):
    pass


TRAINING_SET = dict(ann_file='train.json', data_prefix=dict(img='images'))
NO_VAL = 'names no val set'
TRAINED_ON = 'is what the teacher was trained on'
FOLDS = {'--folds': '2'}
TEACHER = {'--teacher-config': 'teacher.py'}
SITUATIONS = {
    'no set': (no_val, {}, NO_VAL, 2),
    'no folder': (no_val, {'--ann-file': 'other.json'}, 'need a folder', 1),
    'several sets': (several_val, {}, 'the validation set of .* is made of 2', 2),
    'the training set': (nothing, {'--ann-file': 'train.json'}, TRAINED_ON, 2),
    'a copy of it': (nothing, {'--ann-file': 'copy.json'}, TRAINED_ON, 2),
    'a part of it': (several_train, {'--ann-file': 'more.json'}, TRAINED_ON, 1),
    'the training set, stated': (
        *(stated('distill.audit', TRAINING_SET), {}, TRAINED_ON, 2),
    ),
    'a set without its json': (nameless_audit, {}, 'need an ann_file', 1),
    'folds of several': (several_train, FOLDS | TEACHER, 'parts of one labeled', 1),
    'no teacher config': (nothing, FOLDS, 'how a teacher is trained', 2),
    'folds of another set': (
        *(nothing, FOLDS | TEACHER | {'--ann-file': 'other.json'}),
        *('--folds audits the labeled set', 1),
    ),
    'one fold': (nothing, {'--folds': '1'} | TEACHER, 'number of folds', 1),
    'too many folds': (nothing, {'--folds': '3'} | TEACHER, 'number of folds', 1),
    'a teacher of several': (
        *(nothing, FOLDS | {'--teacher-config': 'other_teacher.py'}),
        *('a teacher config that trains on one labeled set', 1),
    ),
}
"""What is stated, what stops it, and how many ways on its sentence names."""


def ways_on(sentence):
    """Flags and keys of each way that a sentence names, and flags it does without."""
    bounds = re.search(r'at least (\d+) and at most the (\d+) images', sentence)
    if bounds:
        # Both ends of the range, which are the same for two images.
        assert bounds[1] == bounds[2] == VALUES['--folds']
        return [(['--folds'], [])]
    if 'without --' in sentence:
        return [([], FLAG.findall(sentence.partition('without ')[2]))]
    key = re.search(r'need an (\w+): ', sentence)
    if key:
        return [([f'distill.audit.{key[1]}'], [])]
    if 'need a teacher config' in sentence:
        return [(['--teacher-config'], [])]
    advice = re.split('[;:] |folder, ', sentence)[-1]
    ways = [re.findall(rf'{FLAG.pattern}|{KEY}', way) for way in advice.split(' or ')]
    return [(way, SIDES.get(way[0], [])) for way in ways]


def followed(recipe, words, way):
    """A recipe and the command line after one of the ways of a sentence."""
    named, dropped = way
    recipe = json.loads(json.dumps(recipe))
    words = {flag: value for flag, value in words.items() if flag not in dropped}
    for name in named:
        if name.startswith('--'):
            words[name] = VALUES[name]
        else:
            put(recipe, name, VALUES[name])
    return recipe, words


@pytest.mark.parametrize('situation', SITUATIONS)
def test_every_way_that_a_sentence_names_begins_an_audit(recipe, begin, situation):
    change, words, cause, number = SITUATIONS[situation]
    change(recipe)
    sentence = begin(recipe, words)
    assert re.search(cause, sentence)
    ways = ways_on(sentence)

    assert len(ways) == number
    for way in ways:
        now = followed(recipe, words, way)
        further = begin(*now)
        if way[0] == ['--folds'] and '--teacher-config' not in words:
            # It then says what is needed beside it.
            assert 'name its config with --teacher-config' in further
            now = followed(*now, ways_on(further)[0])
            further = begin(*now)
        assert further is None


def test_the_number_of_keypoints_is_the_one_that_is_named(perfect, selection_at):
    store, truth = perfect
    content = json.loads(truth.read_text())
    right = [list(each['keypoints']) for each in content['annotations']]
    for annotation in content['annotations']:
        annotation['keypoints'] = [1, 1, 2] * 5
    truth.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r'must be a COCO json .*; wrong') as caught:
        match_candidates(store, truth, SIGMAS, selection_at())
    (number,) = re.findall(r'have (\d+) keypoints', str(caught.value))

    for annotation, keypoints in zip(content['annotations'], right, strict=True):
        annotation['keypoints'] = keypoints[: 3 * int(number)]
    truth.write_text(json.dumps(content))
    assert match_candidates(store, truth, SIGMAS, selection_at()).num_true
