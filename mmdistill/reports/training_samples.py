"""Pictures of training samples exactly as a student gets them.

Behind the whole pipeline, the student's noise among it: the pixels of the network's
input, the keypoints where the augmentation moved them, and how much each one counts.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mmdistill.config.detectors import SCOPE, is_detector
from mmdistill.datasets.sample_tags import WEIGHTS
from mmdistill.datasets.samplers.mixed_ratio_batch_sampler import (
    MixedRatioBatchSampler,
)
from mmdistill.datasets.seeded_dataset import SeededIndex, seeded, with_last_step
from mmdistill.errors import ConfigError, DataError
from mmdistill.reports.crops import BOX, IGNORED, draw_boxes, draw_pose
from mmdistill.reports.plots import KEPT, LABELED
from mmdistill.reports.skeleton import Skeleton

COLUMNS = 6
LEAST_INCHES = 6.0
"""Width that the titles need."""
CELL_INCHES = 1.75
MARGIN = 0.15
"""Width of a cell beside its sample, inches."""
TEXT_INCHES = 0.3
"""Height of the line below a sample."""
HEAD_INCHES = 0.42
"""Height of the title of a block, and of the picture's."""
LARGEST_DOT, SMALLEST_DOT = 46.0, 6.0
"""Areas of the dots of the highest weight in the picture, and of a weight near 0."""
OF_WORKERS = ('persistent_workers', 'prefetch_factor', 'pin_memory')
"""Settings of a loader that hold with worker processes alone."""


@dataclass(frozen=True)
class TrainingSample:
    """A sample as the network gets it.

    Attributes:
        image: The input before it is normalized, RGB, (H, W, 3), uint8.
        keypoints: Keypoints in pixels of the input, (K, 2).
        weights: Weights of their targets, (K,); 0 for those that count nothing.
        is_pseudo: Whether it is a pseudo-label.
        bboxes: Boxes of an image that trains a detector (x1, y1, x2, y2), pixels of the
            input, (n, 4).
        ignored: Boxes of it that are neither objects nor background, (m, 4).
    """

    image: np.ndarray
    keypoints: np.ndarray
    weights: np.ndarray
    is_pseudo: bool
    bboxes: np.ndarray | None = None
    ignored: np.ndarray | None = None


@dataclass(frozen=True)
class FirstSamples:
    """The first samples of a training.

    Attributes:
        labeled: Labeled ones.
        pseudo: Pseudo-labels; none in a supervised training.
        are_exact: Whether the training gets just these, augmentations among them; else
            they are drawn in the same way.
    """

    labeled: Sequence[TrainingSample]
    pseudo: Sequence[TrainingSample]
    are_exact: bool


def first_samples(config: Config, num: int) -> FirstSamples:
    """Draw the first samples of each kind that a training gets.

    Args:
        config: A training config of a pose model or a detector, as
            `stages.training_config` makes it.
        num: Number of samples of each kind.

    Raises:
        ConfigError: If its samples are not packed by `PackPoseInputs` behind a
            `TopdownAffine`.
        UserError: If a sample cannot be read, or there is none.
    """
    of_boxes = is_detector(config)
    init_default_scope(SCOPE if of_boxes else 'mmpose')
    show = _shown_boxes if of_boxes else _shown
    stated = (config.get('randomness') or {}).get('seed')
    seed = stated or 0
    loader = _loader(config, seed)
    has_batches = isinstance(loader.batch_sampler, MixedRatioBatchSampler)
    draws = _mixed_draws(loader, seed) if has_batches else _plain_draws(loader, seed)
    labeled: list[TrainingSample] = []
    pseudo: list[TrainingSample] = []
    for sample, is_pseudo in draws:
        kind = pseudo if is_pseudo else labeled
        if len(kind) < num:
            kind.append(show(sample(), is_pseudo))
        if len(labeled) == num and (len(pseudo) == num or not has_batches):
            break
    if not labeled:
        raise DataError(
            f'the train_dataloader of {config.filename} has no labeled sample to show; '
            'check its ann_file, or leave out --show'
        )
    return FirstSamples(labeled, pseudo, has_batches and stated is not None)


