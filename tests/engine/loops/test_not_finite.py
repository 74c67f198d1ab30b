"""NaN and infinity of a teacher: no label, a word in the row, and a stop if all is."""

from __future__ import annotations

import json

import numpy as np
import pytest
from mmengine.structures import InstanceData
from mmpose.structures import PoseDataSample

from mmdistill.engine.loops import label_loop
from mmdistill.engine.loops.rows import boxes_to_row, sample_to_row
from mmdistill.errors import UserError
from mmdistill.functional.scoring import instance_scores
from mmdistill.store import LabelStore
from mmdistill.store.schema import NONE_FINITE, SOME_NOT_FINITE
from tests.helpers.labeling import NUM_IMAGES, Broken

SIGMAS = [0.05] * 17


def sample_of(note: str = '', **changes: np.ndarray) -> PoseDataSample:
    """Two persons far from each other, and what is changed of them."""
    boxes = np.float32([[0, 0, 20, 40], [100, 0, 130, 40]])
    predicted = dict(
        bboxes=boxes,
        bbox_scores=np.float32([0.9, 0.8]),
        keypoints=np.repeat(boxes[:, None, :2] + 5, 17, axis=1),
        keypoint_scores=np.full((2, 17), 0.5, dtype=np.float32),
        keypoint_agreement=np.full((2, 17), 0.75, dtype=np.float32),
    )
    predicted |= changes
    meta = dict(path='a.png', ori_shape=(48, 64), status='ok', reason=note)
    sample = PoseDataSample(metainfo=meta)
    sample.gt_instances = InstanceData(bboxes=boxes, bbox_scores=np.ones(2))
    sample.pred_instances = InstanceData(**predicted)
    return sample


def spoiled(name: str, value: float, where: tuple) -> dict[str, np.ndarray]:
    values = getattr(sample_of().pred_instances, name).copy()
    values[where] = value
    return {name: values}


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('name', ['keypoints', 'keypoint_scores', 'keypoint_agreement'])
def test_a_keypoint_that_is_not_finite_is_no_label(name, value):
    row = sample_to_row(sample_of(**spoiled(name, value, (0, 3))), SIGMAS, 0, 0.9)

    found = row.candidates
    assert (row.status, row.reason) == ('ok', SOME_NOT_FINITE)
    assert found.keypoint_scores[0].tolist() == [0.5] * 3 + [0] + [0.5] * 13
    assert found.keypoint_agreement[0, 3] == 0
    assert found.keypoints[0, 3].tolist() == [10, 20]
    assert np.array_equal(found.keypoints[0, 4], [5, 5])
    expected = instance_scores(found.bbox_scores, found.keypoint_scores)
    assert np.array_equal(found.instance_scores, expected)


def test_what_the_model_says_of_its_keypoints_counts_too():
    known = np.ones((2, 17), dtype=bool)
    known[1, 0] = False
    row = sample_to_row(sample_of(keypoints_known=known), SIGMAS, 0, 0.9)
    assert row.candidates.keypoint_scores[1, 0] == 0
    assert row.reason == SOME_NOT_FINITE


@pytest.mark.parametrize(
    ('name', 'where'),
    [('keypoint_scores', (1,)), ('bboxes', (1, 2)), ('bbox_scores', (1,))],
)
def test_an_instance_of_which_nothing_is_finite_is_no_candidate(name, where):
    sample = sample_of('scaled', **spoiled(name, np.nan, where))
    row = sample_to_row(sample, SIGMAS, -1, 0.9)
    assert row.candidates.bboxes.tolist() == [[0, 0, 20, 40]]
    assert (row.status, row.reason) == ('ok', f'scaled; {SOME_NOT_FINITE}')


def test_an_image_of_which_nothing_is_finite_has_failed():
    row = sample_to_row(
        sample_of(keypoints=np.full((2, 17, 2), np.nan)), SIGMAS, -1, 0.9
    )
    assert (row.status, row.reason) == ('failed', NONE_FINITE)
    assert (len(row.candidates), row.width, row.height) == (0, 64, 48)


