import json
import shutil
from pathlib import Path

import pytest
import torch

from mmdistill.selection.selection import read_selection
from mmdistill.store import LabelStore
from tests.helpers.launches import launch_forked
from tests.helpers.recipes import REPOSITORY, STUDENT
from tests.helpers.workshop import DISTILL, LABELS, TEACHER_FILE, call_mmpose, contents

ADAPTIVE = 0.1
"""Agreement that the first two views of some instances reach."""


def test_a_row_for_every_image(workshop):
    labels = LabelStore(LABELS).read()

    expected = sorted(path.name for path in Path('data/toy/images/unlabeled').iterdir())
    assert labels.paths.to_pylist() == expected


def test_no_other_threshold_matches_the_labeled_mean_better(workshop):
    selection = read_selection(LabelStore(LABELS))
    scores = LabelStore(LABELS).read().candidates.instance_scores

    target = selection.labeled.mean('all') * selection.unlabeled.images
    distances = [abs((scores >= score).sum() - target) for score in scores]
    assert abs(selection.unlabeled.kept - target) == min([target, *distances])


@pytest.mark.parametrize('lost', [[0], [1, 3], [0, 1, 2, 3]])
def test_a_run_that_lost_chunks_ends_in_the_same_files(workshop, tool, lost):
    before = contents(Path(LABELS))
    for index in lost:
        Path(LABELS, 'chunks', f'{index:06d}.parquet').unlink()

    assert tool('label', STUDENT, '--cfg-options', *DISTILL) == 0
    assert contents(Path(LABELS)) == before


def test_two_processes_write_the_same_files_as_one(workshop):
    before = contents(Path(LABELS))
    shutil.rmtree(LABELS)

    arguments = [STUDENT, '--launcher', 'pytorch', '--cfg-options', *DISTILL]
    launch_forked(REPOSITORY / 'tools/label.py', *arguments)

    assert contents(Path(LABELS)) == before


def test_two_processes_write_the_same_adaptive_labels_as_one(workshop, tool):
    """Each instance decides alone how many views it is shown in."""
    options = [*DISTILL, f'distill.views.adaptive={ADAPTIVE}']
    options.append('distill.views.adaptive_groups=[2]')
    shutil.rmtree(LABELS)
    assert tool('label', STUDENT, '--cfg-options', *options) == 0
    before = contents(Path(LABELS))
    num_views = LabelStore(LABELS).read().candidates.num_views
    assert set(num_views.tolist()) == {2, 4}
    shutil.rmtree(LABELS)

    arguments = [STUDENT, '--launcher', 'pytorch', '--cfg-options', *options]
    launch_forked(REPOSITORY / 'tools/label.py', *arguments)

    assert contents(Path(LABELS)) == before


def test_a_killed_run_is_continued(workshop, tool, monkeypatch):
    before = contents(Path(LABELS))
    shutil.rmtree(LABELS)
    written = LabelStore.write_chunk
    monkeypatch.setattr(
        LabelStore,
        'write_chunk',
        lambda store, index, rows: (
            written(store, index, rows) if index < 2 else pytest.fail('killed')
        ),
    )
    with pytest.raises(pytest.fail.Exception):
        tool('label', STUDENT, '--cfg-options', *DISTILL)
    monkeypatch.undo()
    monkeypatch.chdir(workshop)
    assert LabelStore(LABELS).missing_chunks() == [2, 3]

    assert tool('label', STUDENT, '--cfg-options', *DISTILL) == 0
    assert contents(Path(LABELS)) == before


def test_unreadable_images_are_rows_and_not_counted(workshop, tool):
    broken = sorted(Path('data/toy/images/unlabeled').iterdir())[0]
    broken.write_text('not an image')
    shutil.rmtree(LABELS)

    assert tool('label', STUDENT, '--cfg-options', *DISTILL) == 1

    labels = LabelStore(LABELS).read()
    assert labels.failures[0] == 'not an image: no header that Pillow reads'
    assert labels.num_read == 6
    assert not (labels.image_index == 0).any()
    assert read_selection(LabelStore(LABELS)).unlabeled.failed == 1


@pytest.mark.parametrize(('share', 'code'), [('0.1', 1), ('0.15', 0)])
def test_max_failures_decides_the_exit_code(workshop, tool, capfd, share, code):
    sorted(Path('data/toy/images/unlabeled').iterdir())[0].write_text('not an image')
    shutil.rmtree(LABELS)

    arguments = ['--max-failures', share, '--cfg-options', *DISTILL]
    assert tool('label', STUDENT, *arguments) == code

    streams = capfd.readouterr()
    assert '1 of 7 images failed (14.29%)' in streams.out
    assert '1: not an image: no header' in streams.out
    assert ('more than max_failures 10.00%' in streams.err) == (code == 1)


