"""The config of a training whose samples, or pseudo-labeled ones alone, are noised.

Noise is for the student: a label is made of an easy view and learned from a hard one,
else the student learns what its teacher does and no more (Noisy Student, Xie et al.,
CVPR 2020; for poses PoseCons, Xie et al., ICCV 2021).
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log
from mmpose.datasets.transforms import RandomBBoxTransform

from mmdistill.config.datasets import has_pseudo
from mmdistill.config.noise_options import NoiseConfig
from mmdistill.config.recipe import Recipe
from mmdistill.config.schema import is_type
from mmdistill.datasets.noise_transforms import IMAGENET_MEAN
from mmdistill.errors import ConfigError
from mmdistill.stages.pipeline_switch import switches_pipeline
from mmdistill.stages.stochastic_depth import with_drop_path
from mmdistill.stages.train_config import student_config

HOOK, SWITCH = 'FeatureDropoutHook', 'NoiseSwitch'
COLOR = 'YOLOXHSVRandomAug'
COLORS = (COLOR, 'PhotometricDistortion')
"""Transforms of MMPose that vary colors. The second one has a broken contrast."""
GEOMETRY = 'RandomBBoxTransform'
CROP, TARGET = 'TopdownAffine', 'GenerateTarget'
HOST_GEOMETRY = inspect.signature(RandomBBoxTransform).parameters
"""Arguments of the host's geometry, whose defaults most of its pipelines take."""


def noised_student_config(recipe: Recipe) -> Config:
    """The config of stage 2 with the noise that its recipe states, or none.

    Args:
        recipe: The recipe.

    Raises:
        UserError: See `student_config` and `with_noise`.
    """
    config, noise = student_config(recipe), recipe.distill.noise
    return config if noise is None else with_noise(config, noise)


def with_noise(config: Config, noise: NoiseConfig) -> Config:
    """The config of a training whose samples are noised.

    Occlusion and color come directly before the target is generated, and the box
    varies at least as far as `noise` says: in each pipeline that samples of its
    sources end in, and in the one that a hook switches to. Features are dropped by a
    hook, and stochastic depth has another rate. A pipeline that states a `NoiseSwitch`
    itself stays as it is.

    Args:
        config: A training config: a student's, or a purely supervised one, which
            needs sources='all'.
        noise: The noise.

    Returns:
        The config; the original is unchanged.

    Raises:
        ConfigError: If a pipeline cuts no crops of instances, the noise is for
            pseudo-labels and there are none, images are not of 8 bits where colors
            are to vary, or the model has no stochastic depth.
    """
    config = copy.deepcopy(config)
    dataset = (config.get('train_dataloader') or {}).get('dataset')
    if not dataset:
        raise ConfigError(
            f'noise is for a training, and {config.filename} has no train_dataloader '
            'with a dataset'
        )
    if noise.sources == 'pseudo' and not has_pseudo(dataset):
        raise ConfigError(
            "noise of sources='pseudo' is for pseudo-labels, and train_dataloader "
            "has none; state sources='all' for a training on labels alone"
        )
    changes: dict[str, None] = {}
    if noise.occludes or noise.color or noise.geometry:
        pixels = _mean_pixel(config.get('model') or {})
        for owner, key, name in _pipelines(config, noise.sources):
            owner[key], done = _noised(owner[key], noise, pixels, name)
            changes.update(dict.fromkeys(done))
    hooks = config.get('custom_hooks') or []
    if noise.feature_dropout and not any(is_type(hook, HOOK) for hook in hooks):
        config.custom_hooks = [*hooks, _hook(noise)]
        changes[f'dropout of {noise.feature_dropout:g} of the feature channels'] = None
    if noise.drop_path is not None:
        config.model = with_drop_path(config.model, noise.drop_path)
        changes[f'stochastic depth {noise.drop_path:g} of the whole batch'] = None
    whose = 'pseudo-labeled' if noise.sources == 'pseudo' else 'all'
    listed = ', '.join(changes) or 'none'
    print_log(f'noise of {whose} samples in training: {listed}', logger='current')
    return config


def _pipelines(config: Config, sources: str) -> Iterator[tuple[Any, str, str]]:
    """Iterate over the owners of the pipelines to noise, with key and name."""
    dataset = config.train_dataloader.dataset
    for owner in _owners(dataset):
        if sources == 'all' or has_pseudo(owner):
            yield owner, 'pipeline', str(owner.get('type'))
    for hook in config.get('custom_hooks') or ():
        if switches_pipeline(hook):
            yield hook, 'switch_pipeline', str(hook['type'])


def _owners(dataset: Any) -> Iterator[Any]:
    """Iterate over the configs whose pipelines make the final samples."""
    # The pipeline of a SeededDataset states changes of those within.
    if not is_type(dataset, 'SeededDataset') and dataset.get('pipeline'):
        yield dataset
        return
    inner = [dataset['dataset']] if 'dataset' in dataset else dataset.get('datasets')
    if inner is None:
        raise ConfigError(
            f'the data set {dataset.get("type")} has no pipeline to put noise into; '
            'state its pipeline, or leave the noise out'
        )
    for member in inner:
        yield from _owners(member)


