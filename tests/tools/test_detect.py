"""Boxes found by a real detector, alone and before the labeling."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmdistill.store import LabelStore
from mmdistill.store.manifest import DETECTIONS
from tests.helpers.launches import launch_forked, run_forked
from tests.helpers.recipes import REPOSITORY, STUDENT
from tests.helpers.workshop import DISTILL, call_tool, contents

BOXES = 'work_dirs/found/labels_boxes'
LABELS = 'work_dirs/found/labels'
FOUND = (
    *(each for each in DISTILL if 'detector' not in each and 'bbox_file' not in each),
    *('distill.detector.checkpoint=detector.pth', f'distill.store={LABELS}'),
    # All that the untrained teacher gives scores the same.
    'distill.selection.score_thr=-1',
)


@pytest.fixture(scope='session')
def found(finished, detector_file, tmp_path_factory) -> Path:
    """The workshop, labeled in the boxes of a detector."""
    root = tmp_path_factory.mktemp('found') / 'workshop'
    shutil.copytree(finished, root)
    shutil.copy(detector_file, root / 'detector.pth')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert call_tool('label', STUDENT, '--cfg-options', *FOUND) == 0
    return root


@pytest.fixture
def place(found, tmp_path, monkeypatch) -> Path:
    """A copy of it to work in."""
    root = tmp_path / 'workshop'
    shutil.copytree(found, root)
    monkeypatch.chdir(root)
    return root


def detect(tool, *arguments: str) -> int:
    return tool('detect', STUDENT, *arguments, '--cfg-options', *FOUND)


def test_labels_stand_in_the_boxes_that_were_found(place):
    boxes = LabelStore(BOXES, DETECTIONS).read().candidates.bboxes
    store = LabelStore(LABELS)

    labeled = store.read().candidates.bboxes

    assert len(boxes) > 7
    assert set(map(tuple, labeled.tolist())) == set(map(tuple, boxes.tolist()))
    assert store.manifest['about']['detector']['categories'] == dict(person=1)


def test_other_boxes_are_refused_with_what_made_them(place, tool, capsys):
    options = [*FOUND, 'distill.detector.boxes=other', 'distill.detector.score_thr=0.6']

    assert tool('label', STUDENT, '--cfg-options', *options) == 2

    told = capsys.readouterr().err
    assert '\n- boxes of images 1 to 7: the store has ' in told
    assert '\n- detector.score_thr: the store has 0.1, this run 0.6' in told


def test_a_run_that_was_killed_ends_in_the_same_files(place, tool, monkeypatch):
    before = contents(Path(BOXES))
    shutil.rmtree(BOXES)
    written = LabelStore.write_chunk

    def write(store, index, rows):
        return written(store, index, rows) if index < 2 else pytest.fail('killed')

    monkeypatch.setattr(LabelStore, 'write_chunk', write)
    with pytest.raises(pytest.fail.Exception):
        detect(tool)
    monkeypatch.setattr(LabelStore, 'write_chunk', written)
    assert LabelStore(BOXES, DETECTIONS).missing_chunks() == [2, 3]

    assert detect(tool) == 0
    assert contents(Path(BOXES)) == before


def test_two_processes_write_the_same_files_as_one(place, tool):
    assert detect(tool, '--bbox-file', 'one.json') == 0
    before = contents(Path(BOXES))
    shutil.rmtree(BOXES)

    arguments = [STUDENT, '--bbox-file', 'two.json', '--launcher', 'pytorch']
    launch_forked(REPOSITORY / 'tools/detect.py', *arguments, '--cfg-options', *FOUND)

    assert contents(Path(BOXES)) == before
    assert Path('two.json').read_bytes() == Path('one.json').read_bytes()


def test_boxes_of_a_file_label_as_those_of_the_store(place, tool):
    assert detect(tool, '--bbox-file', 'boxes.json') == 0
    given = ['distill.detector=None', 'distill.unlabeled.bbox_file=boxes.json']
    before = contents(Path(LABELS))

    assert tool('label', STUDENT, '--cfg-options', *FOUND, *given) == 0

    # The store took the file's boxes for its own.
    assert contents(Path(LABELS)) == before


def test_photographs_on_which_nothing_is_found_count(place, tool, write_detector):
    shutil.copy(write_detector(bias=-12.0), 'detector.pth')
    shutil.rmtree('work_dirs/found')
    rng = np.random.default_rng(0)
    for number, path in enumerate(sorted(Path('data/toy/images/unlabeled').iterdir())):
        picture = rng.integers(0, 256, (40 + 60 * number, 300, 3), np.uint8)
        assert cv2.imwrite(str(path), picture)

    assert detect(tool, '--bbox-file', 'found.json') == 0
    assert tool('label', STUDENT, '--cfg-options', *FOUND) == 2

    held = LabelStore(BOXES, DETECTIONS).read()
    assert (held.num_read, len(held.candidates)) == (7, 0)
    assert json.loads(Path('found.json').read_text()) == []
    # Nothing can be selected, but every photograph is a row that was read.
    labels = LabelStore(LABELS).read()
    assert (labels.num_read, len(labels.candidates)) == (7, 0)


def test_an_audit_finds_boxes_as_the_unlabeled_set_has_them(place, tool):
    assert tool('audit_labels', STUDENT, '--cfg-options', *FOUND) == 0

    audit = json.loads(Path(LABELS, 'audit.json').read_text())
    assert audit['audited']['boxes'] == 'detections of detector.pth'
    (boxes,) = Path('work_dirs/found/labels-audit').glob('*/boxes')
    assert len(LabelStore(boxes, DETECTIONS).read().sizes) == 2


def test_images_without_ids_are_called_by_their_path(place, tool):
    options = ['distill.unlabeled.ann_file=', 'distill.detector.boxes=boxes']

    arguments = ('--bbox-file', 'boxes.json', '--cfg-options', *FOUND, *options)
    assert tool('detect', STUDENT, *arguments) == 0

    names = {each['image_id'] for each in json.loads(Path('boxes.json').read_text())}
    assert names <= {path.name for path in Path('data/toy/images/unlabeled').iterdir()}


def test_the_status_is_reported(place, tool, capsys):
    assert detect(tool, '--status') == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f'detection store {BOXES}'
    assert lines[1].startswith('done: 7 of 7 images, in 4 of 4 chunks, with ')
    assert lines[1].endswith(' boxes')


def test_the_written_config_runs_from_mmdetection_s_own_test_tool(place, tool):
    import mmdet

    before = contents(Path(BOXES))
    assert detect(tool, '--write-config', 'stage.py') == 0
    shutil.rmtree(BOXES)

    script = Path(mmdet.__file__).parent / '.mim/tools/test.py'
    run_forked(script, 'stage.py', 'detector.pth')

    assert contents(Path(BOXES)) == before


@pytest.mark.parametrize(
    ('option', 'sentence'),
    [
        ("distill.detector.categories=['mouse']", "no class 'mouse' .* it has person"),
        ('distill.unlabeled.bbox_file=boxes.json', 'got unlabeled.bbox_file and det'),
        ('distill.detector.checkpoint=gone.pth', 'gone.pth does not exist'),
        (
            'distill.detector.config=mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
            'the detector checkpoint misses',
        ),
    ],
)
def test_wrong_input_is_a_sentence(place, tool, capsys, option, sentence):
    shutil.rmtree('work_dirs/found')

    assert tool('detect', STUDENT, '--cfg-options', *FOUND, option) == 2

    last = capsys.readouterr().err.splitlines()[-1]
    assert re.match(f'error: .*{sentence}', last)
    assert not Path(BOXES, 'manifest.json').exists()