def test_new_images_are_added_and_counted(workshop, tool):
    before = contents(Path(LABELS))
    options = ['distill.unlabeled.ann_file=', 'distill.store=work_dirs/grown']
    options += ['distill.unlabeled.bbox_file=']
    images = Path('data/toy/images/unlabeled')
    assert tool('label', STUDENT, '--cfg-options', *DISTILL, *options) == 0
    first = read_selection(LabelStore('work_dirs/grown'))
    shutil.copy(sorted(images.iterdir())[0], images / '0new.png')

    assert tool('label', STUDENT, '--cfg-options', *DISTILL, *options) == 0

    store = LabelStore('work_dirs/grown')
    assert store.read().paths.to_pylist()[-1] == '0new.png'
    second = read_selection(store)
    assert (first.unlabeled.images, second.unlabeled.images) == (7, 8)
    assert contents(Path(LABELS)) == before


def test_the_status_is_reported_and_nothing_done(workshop, tool, capsys):
    Path(LABELS, 'chunks/000001.parquet').unlink()
    before = contents(Path(LABELS))

    assert tool('label', STUDENT, '--status', '--cfg-options', *DISTILL) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f'label store {LABELS}'
    assert lines[1].startswith('done: 5 of 7 images, in 3 of 4 chunks, with ')
    assert lines[2] == 'missing: 2 images, 1 chunks'
    assert lines[3] == '0 of 5 images failed (0.00%)'
    assert lines[-1] == 'run: none'
    assert contents(Path(LABELS)) == before


def test_a_folder_without_boxes_is_labeled_whole_image_by_image(workshop, tool):
    options = ['distill.unlabeled.ann_file=', 'distill.unlabeled.bbox_file=']
    options += ['distill.store=work_dirs/whole']

    assert tool('label', STUDENT, '--cfg-options', *DISTILL, *options) == 0

    labels = LabelStore('work_dirs/whole').read()
    assert labels.image_index.tolist() == list(range(7))
    corners = labels.candidates.bboxes[:, 2:]
    assert (corners == labels.sizes).all()


def test_the_written_config_runs_from_mmpose_own_test_tool(workshop, tool):
    before = contents(Path(LABELS))
    tool('label', STUDENT, '--write-config', 'stage1.py', '--cfg-options', *DISTILL)
    shutil.rmtree(LABELS)

    call_mmpose('test.py', 'stage1.py', TEACHER_FILE)

    assert contents(Path(LABELS)) == before


def test_a_box_off_its_image_is_left_out_and_counted(workshop, tool, capfd):
    boxes = Path('work_dirs/toy/detections.bbox.json')
    first, *others = json.loads(boxes.read_text())
    boxes.write_text(json.dumps([{**first, 'bbox': [9000, 0, 3, 5]}, *others]))
    shutil.rmtree(LABELS)

    assert tool('label', STUDENT, '--cfg-options', *DISTILL) == 0

    streams = capfd.readouterr()
    assert '1 images: boxes that lie off the image are left out' in streams.out
    assert LabelStore(LABELS).read().num_read == 7


def test_a_teacher_with_more_in_its_checkpoint_labels_the_same(workshop, tool, capfd):
    """As trainings of other versions, profilers and wrappers leave them."""
    before = contents(Path(LABELS))
    checkpoint = torch.load(TEACHER_FILE, weights_only=False)
    weights = checkpoint['state_dict']
    others = {f'ema_{key.replace(".", "_")}': weights[key] + 1 for key in weights}
    others |= {'total_ops': torch.zeros(1), 'backbone.conv1.total_ops': torch.zeros(1)}
    wrapped = {f'module.{key}': value for key, value in {**weights, **others}.items()}
    torch.save({**checkpoint, 'state_dict': wrapped}, 'more.pth')
    Path(LABELS, 'chunks/000000.parquet').unlink()

    more = 'distill.teacher.checkpoint=more.pth'
    assert tool('label', STUDENT, '--cfg-options', *DISTILL, more) == 0

    after = contents(Path(LABELS))
    assert after == before
    log = ''.join(capfd.readouterr())
    assert f'{len(others)} others are left out: ' in log
    assert 'unexpected key' not in log
    assert 'missing keys' not in log
