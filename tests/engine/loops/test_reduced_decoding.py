"""The loop lets the data set decode no more than the teacher's views need."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mmdistill.errors import ConfigError, UserError
from mmdistill.functional.reduced_decoding import CropSampling
from mmdistill.store import LabelStore
from tests.helpers.labeling import Teacher, run_loop


class ReducedTeacher(Teacher):
    """A teacher whose input pixels are four pixels of a whole image of 64 x 48."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def sampling(self) -> CropSampling:
        steps = np.array([[[1 / 16, 0.0], [0.0, 1 / 12]]])
        return CropSampling(1.0, 64 / 48, steps)

    def test_step(self, batch: dict) -> list:
        self.shapes += [tuple(image.shape) for image in batch['inputs']]
        return super().test_step(batch)


@pytest.fixture
def label(tmp_path, coco_metainfo):
    """Label JPEGs; returns the teacher and the store."""
    (tmp_path / 'pile').mkdir()
    pixels = np.full((48, 64, 3), 128, np.uint8)
    for number in range(5):
        cv2.imwrite(str(tmp_path / f'pile/{number}.jpg'), pixels)

    def run(name: str = 'labels', **settings):
        teacher = ReducedTeacher()
        run_loop(tmp_path / 'pile', tmp_path / name, coco_metainfo, teacher, **settings)
        return teacher, LabelStore(tmp_path / name)

    return run


@pytest.mark.parametrize('workers', [0, 2])
def test_images_are_reduced_and_sizes_are_those_of_the_files(label, workers):
    loader = dict(num_workers=workers)

    teacher, store = label(loader=loader, reduced_decoding=True)

    assert teacher.shapes == [(3, 24, 32)] * 5
    assert store.read().sizes.tolist() == [[64, 48]] * 5
    assert store.read().candidates.bboxes.tolist() == [[0, 0, 64, 48]] * 5


def test_nothing_is_reduced_by_default(label):
    teacher, store = label()

    assert teacher.shapes == [(3, 48, 64)] * 5
    assert 'reduced_decoding' not in str(store.manifest)


def test_a_store_of_whole_images_is_not_continued(label):
    label()

    with pytest.raises(UserError, match='reduced_decoding'):
        label(reduced_decoding=True)


def test_boxes_that_move_from_frame_to_frame_are_refused(tmp_path, coco_metainfo):
    (tmp_path / 'pile').mkdir()
    writer = cv2.VideoWriter(
        *(str(tmp_path / 'pile/a.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 10, (64, 48))
    )
    for _ in range(3):
        writer.write(np.full((48, 64, 3), 128, np.uint8))
    writer.release()
    dataset = dict(
        sources=[dict(type='VideoSource', name='a', path='a.avi')], follow=dict()
    )

    with pytest.raises(ConfigError, match='got `follow`'):
        run_loop(
            *(tmp_path / 'pile', tmp_path / 'labels', coco_metainfo),
            *(ReducedTeacher(),),
            dataset=dataset,
            reduced_decoding=True,
        )
