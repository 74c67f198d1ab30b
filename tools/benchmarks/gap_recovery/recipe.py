"""Reading of the configs, and subsets of the labeled set."""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmdistill.cli.arguments import load_config
from mmdistill.config.datasets import is_pseudo
from mmdistill.config.detectors import is_detector
from mmdistill.config.files import recipe_file
from mmdistill.config.schema import dicts_within
from mmdistill.errors import ConfigError
from mmdistill.utils.files import read_json, write_json
from tools.benchmarks.gap_recovery.arms import INGREDIENTS, LARGE_TEACHER, Arm
from tools.benchmarks.gap_recovery.plan import (
    Recipe,
    candidate_iterations,
    num_teachers,
)

DATASET = 'train_dataloader.dataset'


def read_recipe(
    student: str,
    baseline: str | None = None,
    upper_bound: str | None = None,
    iterations: int | None = None,
    has_upper_bound: bool = True,
) -> tuple[Recipe, dict[str, Config]]:
    """Read the configs.

    Args:
        student: Path of the student's config.
        baseline: Path of the baseline's; `baseline.py` beside it if None.
        upper_bound: Path of the upper bound's; `upper_bound.py` beside it if None.
        iterations: Iterations of the student; the config's if None.
        has_upper_bound: Whether there is an upper bound: the true labels of the
            unlabeled images may be unknown.

    Returns:
        What the plan needs, and the configs by their path.

    Raises:
        UserError: If a config is missing, counts epochs, they differ in length, a
            schedule to compare would end in its warm-up, or the student's config
            states its mix or configs of several teachers.
    """
    beside = Path(student).parent
    baseline = baseline or str(beside / 'baseline.py')
    paths = [student, baseline]
    if has_upper_bound:
        upper_bound = upper_bound or str(beside / 'upper_bound.py')
        _check_upper_bound(upper_bound)
        paths.append(upper_bound)
    configs = {path: _read(path) for path in paths}
    lengths = {path: _length(path, config) for path, config in configs.items()}
    if len(set(lengths.values())) > 1:
        raise ConfigError(f'the configs must have the same max_iters, got {lengths}')
    _check_mix_unstated(student, configs[student])
    stated = lengths[student]
    _check_warm_up(configs[student], stated, iterations or stated)
    ann_file = configs[baseline].train_dataloader.dataset.ann_file
    distill = configs[student].get('distill') or {}
    teacher = _teacher_config(distill)
    if teacher is not None:
        configs[teacher] = _read(teacher)
    labeled = {path: keys_of(each, ann_file) for path, each in configs.items()}
    of_rounds = _round_configs(distill)
    for key, path in of_rounds.items():
        configs.setdefault(path, _read(path))
        own = keys_of(configs[path], ann_file)
        labeled[student] += [f'{key}.{each}' for each in own]
    recipe = Recipe(
        student=student,
        baseline=baseline,
        upper_bound=upper_bound if has_upper_bound else None,
        iterations=iterations or stated,
        stated=stated,
        schedulers=_schedulers(configs[student], stated),
        labeled=labeled,
        ann_file=ann_file,
        ingredients=_stated_ingredients(distill),
        teachers=_num_teachers(student, distill),
        teacher=teacher,
        teacher_iterations=_length(teacher, configs[teacher]) if teacher else 0,
        detects=bool(distill.get('detector')) and not distill.detector.get('boxes'),
        of_boxes=is_detector(configs[student]),
        round_configs=[*of_rounds.values()],
    )
    return recipe, configs


def keys_of(config: Mapping[str, Any], ann_file: str) -> list[str]:
    """List the keys of the training sets with an annotation file.

    Args:
        config: A training config.
        ann_file: The file.
    """
    return [key for key, part in _sources(config) if part.get('ann_file') == ann_file]


def check_teachers(recipe: Recipe, arms: Sequence[Arm]) -> None:
    """Refuse arms whose teachers the recipe does not have.

    Args:
        recipe: The recipe.
        arms: The students.

    Raises:
        ConfigError: If an arm has a teacher of a config of its own and the recipe
            states none, or several teachers beside it: on a command line, which labels
            are made by, a list of teachers has no configs.
    """
    large = [arm for arm in arms if LARGE_TEACHER in arm.ingredients]
    if large and recipe.teacher is None:
        raise ConfigError(
            f'{recipe.student} states no distill.teacher.config, so there is no large '
            f'teacher: name --arms without {", ".join(arm.name for arm in large)}'
        )
    several = [arm.name for arm in large if num_teachers(recipe, arm) > 1]
    if several:
        raise ConfigError(
            'labels are of a large teacher or of two teachers, not of both: name '
            f'--arms without {", ".join(several)}'
        )


def write_subset(baseline: Mapping[str, Any], number: int, path: Path) -> None:
    """Write the annotations of a random subset of the labeled images, once.

    Args:
        baseline: Config that trains on the labeled set alone.
        number: How many images.
        path: The COCO json to write.

    Raises:
        UserError: If there are fewer images.
    """
    dataset = baseline['train_dataloader']['dataset']
    source = Path(dataset.get('data_root') or '', dataset['ann_file'])
    write_json(path, subset(read_json(source, 'the labeled set'), number))


