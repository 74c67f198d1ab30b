"""The real loop, store and data set; a stub stands for the network."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from mmdistill.errors import TooManyFailuresError, UserError
from mmdistill.store import LabelStore
from tests.helpers.labeling import NUM_IMAGES, Teacher, run_loop


def chunk_bytes(store: LabelStore) -> list[bytes]:
    return [path.read_bytes() for path in sorted(store.root.glob('chunks/*'))]


def test_every_image_is_a_row(label):
    _, store = label()

    labels = store.read()

    assert labels.paths.to_pylist() == [f'{i}.png' for i in range(NUM_IMAGES)]
    assert labels.sizes.tolist() == [[64, 48]] * NUM_IMAGES
    assert labels.candidates.bboxes.tolist() == [[0, 0, 64, 48]] * NUM_IMAGES


def test_forward_batches_never_span_chunks(label):
    teacher, _ = label()

    assert teacher.batches == [2, 1, 2, 1, 1]


def test_a_complete_store_is_not_labeled_again(label):
    label()

    teacher, _ = label()

    assert teacher.batches == []


@pytest.mark.parametrize('lost', [0, 1, 2])
def test_only_a_lost_chunk_is_labeled_again(label, lost):
    _, store = label()
    before = chunk_bytes(store)
    sorted(store.root.glob('chunks/*'))[lost].unlink()

    teacher, _ = label()

    assert sum(teacher.batches) == (1 if lost == 2 else 3)
    assert chunk_bytes(store) == before


def test_the_same_input_gives_the_same_files(label):
    _, first = label('first')
    _, second = label('second')

    assert chunk_bytes(first) == chunk_bytes(second)
    assert first.manifest == second.manifest


def test_candidates_below_the_floor_are_not_stored(label):
    _, store = label(score_floor=0.6)

    labels = store.read()

    assert len(labels.candidates) == 0
    assert len(labels.failures) == NUM_IMAGES


def test_a_store_of_other_views_is_refused(label):
    label()

    with pytest.raises(UserError, match=r'views\.views: the store has one'):
        label(teacher=Teacher('two'))


def test_other_weights_are_refused(label):
    label()
    teacher = Teacher()
    torch.nn.init.zeros_(teacher.module.bias)

    with pytest.raises(UserError, match=r'teacher\.weights: the store has'):
        label(teacher=teacher)


@pytest.mark.parametrize(
    ('settings', 'sentence'),
    [
        (dict(store=''), 'needs a folder for the label store'),
        (dict(chunk_size=0), 'chunk_size must be at least 1, got 0'),
        (dict(max_failures=1.1), 'max_failures must be a share, 0 to 1, got 1.1'),
    ],
)
def test_wrong_settings_are_refused(label, settings, sentence):
    with pytest.raises(UserError, match=sentence):
        label(**settings)


def test_nothing_is_written_before_the_teacher_is_known(label, tmp_path):
    with pytest.raises(UserError):
        label(chunk_size=-1)

    assert not Path(tmp_path, 'labels').exists()


def test_only_new_images_are_labeled(label, tmp_path, write_images):
    _, store = label()
    before = chunk_bytes(store)
    write_images(tmp_path / 'pile', '00.png', '3a.png')

    teacher, _ = label()

    assert sum(teacher.batches) == 2
    assert chunk_bytes(store)[: len(before)] == before
    added = store.read().paths.to_pylist()[NUM_IMAGES:]
    assert added == ['00.png', '3a.png']


def test_an_interrupted_run_may_be_extended(label, tmp_path, write_images):
    _, store = label()
    sorted(store.root.glob('chunks/*'))[1].unlink()
    write_images(tmp_path / 'pile', '00.png')

    teacher, _ = label()

    assert sum(teacher.batches) == 3 + 1
    assert len(store.read().failures) == NUM_IMAGES + 1


def test_other_boxes_of_the_new_images_only_are_taken(label, tmp_path, write_images):
    def detect(*images):
        rows = [dict(image_id=i, category_id=1, bbox=[1, 1, 9, 9]) for i in images]
        text = json.dumps([dict(row, score=0.5) for row in rows])
        (tmp_path / 'boxes.json').write_text(text)
        return dict(dataset=dict(bbox_file=str(tmp_path / 'boxes.json')))

    label(**detect(0, 3))
    write_images(tmp_path / 'pile', '00x.png')

    teacher, store = label(**detect(3, 0, '00x'))
    assert sum(teacher.batches) == 1
    assert store.read().image_index.tolist() == [0, 3, NUM_IMAGES]

    with pytest.raises(UserError, match='\n- boxes of images 1 to 7: the store has'):
        label(**detect(3, 1, '00x'))


def test_images_that_are_gone_are_refused_by_name(label, tmp_path):
    label()
    for name in '1245':
        (tmp_path / 'pile' / f'{name}.png').unlink()

    with pytest.raises(
        UserError, match=r'4 of the store .*: 1\.png, 2\.png, 4\.png, …'
    ):
        label()


def test_failed_images_are_rows_up_to_a_share(label, tmp_path):
    (tmp_path / 'pile/2.png').write_text('no image')

    _, store = label(max_failures=0.15)

    assert store.read().num_read == NUM_IMAGES - 1


@pytest.mark.parametrize('count', [1, NUM_IMAGES - 1])
def test_too_many_failed_images_are_an_error_after_all_is_written(
    label, tmp_path, count
):
    for number in range(count):
        (tmp_path / f'pile/{number}.png').write_text('no image')

    with pytest.raises(TooManyFailuresError, match=rf'{count} of 7 images .* failed'):
        label()

    assert LabelStore(tmp_path / 'labels').read().num_read == NUM_IMAGES - count


def test_what_a_killed_write_left_is_removed(label):
    _, store = label()
    (store.root / 'chunks/.000001.parquet.1.part').write_text('half')

    label()

    assert list(store.root.rglob('*.part')) == []


def test_labels_hold_the_rounded_values_of_the_teacher(label, tmp_path):
    (tmp_path / 'boxes.json').write_text(
        '[{"image_id": 1, "category_id": 1, "bbox": [10.3, 5.7, 20, 30], "score": 0.9}]'
    )
    _, store = label(dataset=dict(bbox_file=str(tmp_path / 'boxes.json')))

    candidates = store.read().candidates
    assert candidates.keypoints[0, 0].tolist() == [659 / 64, 365 / 64]
    assert candidates.bboxes.tolist() == np.float32([[10.3, 5.7, 30.3, 35.7]]).tolist()


def test_hidden_files_of_an_older_store_are_kept_by_the_advice(
    tmp_path, write_images, coco_metainfo
):
    write_images(tmp_path / 'pile', 'a.png', '._b.png', '@eaDir/c.png')
    where = (tmp_path / 'pile', tmp_path / 'labels', coco_metainfo, Teacher())
    run_loop(*where, dataset=dict(hidden=True))
    before = LabelStore(tmp_path / 'labels').digest()
    with pytest.raises(UserError, match=r'hidden=True in distill\.unlabeled') as error:
        run_loop(*where)
    assert 'remove' not in str(error.value)

    run_loop(*where, dataset=dict(hidden=True))
    assert LabelStore(tmp_path / 'labels').digest() == before


def test_images_that_are_gone_can_be_brought_back(
    tmp_path, write_images, coco_metainfo
):
    write_images(tmp_path / 'pile', 'a.png', 'b.png')
    where = (tmp_path / 'pile', tmp_path / 'labels', coco_metainfo, Teacher())
    run_loop(*where)
    content = (tmp_path / 'pile/b.png').read_bytes()
    (tmp_path / 'pile/b.png').unlink()
    with pytest.raises(UserError, match='bring the images back') as error:
        run_loop(*where)
    assert 'remove' not in str(error.value)

    (tmp_path / 'pile/b.png').write_bytes(content)
    run_loop(*where)


def test_mended_images_are_labeled_by_the_advice(tmp_path, write_images, coco_metainfo):
    files = write_images(tmp_path / 'pile', *(f'{number}.png' for number in range(9)))
    content = files[4].read_bytes()
    files[4].write_bytes(b'')
    where = (tmp_path / 'pile', tmp_path / 'labels', coco_metainfo, Teacher())
    with pytest.raises(TooManyFailuresError, match='remove the chunks') as error:
        run_loop(*where)
    (name,) = re.findall(r'chunks/\d+\.parquet', str(error.value))

    files[4].write_bytes(content)
    (tmp_path / 'labels' / name).unlink()
    run_loop(*where)
    assert LabelStore(tmp_path / 'labels').read().failures == [None] * 9
