"""A spot on a video, followed by the real loop; a stub stands for the network."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch.distributed
from mmengine.structures import InstanceData

from mmdistill.datasets import UnlabeledDataset
from mmdistill.errors import UserError
from mmdistill.store import LabelStore
from tests.helpers.killed_runs import FORK, files
from tests.helpers.labeling import Teacher, run_loop
from tests.helpers.media import (
    HEIGHT,
    WIDTH,
    write_video,  # noqa: F401  (a fixture)
)
from tests.helpers.metainfo import COCO

FRAMES, CHUNK = 31, 13
WHOLE = [0, 0, WIDTH, HEIGHT]
PADDING = 2.0
FOLLOWED = dict(
    sources=[dict(type='VideoSource', path='a.mp4')], follow=dict(padding=PADDING)
)


def picture_of(number: int) -> np.ndarray:
    """A spot that wanders, jumps at frame 6 and is nowhere from frame 18 to 20."""
    picture = np.full((HEIGHT, WIDTH, 3), 20, dtype=np.uint8)
    x, y = number + (30 if number >= 6 else 0), 4 + number
    if number not in (18, 19, 20):
        picture[y : y + 8, x % 48 : x % 48 + 10] = 220
    return picture


def spot_in(image: np.ndarray, box: np.ndarray) -> np.ndarray | None:
    """Corners (x1, y1, x2, y2) of what is bright in a box of an image (H, W, 3)."""
    x1, y1, x2, y2 = np.round(box).astype(int)
    rows, columns = np.nonzero(image[y1:y2, x1:x2].mean(axis=2) > 120)
    if len(rows) < 20:
        return None
    low = [x1 + columns.min(), y1 + rows.min()]
    return np.array([*low, x1 + columns.max(), y1 + rows.max()], dtype=np.float32)


class Spotter(Teacher):
    """Finds the spot where the box shows it; elsewhere it is unsure.

    Args:
        last: How many frames its process lives for.
    """

    def __init__(self, last: int = FRAMES) -> None:
        super().__init__()
        self.last = last

    def test_step(self, batch: dict) -> list:
        self.batches.append(len(batch['inputs']))
        if len(self.batches) > self.last:
            os.kill(os.getpid(), signal.SIGKILL)
        for pixels, sample in zip(batch['inputs'], batch['data_samples'], strict=True):
            if not len(sample.gt_instances):
                continue
            (box,) = sample.gt_instances.bboxes
            spot = spot_in(pixels.numpy().transpose(1, 2, 0), box)
            corners = np.float32([0, 0, 1, 1]) if spot is None else spot
            scores = np.full((1, 17), 0.25 if spot is None else 0.75, np.float32)
            sample.pred_instances = InstanceData(
                keypoints=np.resize(corners.reshape(2, 2), (1, 17, 2)),
                keypoint_scores=scores,
                keypoint_agreement=scores,
                bboxes=sample.gt_instances.bboxes,
                bbox_scores=sample.gt_instances.bbox_scores,
            )
        return batch['data_samples']


def label(root: Path, name: str, last: int = FRAMES, **settings) -> Spotter:
    """Follow the spot, into a store of this name."""
    teacher = Spotter(last)
    options = dict(chunk_size=CHUNK, dataset=FOLLOWED) | settings
    run_loop(root, root / name, dict(COCO), teacher, **options)
    return teacher


@pytest.fixture
def filmed(tmp_path, write_video) -> Path:  # noqa: F811
    """A folder with the video."""
    write_video(tmp_path / 'a.mp4', range(FRAMES), draw=picture_of)
    return tmp_path


def slow_boxes(root: Path) -> list[list[float]]:
    """The box of each frame, by the rule in words."""
    dataset = UnlabeledDataset(dict(COCO), str(root), sources=FOLLOWED['sources'])
    boxes, spot = [], None
    for number in range(FRAMES):
        if number % CHUNK == 0 or spot is None:
            box = WHOLE
        else:
            grown = (PADDING - 1) / 2 * max(spot[2] - spot[0], spot[3] - spot[1])
            low = [max(value - grown, 0) for value in spot[:2]]
            high = [min(v + grown, end) for v, end in zip(spot[2:], WHOLE[2:])]  # noqa: B905
            box = [*low, *high]
        spot = spot_in(dataset.read(number).pixels, np.array(box))
        boxes.append([float(value) for value in box])
    return boxes


def test_boxes_are_those_of_a_slow_loop(filmed):
    teacher = label(filmed, 'labels')

    found = LabelStore(filmed / 'labels').read().candidates.bboxes.tolist()
    assert found == slow_boxes(filmed)
    whole = [number for number, box in enumerate(found) if box == WHOLE]
    # Begun anew with each chunk; lost by the jump, and while there is nothing.
    assert whole == [0, 7, 13, 19, 20, 21, 26]
    assert teacher.batches == [1] * FRAMES


def test_a_found_spot_is_where_it_is(filmed):
    label(filmed, 'labels')

    found = LabelStore(filmed / 'labels').read().candidates
    sure = found.keypoint_scores[:, 0] > 0.5
    assert np.flatnonzero(~sure).tolist() == [6, 18, 19, 20]
    drawn = [np.argwhere(picture_of(i)[..., 0] > 120)[0][::-1] for i in range(7, 18)]
    assert np.abs(found.keypoints[7:18, 0] - drawn).max() <= 2


def test_a_frame_that_does_not_decode_is_not_followed(filmed, monkeypatch):
    read = UnlabeledDataset.read
    broken = dict(shape=(0, 0), reason='broken', pixels=np.zeros((0, 0, 3), np.uint8))

    def read_or_fail(self, number):
        image = read(self, number)
        return type(image)(**broken) if number == 3 else image

    monkeypatch.setattr(UnlabeledDataset, 'read', read_or_fail)
    label(filmed, 'labels')
    found = LabelStore(filmed / 'labels').read()
    assert found.failures[3] == 'broken'
    assert found.candidates.bboxes[found.image_index == 4].tolist() == [WHOLE]
    assert found.candidates.bboxes[found.image_index == 5].tolist() != [WHOLE]


@pytest.mark.parametrize('workers', [1, 2])
def test_workers_change_nothing(filmed, workers):
    label(filmed, 'once')
    label(filmed, 'labels', loader=dict(num_workers=workers, batch_size=4))
    assert files(filmed / 'labels') == files(filmed / 'once')


def run_rank(root: Path, rank: int, world_size: int, last: int) -> None:
    meeting = f'file://{root}/meeting{world_size}'
    torch.distributed.init_process_group(
        'gloo', init_method=meeting, rank=rank, world_size=world_size
    )
    label(root, 'labels', last)


def run_together(root: Path, world_size: int, last: int = FRAMES) -> list[int | None]:
    """Exit codes of the processes of a run."""
    ranks = [
        FORK.Process(target=run_rank, args=(root, rank, world_size, last))
        for rank in range(world_size)
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(120)
    return [process.exitcode for process in ranks]


def test_processes_and_a_kill_change_nothing(filmed):
    label(filmed, 'once')

    assert run_together(filmed, 1, last=CHUNK + 5) == [-signal.SIGKILL]
    # The first chunk was being written, or was already.
    assert LabelStore(filmed / 'labels').missing_chunks() in ([1, 2], [0, 1, 2])
    assert run_together(filmed, 2) == [0, 0]

    assert files(filmed / 'labels') == files(filmed / 'once')


def test_labels_of_whole_frames_are_not_continued_by_following(filmed):
    label(filmed, 'labels', dataset=dict(sources=FOLLOWED['sources']))

    with pytest.raises(UserError, match='boxes: the store has the whole image, this'):
        label(filmed, 'labels')
