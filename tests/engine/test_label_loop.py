"""The real loop, store and data set; a stub stands for the network."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from mmdistill.engine import LabelLoop
from mmdistill.errors import UserError
from mmdistill.labels import LabelStore

NUM_IMAGES = 7


class Teacher(torch.nn.Module):
    """Finds the corner of every box with all keypoints, and counts its work."""

    def __init__(self, views: str = 'one') -> None:
        super().__init__()
        self.module = torch.nn.Linear(1, 1)
        torch.nn.init.ones_(self.module.weight)
        torch.nn.init.ones_(self.module.bias)
        self.views = views
        self.batches: list[int] = []

    def provenance(self) -> dict[str, str]:
        return dict(views=self.views)

    def test_step(self, batch: dict) -> list:
        self.batches.append(len(batch['data_samples']))
        for sample in batch['data_samples']:
            boxes = sample.gt_instances.bboxes
            scores = np.full((len(boxes), 17), 0.5, dtype=np.float32)
            sample.pred_instances = InstanceData(
                keypoints=np.repeat(boxes[:, None, :2], 17, axis=1),
                keypoint_scores=scores,
                keypoint_agreement=scores,
                bboxes=boxes,
                bbox_scores=sample.gt_instances.bbox_scores,
            )
        return batch['data_samples']


@pytest.fixture
def label(tmp_path, write_images, coco_metainfo):
    """Run the loop over seven images; returns the teacher and the store."""
    write_images(tmp_path / 'pile', *(f'{i}.png' for i in range(NUM_IMAGES)))

    def run(
        name: str = 'labels', teacher: Teacher | None = None, **settings
    ) -> tuple[Teacher, LabelStore]:
        teacher = teacher or Teacher()
        loader = dict(
            batch_size=2,
            num_workers=0,
            dataset=dict(
                type='mmdistill.UnlabeledDataset',
                metainfo=coco_metainfo,
                data_root=str(tmp_path / 'pile'),
            ),
        )
        runner = SimpleNamespace(
            model=teacher,
            cfg=dict(load_from='teacher.pth'),
            visualizer=SimpleNamespace(),
            call_hook=lambda name, **arguments: None,
        )
        options = dict(labels=str(tmp_path / name), chunk_size=3)
        LabelLoop(runner, loader, **(options | settings)).run()
        return teacher, LabelStore(tmp_path / name)

    return run


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


def test_a_complete_store_is_not_labelled_again(label):
    label()

    teacher, _ = label()

    assert teacher.batches == []


@pytest.mark.parametrize('lost', [0, 1, 2])
def test_only_a_lost_chunk_is_labelled_again(label, lost):
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
        (dict(labels=''), 'needs a folder for the label store'),
        (dict(chunk_size=0), 'chunk_size must be at least 1, got 0'),
    ],
)
def test_wrong_settings_are_refused(label, settings, sentence):
    with pytest.raises(UserError, match=sentence):
        label(**settings)


def test_nothing_is_written_before_the_teacher_is_known(label, tmp_path):
    with pytest.raises(UserError):
        label(chunk_size=-1)

    assert not Path(tmp_path, 'labels').exists()