def _noised(
    pipeline: Sequence[Any], noise: NoiseConfig, mean: Sequence[float], owner: str
) -> tuple[list[Any], list[str]]:
    """A pipeline with noise, and what was put into it, in words."""
    steps = list(pipeline)
    if _place(steps, SWITCH) is not None:
        return steps, []
    crop, target = _place(steps, CROP), _place(steps, TARGET)
    if crop is None or target is None or target < crop:
        names = ', '.join(str(step.get('type')) for step in steps)
        raise ConfigError(
            f'noise needs a pipeline of crops, with {CROP} and then {TARGET}: that of '
            f'{owner} has {names or "no steps"}; leave the noise out, or set its '
            'occlusion=None, color=False, scale_factor=(1, 1) and rotate_factor=0'
        )
    pixels, done = _pixel_steps(steps, noise, mean, owner)
    if pixels:
        steps.insert(target, _switch(noise, pixels))
    return _widened(steps, crop, noise, done)


def _pixel_steps(
    steps: Sequence[Any], noise: NoiseConfig, mean: Sequence[float], owner: str
) -> tuple[list[dict[str, Any]], list[str]]:
    """The steps that change pixels, and what they do, in words."""
    pixels: list[dict[str, Any]] = []
    done: list[str] = []
    if noise.color and all(_place(steps, name) is None for name in COLORS):
        _check_bits(steps, owner)
        # It writes into the image: here that is the crop, which nobody else has.
        pixels.append(dict(type=f'mmpose.{COLOR}'))
        done.append('color')
    if noise.occlusion is not None and noise.occludes:
        settings = dict(asdict(noise.occlusion), fill=list(mean))
        pixels.append({'type': 'mmdistill.JointOcclusion', **settings})
        done.append('occlusion of joints')
    return pixels, done


def _widened(
    steps: list[Any], crop: int, noise: NoiseConfig, done: list[str]
) -> tuple[list[Any], list[str]]:
    """The steps with a box that varies at least as far as the noise says."""
    if not noise.geometry:
        return steps, done
    place = _place(steps[:crop], GEOMETRY)
    if place is None:
        step: dict[str, Any] = dict(type=f'mmpose.{GEOMETRY}', shift_prob=0.0)
        wider: dict[str, Any] = dict(
            scale_factor=list(noise.scale_factor), rotate_factor=noise.rotate_factor
        )
        steps.insert(crop, _switch(noise, [{**step, **wider}]))
    else:
        step = steps[place]
        wider = _wider(step, noise)
        if not wider:
            return steps, done
        steps[place] = _switch(noise, [{**step, **wider}], [step])
    ranges = []
    if 'scale_factor' in wider:
        low, high = wider['scale_factor']
        ranges.append(f'boxes scaled by {low:g} to {high:g}')
    if 'rotate_factor' in wider:
        ranges.append(f'turned by up to {wider["rotate_factor"]:g} degrees')
    return steps, [*done, *ranges]


def _wider(step: Mapping[str, Any], noise: NoiseConfig) -> dict[str, Any]:
    """The settings of a geometry that the noise makes wider.

    One that the pipeline never draws, by a probability of 0, stays: there it is part
    of what the keypoints mean, as in sets where up is up.
    """
    wider: dict[str, Any] = {}
    low, high = _stated_or_default(step, 'scale_factor')
    least, greatest = noise.scale_factor
    scaled = [min(low, least), max(high, greatest)]
    scales = (least, greatest) != (1, 1) and _stated_or_default(step, 'scale_prob') > 0
    if scales and scaled != [low, high]:
        wider['scale_factor'] = scaled
    angle, turns = (_stated_or_default(step, f'rotate_{k}') for k in ('factor', 'prob'))
    if turns > 0 and noise.rotate_factor > angle:
        wider['rotate_factor'] = noise.rotate_factor
    return wider


def _stated_or_default(step: Mapping[str, Any], name: str) -> Any:
    return step.get(name, HOST_GEOMETRY[name].default)


def _switch(
    noise: NoiseConfig, noised: Sequence[Any], clean: Sequence[Any] = ()
) -> dict[str, Any]:
    return dict(
        type=f'mmdistill.{SWITCH}',
        sources=noise.sources,
        noised=list(noised),
        clean=list(clean),
    )


def _place(steps: Sequence[Any], name: str) -> int | None:
    """Number of the first step of a type."""
    return next((i for i, step in enumerate(steps) if is_type(step, name)), None)


def _check_bits(steps: Sequence[Any], owner: str) -> None:
    """Refuse floating-point images, of which the host's color step makes gray ones."""
    for step in steps:
        if step.get('to_float32'):
            raise ConfigError(
                f'noise of colors needs images of 8 bits: {step.get("type")} in the '
                f'pipeline of {owner} has to_float32={step["to_float32"]}; leave that '
                'out, or set color=False of the noise'
            )


def _mean_pixel(model: Mapping[str, Any]) -> list[float]:
    """The color that the network sees as 0, in the order of the loaded image."""
    preprocessor = model.get('data_preprocessor') or {}
    mean = preprocessor.get('mean')
    if mean is None:
        return list(IMAGENET_MEAN)
    flips = preprocessor.get('bgr_to_rgb') or preprocessor.get('rgb_to_bgr')
    return [float(value) for value in (reversed(mean) if flips else mean)]


def _hook(noise: NoiseConfig) -> dict[str, Any]:
    return dict(
        type=f'mmdistill.{HOOK}', rate=noise.feature_dropout, sources=noise.sources
    )
