"""The models of a distillation: which are trained by it, where, and by which config.

A checkpoint that is there is the user's own. One that is missing is made by the config
that its section names; without any, a teacher's by the config beside the recipe whose
`work_dir` is the folder of the checkpoint, else by `teacher.py` there. Its training
works in the folder that the checkpoint's path names.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmdistill.cli.arguments import load_config
from mmdistill.config.files import ROOTS
from mmdistill.config.recipe import Recipe, check_checkpoint
from mmdistill.engine.hooks.plain_model_hook import MODEL_FILE
from mmdistill.errors import CheckpointError, ConfigError
from mmdistill.plans.missing import config_of_folder
from mmdistill.stages.kept_student import STUDENT_FILE
from mmdistill.stages.step_contents import OF_THE_RUN, settings_text

STUDENT, BASELINE, TEACHER, DETECTOR = 'student', 'baseline', 'teacher', 'detector'
TEACHER_FILE, BASELINE_FILE = 'teacher.py', 'baseline.py'
"""Files beside a recipe."""


@dataclass(frozen=True)
class Model:
    """A model of a distillation.

    Attributes:
        name: What it is.
        checkpoint: Its weights, a file or an address.
        training: The config that trains it, as it is typed; None where it is not
            trained.
        work_dir: The folder of its training.
        options: Further words of its training's command.
        tested_by: The config that has its model and pipeline; None for the recipe's.

    >>> Model('teacher', 'work/a/iter_4.pth', 'a.py', Path('work/a')).step
    'teacher in work/a'
    """

    name: str
    checkpoint: str
    training: str | None = None
    work_dir: Path | None = None
    options: tuple[str, ...] = ()
    tested_by: str | None = None

    @property
    def step(self) -> str:
        """Name of the step that trains it: in another folder it is another one."""
        return step_name(self.name, self.work_dir)


def step_name(name: str, folder: Path | None) -> str:
    """Name of the step that trains a model in a folder.

    Args:
        name: The model.
        folder: The folder.
    """
    return f'{name} in {folder}'


def read_training(path: str) -> Config:
    """Read a config as the tools do.

    Args:
        path: The file as it was typed.

    Raises:
        UserError: If it cannot be read.
    """
    words: dict[str, Any] = dict(config=path, cfg_options={}, work_dir=None)
    return load_config(argparse.Namespace(**words, launcher='none', local_rank=0))


def teacher_models(
    recipe: Recipe, source: Path, is_ours: Callable[[str, Path], bool]
) -> list[Model]:
    """The teachers, of which those are trained whose checkpoint is not there.

    Args:
        recipe: The recipe.
        source: Its file; `teacher.py` is looked for beside it.
        is_ours: Whether a model, by its name and folder, was trained by this work
            before.

    Raises:
        UserError: If a checkpoint is missing and nothing says how to make it.
    """
    models: list[Model] = []
    sections = recipe.distill.teachers
    for number, section in enumerate(sections):
        name = TEACHER if len(sections) == 1 else f'{TEACHER}_{number + 1}'
        checkpoint = section.checkpoint or check_checkpoint(TEACHER, section)
        own = Model(name, checkpoint, tested_by=section.config)
        folder = Path(checkpoint).parent
        if _is_there(checkpoint) and not is_ours(name, folder):
            models.append(own)
            continue
        training = section.config or _teacher_config(recipe, source, checkpoint)
        if training is None:
            raise ConfigError(
                f'the teacher checkpoint {checkpoint} does not exist, and nothing says '
                f'how to train it: there is no {TEACHER_FILE} beside {source}; write '
                'one, or name its training config in distill.teacher.config'
            )
        if any(each.work_dir == folder for each in models):
            raise ConfigError(
                f'two teachers would be trained in {folder}; give each checkpoint of '
                'distill.teacher a folder of its own'
            )
        options: tuple[str, ...] = ()
        if any(each.training == training for each in models):
            # Of equal seeds they would be equal.
            options = ('--cfg-options', f'randomness.seed={number}')
        _check_training(TEACHER, training, checkpoint)
        models.append(
            Model(name, checkpoint, training, folder, options, section.config)
        )
    return models


def detector_model(
    recipe: Recipe, is_ours: Callable[[str, Path], bool]
) -> Model | None:
    """The detector, trained where its checkpoint is not there; None without one.

    Args:
        recipe: The recipe.
        is_ours: Whether a model, by its name and folder, was trained by this work
            before.

    Raises:
        UserError: If the checkpoint is missing and its config is not one to train.
    """
    section = recipe.distill.detector
    if section is None:
        return None
    checkpoint = section.checkpoint
    if not checkpoint or not section.config or '::' in section.config:
        return Model(DETECTOR, check_checkpoint(DETECTOR, section))
    folder = Path(checkpoint).parent
    if _is_there(checkpoint) and not is_ours(DETECTOR, folder):
        return Model(DETECTOR, checkpoint)
    _check_training(DETECTOR, section.config, checkpoint)
    return Model(DETECTOR, checkpoint, section.config, folder)


def default_baseline(recipe: Recipe, source: Path) -> str | None:
    """The baseline that is compared with unasked: where the teacher is no measure.

    A student need not be better than a teacher that has another, larger model.

    Args:
        recipe: The recipe.
        source: Its file.

    Returns:
        Empty for the one beside the recipe, None for none, as `baseline_model` takes
        it.
    """
    own = [each for each in recipe.distill.teachers if each.config is not None]
    return '' if own and _beside(source, BASELINE_FILE) else None


def baseline_model(source: Path, stated: str | None) -> Model | None:
    """The baseline: a supervised training to compare with.

    Args:
        source: The recipe's file; `baseline.py` is looked for beside it.
        stated: Its config; empty for that one, and None for no baseline.

    Raises:
        ConfigError: If there is no such config.
    """
    if stated is None:
        return None
    training = stated or _beside(source, BASELINE_FILE)
    if training is None:
        raise ConfigError(
            f'there is no {BASELINE_FILE} beside {source}; name the config of the '
            'baseline after --baseline, or leave it out'
        )
    folder = Path(read_training(training).work_dir)
    checkpoint = str(folder / MODEL_FILE)
    return Model(BASELINE, checkpoint, training, folder, tested_by=training)


def are_trained_alike(one: Model, other: Model) -> bool:
    """Whether two trainings are the same, seed and all, in other folders.

    Args:
        one: A model.
        other: Another one; where it is not trained, nothing is known of it.
    """
    if not (one.training and other.training) or one.options != other.options:
        return False
    first, second = (
        settings_text(read_training(model.training), OF_THE_RUN, model.work_dir)
        for model in (one, other)
        if model.training and model.work_dir
    )
    return first == second


def student_model(recipe: Recipe, file: str) -> Model:
    """The student; of several rounds the one that is kept.

    Args:
        recipe: The recipe.
        file: Its file, as it is typed.
    """
    folder = Path(recipe.config.work_dir)
    name = MODEL_FILE if recipe.distill.rounds is None else STUDENT_FILE
    return Model(STUDENT, str(folder / name), file, folder)


def check_folders(models: list[Model]) -> None:
    """Refuse two trainings in one folder.

    Args:
        models: All models.

    Raises:
        ConfigError: If there are.
    """
    trained: dict[Path, str] = {}
    for model in models:
        if model.work_dir is None:
            continue
        folder = model.work_dir.resolve()
        if folder in trained:
            raise ConfigError(
                f'{trained[folder]} and {model.name} would both be trained in '
                f'{model.work_dir}; give one of their configs another work_dir'
            )
        trained[folder] = model.name


def check_trained(model: Model) -> None:
    """Make sure that a training left the checkpoint that is asked for.

    Args:
        model: The model, which is trained.

    Raises:
        CheckpointError: If it did not.
    """
    if _is_there(model.checkpoint):
        return
    assert model.work_dir is not None
    left = sorted(path.name for path in model.work_dir.glob('*.pth'))
    if not left:
        raise CheckpointError(
            f'the training of {model.training} left no checkpoint in '
            f'{model.work_dir}; give default_hooks.checkpoint an interval'
        )
    raise CheckpointError(
        f'the training of {model.training} left {", ".join(left)} and not '
        f'{Path(model.checkpoint).name}; name one of these in '
        f'distill.{model.name.partition("_")[0]}.checkpoint'
    )


def _teacher_config(recipe: Recipe, source: Path, checkpoint: str) -> str | None:
    of_folder = config_of_folder(recipe.config, Path(checkpoint).parent)
    return of_folder or _beside(source, TEACHER_FILE)


def _is_there(checkpoint: str) -> bool:
    return '://' in checkpoint or Path(checkpoint).is_file()


def _beside(source: Path, name: str) -> str | None:
    """A file beside the recipe, as a command names it."""
    file = source.with_name(name)
    if not file.is_file():
        return None
    for root in ROOTS:
        # The recipes of mmdistill are found from any folder by the same path.
        if file.is_relative_to(root) and not file.is_relative_to(Path.cwd()):
            return str(file.relative_to(root))
    return str(file)


def _check_training(role: str, training: str, checkpoint: str) -> None:
    """Refuse a config that trains nothing, or never leaves the checkpoint."""
    config = read_training(training)
    schedule = config.get('train_cfg')
    if not schedule or not config.get('train_dataloader'):
        raise ConfigError(
            f'the {role} checkpoint {checkpoint} does not exist, and {training} cannot '
            f'train it: it has no train_dataloader or no train_cfg; name a training '
            f'config in distill.{role}.config, or a checkpoint that exists in '
            f'distill.{role}.checkpoint'
        )
    name = Path(checkpoint).name
    for unit, key in (('iter', 'max_iters'), ('epoch', 'max_epochs')):
        number, most = re.fullmatch(rf'{unit}_(\d+)\.pth', name), schedule.get(key)
        if number and most and int(number[1]) > most:
            raise ConfigError(
                f'the {role} checkpoint {checkpoint} is never reached: {training} '
                f'trains {key}={most}; name {unit}_{most}.pth in '
                f'distill.{role}.checkpoint'
            )
