"""Measured cost of labeling by a detector, and what its student will see."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import CheckpointLoader
from mmpose.registry import DATASETS, HOOKS, MODELS

from mmdistill.config.recipe import Recipe
from mmdistill.config.schema import is_type
from mmdistill.engine.hooks.checkpoint_guard_hooks import DetectorGuardHook
from mmdistill.engine.loops.rows import boxes_to_row
from mmdistill.plans.text import format_duration, format_size
from mmdistill.selection.counts import LabeledCounts, build_labeled, count_labeled
from mmdistill.stages.label_config import label_config, labeled_config
from mmdistill.store.parquet import encode
from mmdistill.store.schema import BOX_AGREEMENT, rows_to_table

TRIED = 6
"""Images that are tried, after one for warm-up."""


@dataclass(frozen=True)
class PlannedBoxes:
    """What labeling by a detector takes, and what it is expected to give.

    Attributes:
        counts: Counts of the labeled set.
        images: Number of unlabeled images.
        views: Views of each image.
        seconds: Estimated seconds of the labeling.
        num_bytes: Estimated size of the store.
        over: Labeled images that count, 'all' or 'annotated'.
        store: Folder of the store.
    """

    counts: LabeledCounts
    images: int
    views: int
    seconds: float
    num_bytes: float
    over: str
    store: str

    @property
    def samples(self) -> LabeledCounts:
        """The labeled set, with its samples, which are images, as instances."""
        return replace(self.counts, instances=self.counts.annotated_images)

    @property
    def expected_images(self) -> int:
        """Unlabeled images with a kept box, if as many have one as of the labeled."""
        share = self.counts.annotated_images / max(self.counts.images, 1)
        return round(self.images * (share if self.over == 'all' else 1))

    def rows(self) -> list[tuple[str, str]]:
        """Rows of a plan, up to the pseudo-labels."""
        counts, expected = self.counts, self.counts.mean(self.over) * self.images
        labeled = f'{counts.instances} boxes on {counts.images} images'
        passes = f'{self.views} views of each image: {self.views * self.images}'
        return [
            ('labeled', f'{labeled} of {len(counts.categories)} categories'),
            ('unlabeled', f'{self.images} images'),
            ('forward passes', passes),
            (
                'labeling',
                f'about {format_duration(self.seconds)} on this machine with one '
                f'process ({self.seconds / self.images:.3g} s an image)',
            ),
            ('label store', f'about {format_size(self.num_bytes)} in {self.store}'),
            (
                'pseudo-labels',
                f'about {round(expected)} boxes, matched over {self.over} labeled '
                f'images, on about {self.expected_images} images',
            ),
        ]


def plan_boxes(recipe: Recipe) -> PlannedBoxes:
    """Count the sets of a detector's recipe, and label a few images as a trial.

    A teacher that is not trained yet runs with random weights: its time is that of a
    trained one, the size of its rows is not.

    Args:
        recipe: A recipe of a detector whose files exist.

    Raises:
        UserError: If the data or the teacher would stop the labeling.
    """
    stage = label_config(recipe, teacher_needed=False)
    for hook in stage.custom_hooks:
        HOOKS.build(hook)
    counts = count_labeled(build_labeled(labeled_config(recipe)))
    seconds, num_bytes, images = _try_labeling(stage)
    return PlannedBoxes(
        counts=counts,
        images=images,
        views=len(stage.test_dataloader.dataset.views),
        seconds=seconds * images,
        num_bytes=num_bytes * images,
        over=recipe.distill.selection.labeled_images,
        store=recipe.distill.store,
    )


def _try_labeling(stage: Config) -> tuple[float, float, int]:
    """Seconds and bytes of an image, and the number of images."""
    init_default_scope(stage.get('default_scope') or 'mmdet')
    dataset = copy.deepcopy(stage.test_dataloader.dataset)
    if dataset.images.get('leak_guard'):
        dataset.images.leak_guard.keep_hashes = False
    images = DATASETS.build(dataset)
    model = MODELS.build(copy.deepcopy(stage.model)).to(get_device()).eval()
    _load(stage, model)
    numbers = np.linspace(0, len(images) - 1, min(TRIED + 1, len(images))).astype(int)
    rows, seconds = [], []
    for number in numbers.tolist():
        start = time.perf_counter()
        rows += [boxes_to_row(each) for each in model.test_step([images[number]])]
        seconds.append(time.perf_counter() - start)
    measured = seconds[1:] or seconds
    size = len(encode(rows_to_table(rows, 0, (BOX_AGREEMENT,)), 'a plan'))
    return float(np.mean(measured)), size / len(rows), len(images)


def _load(stage: Config, model: object) -> None:
    """Load a teacher whose checkpoint is a file of this machine, and check it."""
    path = stage.load_from
    if not path or not Path(str(path)).is_file():
        return
    settings: Mapping = next(
        each for each in stage.custom_hooks if is_type(each, 'DetectorGuardHook')
    )
    guard = DetectorGuardHook(**{k: v for k, v in settings.items() if k != 'type'})
    guard.check(model, CheckpointLoader.load_checkpoint(path, map_location='cpu'))
    guard.set_classes(model)
