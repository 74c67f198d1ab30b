"""Settings that suit a data set and a machine, each with its reason."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from mmdistill.errors import ConfigError
from mmdistill.recipes.keypoints import Keypoints
from mmdistill.recipes.labeled_set import TURNED, LabeledSet
from mmdistill.recipes.machine import Machine
from mmdistill.recipes.models import Model
from mmdistill.recipes.request import Overrides

Value = TypeVar('Value')

PADDING = 1.25
"""Factor by which MMPose enlarges a box to a crop."""
STRIDE = 4
"""Input pixels in a cell of the heatmaps."""
STEP = 32
"""Pixels that sides of the input are multiples of."""
SMALLEST, LARGEST = 96, 256
"""Longer sides of the input, pixels."""
MAGNIFIED = (1.0, 1.2, 1.4)
"""Scales of the views where crops have pixels that the input does not show."""
FRAME_CELLS = 12
"""Cells that an animal takes on the heatmap of a whole frame, to be found there."""
MAX_ENLARGED = 2.0
"""Factor beyond which an enlarged crop shows nothing more."""
LEANING = 0.25
"""Share of turned poses, or of boxes of the other shape, that counts."""
PASSES = 40
"""How often a labeled sample is seen in a training, where there are many."""
SHORTEST = 600
"""Iterations that a head which starts from nothing needs."""
LONGEST_CPU, LONGEST_GPU = 4000, 60000
"""Iterations that end within an hour on two cores, and within a day on a GPU."""
BATCH_CPU, BATCH_GPU = 32, 64
RATE = 5e-3
"""Learning rate of AdamW for a frozen stem and a batch of 32, as in `lspe/`."""


@dataclass(frozen=True)
class Recommended(Generic[Value]):
    """A value and why it was chosen.

    Attributes:
        value: The value.
        reason: Why.
    """

    value: Value
    reason: str


@dataclass(frozen=True)
class Settings:
    """All recommended settings of a recipe.

    Attributes:
        codec: Codec of the model, its input size among it.
        batch_size: Samples in a batch.
        iterations: Iterations of each training.
        lr: Learning rate; None for the config's own.
        flip: Whether images are mirrored.
        rotate_factor: Degrees of the augmentation's rotation.
        scale_factor: Factors of the augmentation's scale.
        scales: Scales of the views.
        rotations: Rotations of the views.
        whole_frame: How often a training sample is its whole frame; 0 for never.
        color: Whether colors are distorted.
        pck: Share of the box within which a keypoint counts as right.
        workers: Processes that read.
    """

    codec: Recommended[Mapping[str, Any]]
    batch_size: Recommended[int]
    iterations: Recommended[int]
    lr: Recommended[float]
    flip: Recommended[bool]
    rotate_factor: Recommended[int]
    scale_factor: Recommended[tuple[float, float]]
    scales: Recommended[tuple[float, ...]]
    rotations: Recommended[tuple[float, ...]]
    whole_frame: Recommended[float]
    color: Recommended[bool]
    pck: Recommended[float]
    workers: Recommended[int]


def recommend(
    labeled: LabeledSet,
    keypoints: Keypoints,
    model: Model,
    machine: Machine,
    stated: Overrides,
    searched: bool,
    teacher: Model | None = None,
) -> Settings:
    """Recommend all settings; those that are stated are taken.

    Args:
        labeled: The labeled training set.
        keypoints: Its keypoints.
        model: The model.
        machine: The machine.
        stated: The settings that are stated.
        searched: Whether the teacher has to find an animal on whole frames: boxes that
            are followed, or whole images much larger than what is in them.
        teacher: The teacher's model, where it is another one.

    Raises:
        ConfigError: If a stated setting is out of its range, or the model's input
            cannot have another size.
    """
    _check_stated(stated)
    batch_size = _batch_size(labeled, model, machine, stated)
    codec = _codec(labeled, keypoints, model, machine, stated, searched)
    return Settings(
        codec=codec,
        batch_size=batch_size,
        iterations=_iterations(labeled, model, machine, batch_size.value, stated),
        lr=learning_rate(model, batch_size.value, stated),
        flip=_flip(keypoints, stated),
        rotate_factor=_rotate_factor(labeled, keypoints),
        scale_factor=_scale_factor(searched),
        scales=_scales(labeled, codec.value['input_size'], searched, stated),
        rotations=_rotations(labeled, teacher or model, stated),
        whole_frame=_whole_frame(searched),
        color=_color(labeled),
        pck=_pck(keypoints),
        workers=Recommended(machine.workers, f'{machine.description}'),
    )


def _check_stated(stated: Overrides) -> None:
    for flag, value in (
        ('--batch-size', stated.batch_size),
        ('--iterations', stated.iterations),
        ('--every', stated.every),
    ):
        if value is not None and value < 1:
            raise ConfigError(f'{flag} must be a whole number from 1, got {value}')
    if stated.batch_size == 1:
        raise ConfigError(
            '--batch-size must be at least 2, a labeled and a pseudo-labeled sample, '
            'got 1'
        )
    if stated.lr is not None and not 0 < stated.lr < math.inf:
        raise ConfigError(f'--lr must be above 0, got {stated.lr}')
    if stated.labeled_share is not None and not 0 < stated.labeled_share < 1:
        raise ConfigError(
            f'--labeled-share must be between 0 and 1, got {stated.labeled_share}'
        )
    if stated.scales is not None and min(stated.scales) <= 0:
        raise ConfigError(f'--scales must be above 0, got {stated.scales}')
    if stated.input_size and any(s < STEP or s % STEP for s in stated.input_size):
        raise ConfigError(
            f'--input-size must be a width and a height in multiples of {STEP} pixels, '
            f'got {stated.input_size}'
        )


def _batch_size(
    labeled: LabeledSet, model: Model, machine: Machine, stated: Overrides
) -> Recommended[int]:
    if stated.batch_size is not None:
        return Recommended(stated.batch_size, 'stated')
    usual = BATCH_GPU if machine.gpus else BATCH_CPU
    own = model.own_schedule
    if own is not None:
        usual = own.batch_size
        if len(labeled) >= usual:
            return Recommended(usual, f'that of {model.base}')
    elif len(labeled) >= usual:
        return Recommended(usual, f'a usual one for {len(labeled)} instances')
    fitting = max(2, 2 ** int(math.log2(len(labeled))))
    return Recommended(
        fitting, f'{len(labeled)} labeled instances are fewer than a batch of {usual}'
    )


def _iterations(
    labeled: LabeledSet,
    model: Model,
    machine: Machine,
    batch_size: int,
    stated: Overrides,
) -> Recommended[int]:
    if stated.iterations is not None:
        return Recommended(stated.iterations, 'stated')
    if model.own_schedule is not None:
        return Recommended(model.own_schedule.iterations, f'those of {model.base}')
    passes = PASSES * len(labeled) / batch_size
    longest = LONGEST_GPU if machine.gpus else LONGEST_CPU
    rounded = 100 * math.ceil(passes / 100)
    of_passes = f'{PASSES} passes over {len(labeled)} labels, {batch_size} a step'
    if rounded < SHORTEST:
        return Recommended(
            SHORTEST,
            f'{of_passes}, are {rounded}; a head from nothing needs {SHORTEST}',
        )
    if rounded > longest:
        return Recommended(
            longest, f'{of_passes}, would be {rounded}; {longest} fit this machine'
        )
    return Recommended(rounded, of_passes)


def learning_rate(
    model: Model, batch_size: int, stated: Overrides
) -> Recommended[float]:
    """Recommend a learning rate, or take the stated one.

    Args:
        model: The model that is trained.
        batch_size: Samples in a batch.
        stated: The settings that are stated.
    """
    if stated.lr is not None:
        return Recommended(stated.lr, 'stated')
    if model.lite is not None:
        rate = float(f'{RATE * math.sqrt(batch_size / BATCH_CPU):.2g}')
        return Recommended(
            rate, 'that of configs/distill/lspe, times the root of the batch over 32'
        )
    optimizer = model.config.optim_wrapper.optimizer
    base = (model.config.get('auto_scale_lr') or {}).get('base_batch_size', 512)
    if model.own_schedule is not None:
        base = model.own_schedule.batch_size
    rate = float(f'{optimizer.lr * math.sqrt(batch_size / base):.2g}')
    return Recommended(
        rate,
        f'its own {optimizer.lr:g} for batches of {base}, times the root of the '
        f'batch over {base}',
    )


def _flip(keypoints: Keypoints, stated: Overrides) -> Recommended[bool]:
    if stated.flip is not None:
        return Recommended(stated.flip, 'stated')
    if keypoints.lonely:
        name = keypoints.names[keypoints.lonely[0]]
        return Recommended(
            False, f'{name} has a side and no partner that a mirror image would show'
        )
    if keypoints.pairs:
        return Recommended(True, f'pairs of left and right: {len(keypoints.pairs)}')
    if any(character.isdigit() for name in keypoints.names for character in name):
        return Recommended(
            False,
            'the names do not say which keypoints are left and which are right; '
            'with --pairs LEFT:RIGHT they are exchanged in mirror images',
        )
    return Recommended(True, 'no keypoint has a side: each is its own mirror image')


def _codec(
    labeled: LabeledSet,
    keypoints: Keypoints,
    model: Model,
    machine: Machine,
    stated: Overrides,
    searched: bool,
) -> Recommended[Mapping[str, Any]]:
    own = tuple(model.codec['input_size'])
    if not (model.has_heatmaps or model.lite is not None):
        if stated.input_size not in (None, own):
            raise ConfigError(
                f'the output of {model.base} does not grow with its input of '
                f'{own[0]}x{own[1]}, got --input-size {stated.input_size}: leave it '
                'out, or name a model with heatmaps'
            )
        return Recommended(model.codec, f'the input of {model.base} is fixed')
    if model.is_stated and stated.input_size in (None, own):
        aspect = f'boxes are {labeled.aspect:.2f} times as wide as high'
        return Recommended(model.codec, f'its own; {aspect}')
    if stated.input_size is not None:
        size = Recommended(stated.input_size, 'stated')
    else:
        size = _input_size(labeled, keypoints, machine, searched)
    width, height = size.value
    if model.lite is None:
        grid = model.codec['heatmap_size']
        cells = (width * grid[0] // own[0], height * grid[1] // own[1])
        codec = {**model.codec, 'input_size': size.value, 'heatmap_size': cells}
        return Recommended(codec, size.reason)
    return Recommended(lite_codec(width, height), size.reason)


def lite_codec(width: int, height: int, fine: int = 48) -> Mapping[str, Any]:
    """Return the codec of a network with EfficientNet-Lite.

    Args:
        width: Width of its input, pixels.
        height: Its height.
        fine: Cells of the longer side from which on peaks are as wide as MMPose has
            them at 64 cells; they are narrower on a coarse grid.
    """
    is_fine = max(width, height) >= fine * STRIDE
    return dict(
        type='UDPHeatmap',
        input_size=(width, height),
        heatmap_size=(width // STRIDE, height // STRIDE),
        sigma=2.0 if is_fine else 1.5,
        blur_kernel_size=11 if is_fine else 9,
    )


def _input_size(
    labeled: LabeledSet, keypoints: Keypoints, machine: Machine, searched: bool
) -> Recommended[tuple[int, int]]:
    """The input in which a cell is as fine as the labels are, in the boxes' shape."""
    ratio, shape = _shape(labeled, searched)
    if machine.gpus:
        longest, why = LARGEST, 'the GPU takes 256 pixels'
    else:
        longest, why = _cpu_side(labeled, keypoints, searched)
    short = max(STEP * 2, STEP * round(longest * min(ratio, 1 / ratio) / STEP))
    size = (longest, short) if ratio > 1 else (short, longest)
    return Recommended(size, f'{why}; {shape}')


