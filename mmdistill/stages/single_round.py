"""One round by hand, in this process or in those of any launcher."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmengine.config import Config

from mmdistill.config.recipe import Recipe
from mmdistill.config.text import write_config
from mmdistill.errors import CheckpointError, ConfigError
from mmdistill.stages.round_configs import Rounds
from mmdistill.stages.round_steps import label_step, train_step, training_file
from mmdistill.stages.rounds import LEDGER_FILE, student_training, write_recipes
from mmdistill.stages.run import train
from mmdistill.utils.dist import run_on_rank_zero
from mmdistill.utils.ledger import FileRecords, Ledger


def train_round(
    config: Config,
    number: int,
    student: int = 0,
    after_labeling: Callable[[Config], Any] | None = None,
) -> None:
    """Label for a round and train a student of it in this process, and record both.

    So rounds are run by any launcher, one after the other; `train_rounds` goes on
    after them.

    Args:
        config: A config whose `distill` section has rounds.
        number: Number of the round, from 1.
        student: Number of the student among those of the round, from 0.
        after_labeling: Called with the recipe of the round, see `train`.

    Raises:
        UserError: If there is no such round, the one before is not done, or the round
            cannot run.
    """
    made = round_config(config, number, student)
    train(made, after_labeling)
    rounds = Rounds(Recipe.of(config))
    run_on_rank_zero(lambda: _record(rounds, number, rounds.seeds[student]))


def round_config(config: Config, number: int, student: int = 0) -> Config:
    """The recipe of one student of a round, to be trained like any other.

    Args:
        config: A config whose `distill` section has rounds.
        number: Number of the round, from 1.
        student: Number of the student among those of the round, from 0.

    Raises:
        ConfigError: If the config has no rounds, or not this one.
        CheckpointError: If a student of the round before is not trained yet.
    """
    recipe = Recipe.of(config)
    if recipe.distill.rounds is None:
        raise ConfigError(
            f'{config.filename} has no distill.rounds, of which --round names one'
        )
    rounds = Rounds(recipe)
    for name, value, allowed in (
        ('round', number, range(1, rounds.options.number + 1)),
        ('student', student, range(rounds.options.students)),
    ):
        if value not in allowed:
            raise ConfigError(
                f'--{name} must be from {allowed.start} to {allowed.stop - 1}, got '
                f'{value}'
            )
    for index, seed in enumerate(rounds.seeds if number > 1 else ()):
        teacher = rounds.checkpoint(number - 1, seed)
        if not teacher.is_file():
            raise CheckpointError(
                f'round {number} is labeled by the students of the round before, and '
                f'{teacher} does not exist; train it with --round {number - 1} '
                f'--student {index}'
            )
    write_recipes(rounds)
    made = rounds.student_config(number, rounds.seeds[student])
    made.launcher = config.get('launcher', 'none')
    if config.get('resume'):
        made.resume, made.load_from = True, config.get('load_from')
    return made


def _record(rounds: Rounds, number: int, seed: int) -> None:
    """Record a labeling and a training that were done by hand."""
    ledger = Ledger(FileRecords(rounds.root / LEDGER_FILE))
    labeling = label_step(rounds, number)
    config = student_training(rounds, number, seed)
    write_config(config, training_file(rounds, number, seed))
    for step in (labeling, train_step(rounds, number, seed, config)):
        ledger.record(step)
