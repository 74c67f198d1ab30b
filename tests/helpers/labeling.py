"""The real loop, store and data set; a stub stands for the network."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from mmdistill.engine.loops.label_loop import LabelLoop
from mmdistill.store import LabelStore

NUM_IMAGES = 7


class Teacher(torch.nn.Module):
    """Finds the corner of every box with all keypoints, and notes its work.

    Args:
        views: What it says of its views.
        seconds: How long a batch takes.
        diary: File that takes a line for every image.
    """

    ensemble = ()

    def __init__(
        self, views: str = 'one', seconds: float = 0, diary: Path | None = None
    ) -> None:
        super().__init__()
        self.module = torch.nn.Linear(1, 1)
        torch.nn.init.ones_(self.module.weight)
        torch.nn.init.ones_(self.module.bias)
        self.views = views
        self.seconds = seconds
        self.diary = diary
        self.batches: list[int] = []

    def provenance(self) -> dict[str, str]:
        return dict(views=self.views)

    def test_step(self, batch: dict) -> list:
        time.sleep(self.seconds)
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
        if self.diary is not None:
            with self.diary.open('a') as file:
                file.writelines(f'{s.path}\n' for s in batch['data_samples'])
        return batch['data_samples']


def run_loop(
    pile: Path, folder: Path, metainfo: dict, teacher: Teacher, **settings
) -> None:
    """Label a folder; settings of the data set and of the loader are named so."""
    dataset = dict(
        type='mmdistill.UnlabeledDataset',
        metainfo=metainfo,
        data_root=str(pile),
        **settings.pop('dataset', {}),
    )
    runner = SimpleNamespace(
        model=teacher,
        cfg=dict(load_from='teacher.pth'),
        visualizer=SimpleNamespace(),
        call_hook=lambda name, **arguments: None,
    )
    loader = dict(batch_size=2, num_workers=0, dataset=dataset)
    loader |= settings.pop('loader', {})
    options = dict(store=str(folder), chunk_size=3) | settings
    LabelLoop(runner, loader, **options).run()


class Broken(Teacher):
    """A teacher that gives NaN on the images whose names it is told."""

    def __init__(self, names: str) -> None:
        super().__init__()
        self.names = names

    def test_step(self, batch: dict) -> list:
        samples = super().test_step(batch)
        for sample in samples:
            if sample.path[0] in self.names:
                sample.pred_instances.keypoint_scores[:] = np.nan
        return samples


@pytest.fixture
def label(
    tmp_path, write_images, coco_metainfo
) -> Callable[..., tuple[Teacher, LabelStore]]:
    """Run the loop over seven images; returns the teacher and the store."""
    write_images(tmp_path / 'pile', *(f'{i}.png' for i in range(NUM_IMAGES)))

    def run(
        name: str = 'labels', teacher: Teacher | None = None, **settings
    ) -> tuple[Teacher, LabelStore]:
        teacher = teacher or Teacher()
        run_loop(tmp_path / 'pile', tmp_path / name, coco_metainfo, teacher, **settings)
        return teacher, LabelStore(tmp_path / name)

    return run