def _shape(labeled: LabeledSet, searched: bool) -> tuple[float, str]:
    """Width over height of the input, and why."""
    if searched:
        width, height = labeled.median_size
        ratio = 4 / 3 if width > 1.15 * height else 3 / 4
        if abs(math.log(width / height)) < math.log(1.15):
            ratio = 1.0
        return ratio, f'the shape of the frames, {width:.0f}x{height:.0f}'
    wide = labeled.wide_share
    if min(wide, 1 - wide) >= LEANING:
        return 1.0, f'square: {100 * wide:.0f} % of the boxes are wider than high'
    aspect = labeled.aspect
    shape = f'boxes are {aspect:.2f} times as wide as high'
    if aspect < 1 / 1.15:
        return 3 / 4, shape
    return (4 / 3, shape) if aspect > 1.15 else (1.0, shape)


def _cpu_side(
    labeled: LabeledSet, keypoints: Keypoints, searched: bool
) -> tuple[int, str]:
    """The longer side on a CPU: no more cells than the labels' precision asks for."""
    sigma = float(np.mean(keypoints.sigmas))
    areas = labeled.boxes[:, 2:].prod(axis=1)
    # An annotator's error on the crop: sigma is stated for the root of the area.
    error = sigma * float(np.median(np.sqrt(0.53 * areas) / labeled.long_sides))
    cells = PADDING / error
    why = f'on a CPU, a heatmap cell is one sigma ({sigma:.3f} on average)'
    if searched:
        frame = PADDING * max(labeled.median_size) / labeled.median_side * FRAME_CELLS
        if frame > cells:
            cells, why = frame, f'an animal takes {FRAME_CELLS} cells of a whole frame'
    side = STEP * math.ceil(STRIDE * cells / STEP - 0.25)
    most = MAX_ENLARGED * PADDING * labeled.median_side
    if side > most and not searched:
        side = STEP * round(most / STEP)
        why = f'boxes have {labeled.median_side:.0f} pixels'
    return min(max(side, SMALLEST), LARGEST), why