def subset(coco: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Draw images of a COCO json with their annotations, reproducibly.

    A smaller subset is part of a larger one.

    Args:
        coco: The json.
        number: How many images.

    Raises:
        UserError: If there are fewer images.
    """
    images = list(coco['images'])
    if not 1 <= number <= len(images):
        raise ConfigError(
            f'--labeled must be between 1 and {len(images)} images, got {number}'
        )
    random.Random(0).shuffle(images)
    kept = {image['id'] for image in images[:number]}
    return dict(
        coco,
        images=[image for image in coco['images'] if image['id'] in kept],
        annotations=[a for a in coco['annotations'] if a['image_id'] in kept],
    )


def _read(path: str) -> Config:
    arguments = argparse.Namespace(
        config=path, cfg_options={}, launcher='none', local_rank=0, work_dir=None
    )
    config = load_config(arguments)
    if isinstance(config.get('param_scheduler'), dict):
        raise ConfigError(f'param_scheduler of {path} must be a list of schedulers')
    return config


def _length(path: str, config: Mapping[str, Any]) -> int:
    if 'max_iters' not in config['train_cfg']:
        raise ConfigError(
            f'{path} must count iterations: train_cfg.max_iters is missing'
        )
    return int(config['train_cfg']['max_iters'])


def _check_upper_bound(path: str) -> None:
    try:
        recipe_file(path)
    except ConfigError:
        raise ConfigError(
            f'the training on true labels {path} does not exist; name another one with '
            '--upper-bound, or compare without one by --no-upper-bound'
        ) from None


def _check_mix_unstated(path: str, config: Mapping[str, Any]) -> None:
    """Refuse a stated mix: the arms change `distill`, which it would not follow."""
    stated = [key for key, each in _sources(config) if is_pseudo(each)]
    if stated:
        raise ConfigError(
            f'{path} must train on its labeled set alone, distill adds the '
            f'pseudo-labels; it states some at {stated[0]}'
        )


def _check_warm_up(config: Mapping[str, Any], stated: int, iterations: int) -> None:
    ends = [each.get('end', stated) for each in config.get('param_scheduler') or []]
    warm_up = max((end for end in ends if end != stated), default=0)
    shortest = min(candidate_iterations(iterations))
    if shortest <= warm_up:
        raise ConfigError(
            f'a schedule of {shortest} iterations would end in its warm-up of '
            f'{warm_up}: give --iterations more than {iterations}'
        )


def _schedulers(config: Mapping[str, Any], length: int) -> dict[str, Any]:
    """Return settings that end with the training, by their key in the config."""
    settings: dict[str, Any] = {}
    for i, scheduler in enumerate(config.get('param_scheduler') or []):
        if scheduler.get('end', length) == length:
            for key in ('milestones', 'end', 'T_max', 'total_steps'):
                if key in scheduler:
                    settings[f'param_scheduler.{i}.{key}'] = scheduler[key]
    return settings


def _stated_ingredients(distill: Mapping[str, Any]) -> list[str]:
    """List the ingredients of the comparison that a section states."""
    stated = []
    for name, each in INGREDIENTS.items():
        value: Any = dict(distill=distill)
        for key in each.key.split('.'):
            value = value.get(key) if isinstance(value, Mapping) else None
        if name == 'two_teachers':
            value = isinstance(value, (list, tuple)) and len(value) > 1
        elif name == 'resolutions':
            value = [*(value or [1.0])] != [1.0]
        else:
            value = value is not None
        stated += [name] if value else []
    return stated


def _num_teachers(path: str, distill: Mapping[str, Any]) -> int:
    """Count the teachers that a section states."""
    teachers = distill.get('teacher') or {}
    if not isinstance(teachers, (list, tuple)):
        return 1
    parts = dicts_within(teachers)
    if any(part.get('config') is not None for part in parts):
        raise ConfigError(
            f'{path} states distill.teacher.config for each of its teachers: the '
            'comparison trains them by the baseline, let the recipe state none'
        )
    return len(teachers)


def _teacher_config(distill: Mapping[str, Any]) -> str | None:
    """Path of the config of a section's only teacher, where it states one."""
    teacher = distill.get('teacher')
    return teacher.get('config') if isinstance(teacher, Mapping) else None


def _round_configs(distill: Mapping[str, Any]) -> dict[str, str]:
    """Paths of the configs that rounds have instead, by the key of their settings."""
    settings = (distill.get('rounds') or {}).get('settings') or []
    return {
        f'distill.rounds.settings.{i}': each['config']
        for i, each in enumerate(settings)
        if each.get('config') is not None
    }


def _sources(config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Iterate over the training sets, those within others too, by their keys."""
    yield from _within(DATASET, config['train_dataloader']['dataset'])


def _within(key: str, dataset: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield key, dataset
    if 'dataset' in dataset:
        yield from _within(f'{key}.dataset', dataset['dataset'])
    for i, each in enumerate(dataset.get('datasets') or []):
        yield from _within(f'{key}.datasets.{i}', each)
