"""The configs of rounds: each round is a recipe of its own, made of the user's.

From the second round on the students of the one before are its teachers, boxes are
those that the first one found, unless these students find instances themselves, and the
round's own settings hold. Rounds meet in files:

    work_dir/rounds.json             what was done, and what it was made of
    work_dir/round_1/recipe.py       the recipe of the round, for all other tools
    work_dir/round_1/labels/         its label store
    work_dir/round_1/seed_0.py       the training of a student, for MMPose's own tools
    work_dir/round_1/seed_0/         its work folder
    work_dir/student.pth             the student that is kept
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmdistill.config.files import read_config
from mmdistill.config.kinds import unknown_key
from mmdistill.config.metainfo import order_keypoints
from mmdistill.config.recipe import LABELS, Recipe, round_folder
from mmdistill.config.round_options import RoundsConfig
from mmdistill.config.schema import DistillConfig
from mmdistill.engine.hooks.plain_model_hook import MODEL_FILE
from mmdistill.errors import ConfigError
from mmdistill.stages.holdout import holdout_files
from mmdistill.stages.teachers import teacher_config

OF_ALL_ROUNDS = ('teacher', 'store', 'unlabeled', 'detector', 'labeled', 'rounds')
"""Sections of `distill` that are the same in each round, or follow from the rounds."""
OF_BOXES = ('bbox_file', 'detections', 'follow', 'category_ids', 'max_boxes')
"""Settings of `distill.unlabeled` about boxes."""
OF_THE_RUN = (
    *('launcher', 'work_dir', 'randomness', 'log_level', 'env_cfg', 'visualizer'),
)
"""Settings of the recipe that also hold for a round with another config."""


class Rounds:
    """The rounds of a recipe: their files and configs.

    Args:
        recipe: A recipe with `distill.rounds`.
        files: Folder of `rounds.json`, by default the work folder; recipes are written
            below it, the stores and students stay where they are.

    Attributes:
        options: The section `distill.rounds`.
        root: The work folder.
        seeds: Seeds of the students of each round.
    """

    def __init__(self, recipe: Recipe, files: Path | None = None) -> None:
        assert recipe.distill.rounds is not None
        self.recipe = recipe
        self.options: RoundsConfig = recipe.distill.rounds
        self.root = Path(recipe.config.get('work_dir') or '.')
        self._files = files
        seed = (recipe.config.get('randomness') or {}).get('seed') or 0
        self.seeds = [seed + number for number in range(self.options.students)]

    def folder(self, number: int) -> Path:
        """The folder of a round.

        Args:
            number: Number of the round, from 1.
        """
        return round_folder(self.recipe.config, number)

    def store(self, number: int) -> Path:
        """The folder of a round's label store.

        Args:
            number: Number of the round, from 1.
        """
        if number == 1:
            return Path(self.recipe.distill.store)
        return self.folder(number) / LABELS

    def student(self, number: int, seed: int) -> Path:
        """The work folder of a student.

        Args:
            number: Number of the round, from 1.
            seed: Seed of the student.
        """
        return self.folder(number) / f'seed_{seed}'

    def checkpoint(self, number: int, seed: int) -> Path:
        """The weights of a student, a plain file.

        Args:
            number: Number of the round, from 1.
            seed: Seed of the student.
        """
        return self.student(number, seed) / MODEL_FILE

    def recipe_file(self, number: int) -> Path:
        """The file of a round's recipe.

        Args:
            number: Number of the round, from 1.
        """
        folder = self.folder(number)
        if self._files is not None:
            folder = self._files / folder.name
        return folder / 'recipe.py'

    def config(self, number: int) -> Config:
        """The recipe of a round, without rounds.

        Args:
            number: Number of the round, from 1.

        Raises:
            ConfigError: If its settings name what a round cannot have, or its config
                cannot be read.
        """
        settings = dict(self.options.of_round(number))
        config = self._base(settings.pop('config', None))
        section = copy.deepcopy(dict(self.recipe.config.distill))
        del section['rounds']
        section['store'] = str(self.store(number))
        if self.options.holdout is not None and section.get('leak_guard') is not False:
            section['leak_guard'] = [holdout_files(self.recipe)]
        config.distill = section
        _merge(config, settings, f'distill.rounds.settings[{number - 1}]')
        self._give_boxes(config.distill, number)
        if number > 1:
            config.distill.teacher = [
                dict(
                    checkpoint=str(self.checkpoint(number - 1, seed)),
                    config=str(self.recipe_file(number - 1)),
                )
                for seed in self.seeds
            ]
        config.resume = False
        return config

    def student_config(self, number: int, seed: int) -> Config:
        """The recipe of a round, for one of its students.

        Args:
            number: Number of the round, from 1.
            seed: Seed of the student.

        Raises:
            ConfigError: As `config`.
        """
        config = self.config(number)
        config.work_dir = str(self.student(number, seed))
        config.randomness = dict(config.get('randomness') or {}, seed=seed)
        if self.options.start == 'previous' and number > 1:
            config.load_from = str(self.checkpoint(number - 1, seed))
        return config

    def _base(self, path: str | None) -> Config:
        """The recipe's config, or another one that a round has instead."""
        recipe = self.recipe.config
        if path is None:
            return copy.deepcopy(recipe)
        config = read_config(path, 'the config of distill.rounds.settings')
        order_keypoints(config)
        for key in OF_THE_RUN:
            if key in recipe:
                config[key] = copy.deepcopy(recipe[key])
        return config

    def finds_instances(self, number: int) -> bool:
        """Whether the teachers of a round find instances themselves.

        Args:
            number: Number of the round, from 1.
        """
        # The models of MMPose take seconds to import, which choosing labels need not.
        from mmdistill.models.finders.build import finds_instances

        if number > 1:
            return finds_instances(self.config(number - 1).get('model') or {})
        config = self.recipe.config
        models = [
            teacher_config(config, teacher).get('model') or {}
            for teacher in self.recipe.distill.teachers
            if teacher.config is None or Path(teacher.config).is_file()
        ]
        return any(map(finds_instances, models))

    def _give_boxes(self, section: Any, number: int) -> None:
        """State where the boxes are: the first round finds them, the others read."""
        if number > 1 and self.finds_instances(number):
            _leave_boxes_out(section)
            return
        if number > 1 and self.finds_instances(1):
            raise ConfigError(
                f'distill.rounds: the students of round {number - 1} see crops, and '
                'there are no boxes for which they could label, since the teacher of '
                'round 1 finds instances itself; train students of whole images, or '
                'label in one round'
            )
        folder = self.recipe.distill.boxes_folder
        if folder is None:
            return
        if number == 1:
            section.detector.boxes = str(folder)
        else:
            section.detector = None
            section.unlabeled.detections = str(folder)