def _rotate_factor(labeled: LabeledSet, keypoints: Keypoints) -> Recommended[int]:
    share = labeled.turned_share
    turned = f'{100 * share:.0f} % of the poses are turned by more than {TURNED:.0f}°'
    if share < LEANING:
        return Recommended(30, f'only {turned}')
    if keypoints.is_person:
        return Recommended(40, turned)
    return Recommended(180, f'{turned}, and an animal may lie in any direction')


def _scale_factor(searched: bool) -> Recommended[tuple[float, float]]:
    if searched:
        return Recommended((0.75, 1.25), 'boxes that are made of poses are rough')
    return Recommended((0.7, 1.3), 'boxes of a detector are rough')


def _scales(
    labeled: LabeledSet, input_size: Any, searched: bool, stated: Overrides
) -> Recommended[tuple[float, ...]]:
    if stated.scales is not None:
        return Recommended(stated.scales, 'stated')
    crop, side = PADDING * labeled.median_side, max(input_size)
    sizes = f'a crop has {crop:.0f} pixels, the input {side}'
    if searched:
        return Recommended(
            (0.8, 1.0), 'a box that is made of a pose may cut the animal off'
        )
    if crop >= max(MAGNIFIED) * side:
        return Recommended(MAGNIFIED, f'{sizes}: a magnified view shows more')
    return Recommended((0.9, 1.0, 1.1), f'{sizes}: magnifying shows little new')


