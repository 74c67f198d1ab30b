"""Measured time and size of a few batches of each stage."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.logging import MessageHub
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, MODELS

from mmdistill.config.datasets import fit_converters, labeled_part
from mmdistill.config.schema import NMS_THR, SCORE_FLOOR, LabelingConfig
from mmdistill.engine.hooks.checkpoint_guard_hooks import (
    check_keypoint_count,
    load_teachers,
)
from mmdistill.engine.loops.rows import sample_to_row
from mmdistill.engine.loops.store_manifest import make_manifest
from mmdistill.errors import CheckpointError
from mmdistill.functional.box_fit import BoxFit
from mmdistill.functional.scoring import known_sigmas
from mmdistill.store import Candidates, ImageRow, LabelStore
from mmdistill.store.manifest import FORMAT, differences, identity
from mmdistill.store.parquet import encode
from mmdistill.store.schema import NONE_FINITE, rows_to_table

BATCHES = 3
"""Measured batches, after one for warm-up."""


@dataclass(frozen=True)
class LabelingTrial:
    """Cost of labeling a few images.

    Attributes:
        images: Measured images.
        views: Views of each box, those of the box fit included.
        work: Pixels of those views, in inputs at the model's own size.
        seconds: Time for all of them, reading included.
        num_bytes: Size of their rows in the store.
        candidates: Candidates of all images, image by image; empty where the teacher
            is not trained yet.
        differences: What an existing store was made with that labeling would not, a
            line each.
    """

    images: int
    views: int
    work: float
    seconds: float
    num_bytes: int
    candidates: Sequence[Candidates]
    differences: Sequence[str] = ()


def try_labeling(
    stage: Config, dataset: Any, batch_size: int, box_fit: BoxFit | None = None
) -> LabelingTrial:
    """Label a few batches, evenly spread over the unlabeled set, without a store.

    Args:
        stage: The config of stage 1. A teacher that is not trained yet runs with
            random weights, which takes as long.
        dataset: The unlabeled set, an `UnlabeledDataset`.
        batch_size: Images in a batch.
        box_fit: How boxes are fitted around poses; None for boxes used unchanged.

    Raises:
        UserError: If the teacher's checkpoint cannot be read or does not fit, no
            keypoint of a trained teacher is finite, the teacher has other keypoints
            than the labels, or images cannot be decoded as the config states.
    """
    init_default_scope(stage.get('default_scope', 'mmpose'))
    model = MODELS.build(copy.deepcopy(stage.model)).to(get_device()).eval()
    trained = load_teachers(stage, model)
    check_keypoint_count(model, dataset.metainfo['num_keypoints'])
    model.box_fit = box_fit
    if stage.test_cfg.get('reduced_decoding'):
        dataset.decode_reduced(model.sampling())
    stale = _store_differences(stage, model, dataset) if trained else []
    num_images = min(len(dataset), batch_size * (BATCHES + 1))
    numbers = np.linspace(0, len(dataset) - 1, num_images).astype(int)
    batches = np.array_split(numbers, max(1, round(num_images / batch_size)))
    metainfo = dataset.metainfo
    sigmas = known_sigmas(metainfo['sigmas'], metainfo['num_keypoints']).tolist()
    batch_rows, seconds = [], []
    for batch in batches:
        start = time.perf_counter()
        samples = model.test_step(pseudo_collate([dataset[i] for i in batch]))
        seconds.append(time.perf_counter() - start)
        batch_rows.append([sample_to_row(s, sigmas, 0.0, 1.0) for s in samples])
    if trained:
        _check_finite([row for rows in batch_rows for row in rows], stage.load_from)
    first = 1 if len(batches) > 1 else 0
    measured = [row for batch in batch_rows[first:] for row in batch]
    table = rows_to_table(measured, len(sigmas))
    return LabelingTrial(
        images=len(measured),
        views=model.views_per_box,
        work=model.work_per_box,
        seconds=sum(seconds[first:]),
        num_bytes=len(encode(table, 'a plan')),
        candidates=[row.candidates for batch in batch_rows if trained for row in batch],
        differences=stale,
    )


def _check_finite(rows: Sequence[ImageRow], teacher: str) -> None:
    """Refuse a teacher none of whose keypoints are finite."""
    broken = sum(row.reason == NONE_FINITE for row in rows)
    if broken and not any(len(row.candidates) for row in rows):
        raise CheckpointError(
            f'no keypoint is finite on any of {broken} tried images: the teacher in '
            f'{teacher} gives NaN or infinity. Give other weights in '
            'distill.teacher.checkpoint or, where it labels in float16, '
            "distill.views.precision='float32'"
        )


def _store_differences(stage: Config, model: Any, dataset: Any) -> list[str]:
    """List what an existing store was made with that the config does not state."""
    loop = stage.test_cfg
    store = LabelStore(loop.store)
    if not store.exists:
        return []
    default = dict(
        chunk_size=LabelingConfig.chunk_size, score_floor=SCORE_FLOOR, nms_thr=NMS_THR
    )
    options = {name: loop.get(name, value) for name, value in default.items()}
    manifest = make_manifest(model, dataset, **options, checkpoint=stage.load_from)
    wanted = identity({'format': FORMAT, **manifest})
    return differences(identity(store.manifest), wanted, complete=store.complete)


def time_training_step(config: Config) -> float:
    """Measure the seconds of a training step on labeled samples, reading included.

    Args:
        config: A training config; its model runs with random weights.

    Raises:
        ConfigError: If nothing is labeled.
    """
    init_default_scope(config.get('default_scope', 'mmpose'))
    labeled = labeled_part(fit_converters(config).train_dataloader.dataset)
    dataset = DATASETS.build(copy.deepcopy(labeled))
    model = MODELS.build(copy.deepcopy(config.model)).to(get_device()).train()
    size = config.train_dataloader.batch_size
    # Augmentations of whole batches ask for it.
    MessageHub.get_current_instance().update_info('iter', 0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)

    def step(number: int) -> None:
        samples = [dataset[(number * size + i) % len(dataset)] for i in range(size)]
        data = model.data_preprocessor(pseudo_collate(samples), training=True)
        losses, _ = model.parse_losses(model(**data, mode='loss'))
        losses.backward()
        optimizer.step()
        optimizer.zero_grad()

    return _median_seconds(step, range(BATCHES))


def _median_seconds(step: Callable[[int], Any], numbers: Sequence[int]) -> float:
    step(0)
    seconds = []
    for number in numbers:
        start = time.perf_counter()
        step(number)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))