def _loader(config: Config, seed: int) -> Any:
    """The loader of a training, without worker processes."""
    loader = copy.deepcopy(config.train_dataloader.to_dict())
    for key in OF_WORKERS:
        loader.pop(key, None)
    if not is_detector(config):
        step = dict(type='PackPoseInputs', pack_transformed=True)
        loader['dataset'] = with_last_step(loader['dataset'], [step])
    return Runner.build_dataloader({**loader, 'num_workers': 0}, seed=seed)


def _mixed_draws(loader: Any, seed: int) -> Iterator[tuple[Any, bool]]:
    """Draws of a mixed training in its own order, each with whether it is pseudo."""
    batches = loader.batch_sampler
    batches.start_at(0, seed, endless=True)
    for number, batch in enumerate(batches):
        if batches.is_finishing(number):
            return
        num_labeled = batches.num_labeled_in(number)
        for position, draw in enumerate(batch):
            yield (lambda draw=draw: loader.dataset[draw]), position >= num_labeled


def _plain_draws(loader: Any, seed: int) -> Iterator[tuple[Any, bool]]:
    """Draws of a supervised training; its workers draw augmentations from others."""
    # An endless sampler has no first sample of an empty set.
    batches = loader.batch_sampler if len(loader.dataset) else ()
    for number, index in enumerate(itertools.chain.from_iterable(batches)):
        yield (lambda i=index, n=number: _drawn(loader.dataset, i, seed + n)), False


def _drawn(dataset: Any, index: int, seed: int) -> Any:
    if isinstance(index, SeededIndex):
        return dataset[index]
    with seeded(seed % 2**32):
        return dataset[index]


def _shown(sample: Any, is_pseudo: bool) -> TrainingSample:
    """What of a packed sample is drawn."""
    instances = sample['data_samples'].gt_instances
    if 'transformed_keypoints' not in instances:
        raise ConfigError(
            'training samples are shown where TopdownAffine moved their keypoints, and '
            'the pipeline of train_dataloader has none; leave out --show'
        )
    # Images are read as BGR, which the data preprocessor turns.
    pixels = sample['inputs'].numpy()[::-1].transpose(1, 2, 0)
    keypoints = np.asarray(instances.transformed_keypoints)[0]
    visible = np.reshape(instances.keypoints_visible[0], (len(keypoints), -1))[:, 0]
    labels = sample['data_samples'].gt_instance_labels
    key = next((key for key in WEIGHTS if key in labels), None)
    weights = visible if key is None else labels[key].numpy()
    return TrainingSample(
        image=np.clip(pixels, 0, 255).astype(np.uint8),
        keypoints=keypoints,
        # Targets of several levels have weights each.
        weights=weights.reshape(-1, len(keypoints)).max(axis=0),
        is_pseudo=is_pseudo,
    )


def _shown_boxes(sample: Any, is_pseudo: bool) -> TrainingSample:
    """What of a packed sample of a detector is drawn."""
    data = sample['data_samples']
    pixels = sample['inputs'].numpy()[::-1].transpose(1, 2, 0)
    ignored = data.get('ignored_instances')
    return TrainingSample(
        image=np.clip(pixels, 0, 255).astype(np.uint8),
        keypoints=np.zeros((0, 2)),
        weights=np.zeros(0),
        is_pseudo=is_pseudo,
        bboxes=_corners(data.gt_instances.bboxes),
        ignored=np.zeros((0, 4)) if ignored is None else _corners(ignored.bboxes),
    )


def _corners(bboxes: Any) -> np.ndarray:
    """Boxes of MMDetection, in a structure of its own or a tensor, (n, 4)."""
    tensor = bboxes if isinstance(bboxes, torch.Tensor) else bboxes.tensor
    corners: np.ndarray = tensor.float().numpy()
    return corners