def _leave_boxes_out(section: Any) -> None:
    """Take out what is about boxes, which teachers of whole images do not take."""
    section.detector = None
    for key in OF_BOXES:
        section.unlabeled.pop(key, None)
    if section.get('labeling'):
        section.labeling.pop('refit_boxes', None)


def _merge(config: Config, settings: Mapping[str, Any], name: str) -> None:
    """Put the settings of a round into its config."""
    sections = [field.name for field in fields(DistillConfig)]
    for key, value in settings.items():
        if key in OF_ALL_ROUNDS:
            raise ConfigError(
                f'{name}.{key} cannot differ from round to round; state distill.{key}'
            )
        if key in sections:
            config.distill[key] = _merged(config.distill.get(key), value)
        elif key in config:
            config[key] = _merged(config[key], value)
        else:
            raise ConfigError(unknown_key(name, key, ['config', *sections, *config]))


def _merged(base: Any, changes: Any) -> Any:
    """A value with the changes of a round, as a config inherits from its base."""
    if not isinstance(changes, Mapping) or not isinstance(base, Mapping):
        return copy.deepcopy(changes)
    kept = {} if changes.get('_delete_') else base
    inner = {key: value for key, value in changes.items() if key != '_delete_'}
    merged = {key: _merged(kept.get(key), value) for key, value in inner.items()}
    return {**copy.deepcopy(dict(kept)), **merged}
