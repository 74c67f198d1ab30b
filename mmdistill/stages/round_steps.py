"""The steps of rounds: what each runs, and the fingerprint of what it is made of."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config

from mmdistill.config.recipe import LABELS, Recipe
from mmdistill.stages.round_configs import Rounds
from mmdistill.stages.step_contents import (
    evaluation_content,
    labeling_content,
    selection_content,
    training_content,
)
from mmdistill.store import LabelStore
from mmdistill.utils.files import json_sha256
from mmdistill.utils.ledger import Step


def label_step(rounds: Rounds, number: int) -> Step:
    """The labeling of a round.

    Args:
        rounds: The rounds.
        number: Number of the round, from 1.

    Raises:
        UserError: If the recipe of the round is not usable.
    """
    recipe = Recipe.of(rounds.config(number))
    content, selected = labeling_content(recipe, rounds.root)
    return Step(
        name=f'round_{number}/labels',
        commands=[['tools/label.py', str(rounds.recipe_file(number))]],
        folder=rounds.store(number),
        fingerprint=json_sha256(selected),
        content=json_sha256(content),
        compares_itself=True,
        stays=str(rounds.store(number)) != str(rounds.folder(number) / LABELS),
    )


def train_step(rounds: Rounds, number: int, seed: int, training: Config) -> Step:
    """The training of a student.

    Args:
        rounds: The rounds.
        number: Number of the round, from 1; its labels are selected.
        seed: Seed of the student.
        training: The config of the training.

    Raises:
        UserError: If the store of the round is damaged.
    """
    content = [
        training_content(training, rounds.root),
        selection_content(LabelStore(rounds.store(number))),
    ]
    folder = rounds.student(number, seed)
    return Step(
        name=f'round_{number}/{folder.name}',
        commands=[['tools/train.py', str(training_file(rounds, number, seed))]],
        folder=folder,
        fingerprint=json_sha256(content),
    )


def holdout_step(rounds: Rounds, number: int, seed: int, tested: Config) -> Step:
    """The test of a student on the held-out images.

    Args:
        rounds: The rounds.
        number: Number of the round, from 1.
        seed: Seed of the student, which is trained.
        tested: The config of the test.
    """
    checkpoint = rounds.checkpoint(number, seed)
    folder = rounds.student(number, seed) / 'holdout'
    content = evaluation_content(tested, checkpoint, rounds.root)
    config = rounds.recipe_file(number).with_name('holdout.py')
    command = ['tools/test.py', str(config), str(checkpoint)]
    command += ['--work-dir', str(folder), '--out', str(folder / 'metrics.json')]
    return Step(
        name=f'round_{number}/seed_{seed}/holdout',
        commands=[command],
        folder=folder,
        fingerprint=json_sha256(content),
    )


def training_file(rounds: Rounds, number: int, seed: int) -> Path:
    """The file of a student's training config.

    Args:
        rounds: The rounds.
        number: Number of the round, from 1.
        seed: Seed of the student.
    """
    return rounds.recipe_file(number).with_name(f'seed_{seed}.py')
