"""What arms train: lengths of students, and configs of supervised arms like them.

A student may be noised, finish on labels alone and average its weights. Supervised
trainings to compare with get the same: their configs are written into the work folder.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmengine.config import Config, DictAction

from mmdistill import stages
from mmdistill.cli.arguments import override_settings
from mmdistill.config.recipe import Recipe as Distillation
from mmdistill.config.schema import DistillConfig
from mmdistill.config.text import write_config
from mmdistill.utils.files import json_sha256
from tools.benchmarks.gap_recovery.arms import (
    Arm,
    fitting_options,
    ingredient_options,
    joined,
    shared_ingredients,
)
from tools.benchmarks.gap_recovery.plan import (
    Recipe,
    Stack,
    Written,
    candidate_iterations,
    length_options,
)
from tools.benchmarks.gap_recovery.recipe import keys_of

STUDENT = 'student.pth'
"""What a training of several rounds ends with."""
Configs = Mapping[str, Config]
"""The configs of a recipe by their path."""


def distill_of(
    recipe: Recipe,
    configs: Configs,
    ingredients: Sequence[str],
    student_options: Sequence[str],
) -> DistillConfig:
    """Read the section of a student with some ingredients.

    Args:
        recipe: The configs' properties.
        configs: The configs.
        ingredients: Names of the ingredients; those of labels change nothing.
        student_options: Settings of students, each ``key=value``.

    Raises:
        UserError: If the section states what cannot be.
    """
    stated = recipe.ingredients
    options = ingredient_options(ingredients, stated, of_labels=False)
    options += fitting_options(ingredients, student_options)
    return Distillation.of(_changed(configs[recipe.student], options)).distill


def student_iterations(recipe: Recipe, configs: Configs, distill: DistillConfig) -> int:
    """Compute the iterations of a student's trainings: its finish, its rounds.

    Args:
        recipe: The configs' properties.
        configs: The configs.
        distill: The student's section. Settings of single rounds are not looked at.
    """
    options = length_options(recipe, recipe.iterations)
    config = _changed(configs[recipe.baseline], options)
    length = int(stages.supervised_config(config, distill).train_cfg.max_iters)
    rounds = distill.rounds
    return length * (rounds.number * rounds.students if rounds else 1)


def write_stack(
    recipe: Recipe,
    configs: Configs,
    arms: Sequence[Arm],
    student_options: Sequence[str],
    folder: Path,
) -> Stack | None:
    """Write the configs of supervised trainings with the ingredients of students.

    Their names hold a hash of their content, so that no other comparison in the same
    work folder replaces one that is trained on.

    Args:
        recipe: The configs' properties.
        configs: The configs.
        arms: The students.
        student_options: Settings of students, each ``key=value``.
        folder: Where they are written.

    Returns:
        The configs; None where no student has any of these.
    """
    ingredients = shared_ingredients(arms)
    if not ingredients:
        return None
    distill = distill_of(recipe, configs, ingredients, student_options)
    trainings = [
        (recipe.baseline, each) for each in candidate_iterations(recipe.iterations)
    ]
    if recipe.upper_bound:
        trainings.append((recipe.upper_bound, recipe.iterations))
    stacked = {}
    for path, length in trainings:
        config = _changed(configs[path], length_options(recipe, length))
        config = stages.supervised_config(config, distill)
        content = config.to_dict()
        name = joined(f'{Path(path).stem}_{length}', ingredients)
        file = folder / f'{name}_{json_sha256(content)[:12]}.py'
        if not file.is_file():
            write_config(config, file)
        iterations = int(config.train_cfg.max_iters)
        labeled = keys_of(config, recipe.ann_file)
        stacked[path, length] = Written(str(file), content, iterations, labeled)
    return Stack(ingredients, stacked)


def _changed(config: Config, options: Sequence[str]) -> Config:
    """Return a config with settings, as the tools understand them."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='*', action=DictAction, default={})
    arguments = parser.parse_args(['--cfg-options', *options])
    config = copy.deepcopy(config)
    override_settings(config, arguments.cfg_options)
    return config
