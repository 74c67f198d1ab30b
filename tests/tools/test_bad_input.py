"""Each wrong input: one sentence, exit code 2, nothing half-written."""

import json
import shutil
from pathlib import Path

import pytest

from tests.helpers.recipes import STUDENT
from tests.helpers.workshop import BOXES, DISTILL, TEACHER_FILE

LABELS = 'work_dirs/toy/labels'


def first_box(**changes):
    boxes = json.loads(Path(BOXES).read_text())
    boxes[0].update(changes)
    Path(BOXES).write_text(json.dumps(boxes))


def every_box(**changes):
    boxes = [{**box, **changes} for box in json.loads(Path(BOXES).read_text())]
    Path(BOXES).write_text(json.dumps(boxes))


def other_keypoints():
    import torch

    content = torch.load(TEACHER_FILE, weights_only=False)
    names = content['meta']['dataset_meta']['keypoint_id2name']
    names[0], names[1] = names[1], names[0]
    torch.save(content, TEACHER_FILE)


def without_instances():
    path = Path('data/toy/annotations/labeled.json')
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, 'annotations': []}))


def empty_folder():
    shutil.rmtree('data/toy/images/unlabeled')
    Path('data/toy/images/unlabeled').mkdir()


CASES = {
    'a folder that is gone': (
        lambda: shutil.rmtree('data/toy/images/unlabeled'),
        [],
        'none of the 7 listed images is below',
    ),
    'a checkpoint that is text': (
        lambda: Path(TEACHER_FILE).write_text('not a checkpoint'),
        [],
        'cannot be read as a checkpoint',
    ),
    'no teacher checkpoint': (
        lambda: Path(TEACHER_FILE).unlink(),
        [],
        'the teacher checkpoint work_dirs/teacher/iter_2.pth does not exist',
    ),
    'a teacher with other keypoints': (
        other_keypoints,
        [],
        "was trained on the keypoints ['left_eye', 'nose'",
    ),
    'an empty folder': (
        empty_folder,
        ['distill.unlabeled.ann_file='],
        'holds no image',
    ),
    'no folder': (
        lambda: shutil.rmtree('data/toy/images/unlabeled'),
        ['distill.unlabeled.ann_file='],
        'does not exist',
    ),
    'boxes of an unknown image': (
        lambda: every_box(image_id=99),
        [],
        'it calls images 99, they are called',
    ),
    'a box that is NaN': (
        lambda: first_box(bbox=[0, 0, float('nan'), 5]),
        [],
        'a bbox of finite numbers of pixels',
    ),
    'scores in percent': (
        lambda: first_box(score=87.5),
        [],
        'divide percentages by 100',
    ),
    'categories without a box': (
        lambda: None,
        ['distill.unlabeled.category_ids=[7]'],
        'of the categories [7]; it has those of [1]',
    ),
    'a labeled set without instances': (
        without_instances,
        [],
        'has no instance that would be trained on',
    ),
    'a view named twice': (
        lambda: None,
        ['distill.views.scales=[1.0,1.0]'],
        'a view must be named once, got 1 twice',
    ),
    'a negative scale': (
        lambda: None,
        ['distill.views.scales=[-1.0]'],
        'each of distill.views.scales must be a number above 0, got -1.0',
    ),
    'no unlabeled images': (
        lambda: None,
        ['distill.unlabeled=None'],
        'unlabeled',
    ),
}


@pytest.mark.parametrize('case', CASES)
def test_labeling_refuses(workshop, tool, capfd, case):
    spoil, options, sentence = CASES[case]
    spoil()
    shutil.rmtree(LABELS)

    code = tool('label', STUDENT, '--cfg-options', *DISTILL, *options)

    errors = [e for e in capfd.readouterr().err.splitlines() if e.startswith('error: ')]
    assert code == 2
    assert len(errors) == 1
    assert sentence in errors[0]
    assert not Path(LABELS).exists()


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (
            ['distill.views.scales=[1.0]'],
            "views.views: the store has ['1', '1 flipped'",
        ),
        (['distill.labeling.chunk_size=3'], 'chunk_size: the store has 2, this run 3'),
    ],
)
def test_a_store_made_otherwise_is_refused_and_untouched(
    workshop, tool, capfd, options, sentence
):
    files = {path: path.read_bytes() for path in Path(LABELS).rglob('*.*')}

    code = tool('label', STUDENT, '--cfg-options', *DISTILL, *options)

    assert code == 2
    assert sentence in capfd.readouterr().err
    assert {path: path.read_bytes() for path in Path(LABELS).rglob('*.*')} == files


def test_a_store_of_another_teacher_is_refused(workshop, tool, capfd):
    import torch

    content = torch.load(TEACHER_FILE, weights_only=False)
    next(iter(content['state_dict'].values())).add_(1)
    torch.save(content, TEACHER_FILE)

    assert tool('label', STUDENT, '--cfg-options', *DISTILL) == 2
    assert 'teacher.weights: the store has' in capfd.readouterr().err


def test_a_selection_that_keeps_nothing_is_refused(workshop, tool, capfd):
    before = Path(LABELS, 'selection.json').read_bytes()

    code = tool('select_labels', STUDENT, '--score-thr', '2', '--cfg-options', *DISTILL)

    assert code == 2
    assert 'would be kept' in capfd.readouterr().err
    assert Path(LABELS, 'selection.json').read_bytes() == before


def test_a_config_that_does_not_exist_is_refused(workshop, tool, capfd):
    assert tool('train', 'nowhere.py') == 2
    assert 'the config nowhere.py does not exist' in capfd.readouterr().err