def _rotations(
    labeled: LabeledSet, teacher: Model, stated: Overrides
) -> Recommended[tuple[float, ...]]:
    if stated.rotations and not teacher.takes_turned_views:
        raise ConfigError(
            f'views of {teacher.base} cannot be turned, got --rotations '
            f'{" ".join(f"{angle:g}" for angle in stated.rotations)}: leave it out'
        )
    if stated.rotations is not None:
        return Recommended(stated.rotations, 'stated')
    if not teacher.takes_turned_views:
        return Recommended((), 'vectors of an axis cannot be turned back')
    share = f'{100 * labeled.turned_share:.0f} % of the poses'
    if labeled.turned_share < LEANING:
        return Recommended((), f'bodies stand upright: {share} are turned')
    return Recommended((-30.0, 30.0), f'bodies lean: {share} are turned')


def _whole_frame(searched: bool) -> Recommended[float]:
    if searched:
        return Recommended(0.5, 'the teacher also finds the animal on whole frames')
    return Recommended(0.0, 'boxes are known')


def _color(labeled: LabeledSet) -> Recommended[bool]:
    few = len(labeled.images) < 100
    return Recommended(
        few, f'{len(labeled.images)} images show little variety of light'
    )


def _pck(keypoints: Keypoints) -> Recommended[float]:
    if keypoints.is_person:
        return Recommended(0.2, 'as usual for people')
    return Recommended(0.05, 'finer than for people, whose limbs are longer')