def draw_samples(samples: FirstSamples, skeleton: Skeleton) -> Figure:
    """Draw samples of both kinds, dots as large as their keypoints weigh.

    Args:
        samples: The samples.
        skeleton: Links and colors of the keypoints.
    """
    blocks = [
        (title, color, chosen)
        for title, color, chosen in (
            ('Labeled samples', LABELED, samples.labeled),
            ('Pseudo-labels', KEPT, samples.pseudo),
        )
        if chosen
    ]
    every = [sample for _, _, chosen in blocks for sample in chosen]
    highest = max(float(sample.weights.max(initial=0)) for sample in every)
    height, width, _ = every[0].image.shape
    cell = (CELL_INCHES - MARGIN) * min(height / width, 2.0) + TEXT_INCHES
    columns = min(max(len(chosen) for _, _, chosen in blocks), COLUMNS)
    rows = [-(-len(chosen) // columns) for _, _, chosen in blocks]
    heights = [number * cell + HEAD_INCHES for number in rows]
    size = (max(columns * CELL_INCHES, LEAST_INCHES), sum(heights) + 2 * HEAD_INCHES)
    figure = Figure(size, layout='constrained')
    figure.suptitle(_title(samples.are_exact), fontsize=12)
    figure.supxlabel(_legend(every), fontsize=10)
    panels = figure.subfigures(len(blocks), 1, squeeze=False, height_ratios=heights)
    for panel, number, block in zip(panels.flat, rows, blocks, strict=True):
        title, color, chosen = block
        panel.suptitle(title, color=color, fontsize=13, fontweight='bold')
        grid = panel.subplots(number, columns, squeeze=False)
        for axes in grid.flat:
            axes.set_visible(False)
        for axes, sample in zip(grid.flat, chosen, strict=False):
            _draw_sample(axes, sample, skeleton, highest or 1.0)
            axes.spines[:].set(color=color, linewidth=1.5)
    return figure


def _legend(samples: Sequence[TrainingSample]) -> str:
    if samples[0].bboxes is None:
        return 'size of a dot: weight of its target; hollow: weight 0, not learned'
    if any(len(sample.ignored) for sample in samples if sample.ignored is not None):
        return 'boxes that are learned, and in orange those that are ignored'
    return 'boxes that are learned'


def _title(are_exact: bool) -> str:
    if are_exact:
        return 'The first samples of the training, as the student gets them'
    return 'Samples drawn as in the training, whose own augmentations are others'


def _draw_sample(
    axes: Axes, sample: TrainingSample, skeleton: Skeleton, highest: float
) -> None:
    axes.set_visible(True)
    height, width, _ = sample.image.shape
    axes.imshow(sample.image, interpolation='nearest')
    axes.set(xticks=[], yticks=[], xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    if sample.bboxes is not None:
        _draw_labeled_boxes(axes, sample)
        return
    counts = sample.weights > 0
    span = LARGEST_DOT - SMALLEST_DOT
    areas = SMALLEST_DOT + span * sample.weights / highest
    draw_pose(axes, sample.keypoints, counts, skeleton, areas)
    axes.set_xlabel(_weights_text(sample.weights), fontsize=8.5, labelpad=3)


def _draw_labeled_boxes(axes: Axes, sample: TrainingSample) -> None:
    """Draw the boxes of a sample of a detector, with their number below."""
    assert sample.bboxes is not None
    assert sample.ignored is not None
    draw_boxes(axes, sample.bboxes, BOX)
    draw_boxes(axes, sample.ignored, IGNORED)
    number = len(sample.bboxes)
    text = f'{number} box' + 'es' * (number != 1)
    if len(sample.ignored):
        text += f', {len(sample.ignored)} ignored'
    axes.set_xlabel(text, fontsize=8.5, labelpad=3)


def _weights_text(weights: np.ndarray) -> str:
    """Describe the weights of a sample in a few words."""
    counted = weights[weights > 0]
    if not len(counted):
        return f'none of {len(weights)} counts'
    low, high = (f'{value:.2g}' for value in (counted.min(), counted.max()))
    span = low if low == high else f'{low} to {high}'
    return f'{len(counted)} of {len(weights)}, weight {span}'