def test_small_scores_are_not_those_of_unknown_keypoints():
    scores = np.full((2, 17), 1e-5, dtype=np.float32)
    scores[0, :2] = 0, -1e-5
    found = sample_to_row(sample_of(keypoint_scores=scores), SIGMAS, -1, 2).candidates
    (row,) = np.flatnonzero(found.bboxes[:, 0] == 0)
    assert found.keypoint_scores[row, :3].tolist() == [0, -1 / 1024, 1 / 1024]


def test_boxes_that_are_not_finite_are_left_out():
    sample = sample_of(**spoiled('bboxes', np.inf, (0, 2)))
    sample.pred_instances.category_ids = np.int32([1, 2])
    row = boxes_to_row(sample)
    assert row.candidates.category_ids.tolist() == [2]
    assert row.reason == SOME_NOT_FINITE


def test_images_that_break_are_counted_and_the_others_are_labeled(label, logged):
    _, store = label(teacher=Broken('25'), max_failures=1.0)
    labels = store.read()
    assert np.flatnonzero([r is not None for r in labels.failures]).tolist() == [2, 5]
    assert len(labels.candidates) == NUM_IMAGES - 2
    assert logged[-2:] == ['2 of 7 images failed (28.57%)', f'  2: {NONE_FINITE}']


def test_a_teacher_that_gives_nothing_finite_is_a_sentence(label):
    with pytest.raises(UserError, match='the teacher gives NaN or infinity'):
        label(teacher=Broken('0123456'))


def test_it_stops_before_all_images_are_seen(label, monkeypatch):
    monkeypatch.setattr(label_loop, 'ENOUGH_TO_STOP', 3)
    teacher = Broken('0123456')
    with pytest.raises(UserError, match='no keypoint is finite on any of 4 labeled'):
        label(teacher=teacher, chunk_size=NUM_IMAGES)
    assert sum(teacher.batches) < NUM_IMAGES


class BrokenOnImages(Broken):
    """A teacher that gives NaN on the images that it is told, not on gray ones."""

    def test_step(self, batch: dict) -> list:
        names, gray = self.names, [len(i.unique()) == 1 for i in batch['inputs']]
        self.names = '' if all(gray) else names
        try:
            return super().test_step(batch)
        finally:
            self.names = names


@pytest.mark.parametrize(('chunk_size', 'images'), [(1, 1), (2, 2), (3, 3), (99, 7)])
def test_a_teacher_that_gives_nan_alone_is_refused_after_the_first_chunk(
    label, chunk_size, images
):
    sentence = f'no keypoint is finite on any of {images} labeled images'
    with pytest.raises(UserError, match=sentence):
        label(teacher=Broken('0123456'), chunk_size=chunk_size)


def test_a_chunk_without_boxes_decides_nothing(label, tmp_path):
    boxes = [
        dict(image_id=f'{i}.png', category_id=1, bbox=[0, 0, 9, 9], score=0.5)
        for i in (3, 5, 6)
    ]
    (tmp_path / 'boxes.json').write_text(json.dumps(boxes))
    dataset = dict(bbox_file=str(tmp_path / 'boxes.json'))
    with pytest.raises(UserError, match='finite on any of 1 labeled images'):
        label(teacher=Broken('0123456'), chunk_size=2, dataset=dataset)
    assert LabelStore(tmp_path / 'labels').missing_chunks() == [1, 2, 3]


def test_a_chunk_of_odd_images_ends_no_run(label):
    teacher = BrokenOnImages('012')
    _, store = label(teacher=teacher, max_failures=1.0, chunk_size=1)
    labels = store.read()
    assert len(labels.candidates) == NUM_IMAGES - 3
    assert sum(teacher.batches) == NUM_IMAGES + 1


def test_it_goes_on_where_something_was_finite(label, monkeypatch):
    """What was written before, or by another process, shows that not all is broken."""
    monkeypatch.setattr(label_loop, 'ENOUGH_TO_STOP', 3)
    _, store = label(teacher=Broken('3456'), max_failures=1.0)
    before = {file: file.read_bytes() for file in store.root.glob('chunks/*')}
    for file in list(before)[1:]:
        file.unlink()
    label(teacher=Broken('3456'), max_failures=1.0)
    assert {file: file.read_bytes() for file in before} == before
