"""Rounds: teacher, student, and the student as the next teacher.

Each step is an ordinary command in a process of its own: runners of one process share
loggers, scopes and message hubs. The ledger in `rounds.json` says which are done, so
that a run that was killed anywhere goes on by the same command.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from statistics import fmean
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from mmdistill.config.datasets import parsed_metainfo
from mmdistill.config.recipe import Recipe
from mmdistill.config.text import write_config
from mmdistill.errors import CheckpointError
from mmdistill.functional.scoring import known_sigmas
from mmdistill.selection.round_changes import label_figures, moved_share
from mmdistill.selection.selection import has_selection
from mmdistill.stages.holdout import advantage, compared_metric, holdout_config
from mmdistill.stages.kept_student import STUDENT_FILE, Student, write_student
from mmdistill.stages.label_config import labeled_config
from mmdistill.stages.round_checks import check_rounds
from mmdistill.stages.round_commands import Followers, round_commands
from mmdistill.stages.round_configs import Rounds
from mmdistill.stages.round_results import (
    RoundResult,
    by_metric,
    false_confidence,
    round_line,
    student_metrics,
)
from mmdistill.stages.round_steps import (
    holdout_step,
    label_step,
    train_step,
    training_file,
)
from mmdistill.stages.run import training_config
from mmdistill.stages.train_config import log_initial_weights
from mmdistill.store import LabelStore
from mmdistill.utils.commands import locked
from mmdistill.utils.ledger import Execute, FileRecords, Ledger, Step
from mmdistill.utils.logging import warn

LEDGER_FILE = 'rounds.json'
"""Name of the ledger in the work folder."""
LOCK_SECONDS = 10.0
"""Time that the command of a run that was killed has to end."""


def train_rounds(
    recipe: Recipe,
    execute: Execute | None = None,
    after_labeling: Callable[[Config], Any] | None = None,
) -> None:
    """Run all rounds of a recipe, or what is left of them.

    Args:
        recipe: A recipe with `distill.rounds`.
        execute: Runs a command of a step; by default in a process of its own.
        after_labeling: Called in this process with the recipe of each round whose
            labels are new to its students, before the first of these is trained.

    Raises:
        UserError: If the rounds cannot run, another process runs them, or a command
            fails.
    """
    commands = round_commands(recipe.config)
    if isinstance(commands, Followers):
        commands.follow()
        return
    rounds = Rounds(recipe)
    check_rounds(rounds)
    with locked(rounds.root, LOCK_SECONDS):
        RoundLoop(rounds, execute or commands, after_labeling).run()
    commands.end()


class RoundLoop:
    """One run of the rounds of a recipe.

    Args:
        rounds: The rounds.
        execute: Runs a command of a step.
        after_labeling: See `train_rounds`.
    """

    def __init__(
        self,
        rounds: Rounds,
        execute: Execute,
        after_labeling: Callable[[Config], Any] | None = None,
    ) -> None:
        self.rounds, self._execute = rounds, execute
        self._after_labeling = after_labeling
        self._looked_at = 0
        self._records = FileRecords(rounds.root / LEDGER_FILE)
        self._ledger = Ledger(self._records)
        self._results: list[RoundResult] = []
        self._students: list[Student] = []

    def run(self) -> None:
        """Label and train, round by round, and keep a student.

        Raises:
            UserError: If a command fails.
        """
        write_recipes(self.rounds)
        total = self.rounds.options.number
        for number in range(1, total + 1):
            result = self._label(number)
            reason = self._nothing_new(result)
            if not reason:
                result = self._train(result)
            self._report(result)
            reason = reason or self._no_better()
            if reason:
                break
        else:
            reason = f'all {total} rounds are done'
        self._keep(reason)

    def _label(self, number: int) -> RoundResult:
        """Label for a round; what is known of it by then."""
        step = label_step(self.rounds, number)
        store = LabelStore(self.rounds.store(number))
        self._perform(step, made=lambda: store.complete and has_selection(store))
        labels = label_figures(store)
        if number > 1:
            before = LabelStore(self.rounds.store(number - 1))
            recipe = Recipe.of(self.rounds.config(number))
            sigmas = parsed_metainfo(labeled_config(recipe))['sigmas']
            known = known_sigmas(sigmas, store.num_keypoints)
            labels = replace(labels, moved=moved_share(store, before, known))
        return RoundResult(number, labels)

    def _train(self, result: RoundResult) -> RoundResult:
        """Train the students of a round, and test them on the held-out images."""
        number, holdout = result.round, []
        for seed in self.rounds.seeds:
            config = student_training(self.rounds, number, seed)
            step = train_step(self.rounds, number, seed, config)
            file = training_file(self.rounds, number, seed)
            write_config(config, file)
            checkpoint = self.rounds.checkpoint(number, seed)
            begin = partial(self._begin_training, number, seed)
            self._perform(step, checkpoint.is_file, begin)
            if not checkpoint.is_file():
                raise CheckpointError(
                    f'the training of {step.folder} left no {checkpoint.name}: it '
                    'saves no checkpoint; give default_hooks.checkpoint an interval'
                )
            metrics = self._test(number, seed)
            holdout.append(metrics)
            score = 0.0
            if metrics:
                name = compared_metric(self.rounds.recipe, metrics)
                score = advantage(name, metrics[name])
            self._students.append(Student(number, seed, checkpoint, file, score))
        folders = [self.rounds.student(number, seed) for seed in self.rounds.seeds]
        results = by_metric([student_metrics(folder) for folder in folders])
        return replace(result, results=results, holdout=by_metric(holdout))

    def _begin_training(self, number: int, seed: int) -> None:
        """Look at the labels of a round, once, and say what a student starts from."""
        if self._after_labeling is not None and self._looked_at < number:
            self._looked_at = number
            config = self.rounds.config(number)
            # The other ranks wait for commands, and do not take part.
            config.launcher = 'none'
            self._after_labeling(config)
        log_initial_weights(Recipe.of(self.rounds.student_config(number, seed)))

    def _test(self, number: int, seed: int) -> dict[str, float]:
        """Test a student on the held-out images; no metrics where there are none."""
        if self.rounds.options.holdout is None:
            return {}
        recipe = self.rounds.recipe
        config = holdout_config(self.rounds.config(number), recipe)
        config.pop('distill')
        step = holdout_step(self.rounds, number, seed, config)
        write_config(config, step.commands[0][1])
        self._perform(step, made=(step.folder / 'metrics.json').is_file)
        return student_metrics(step.folder)

    def _perform(
        self,
        step: Step,
        made: Callable[[], bool],
        begin: Callable[[], None] = lambda: None,
    ) -> None:
        """Do a step, unless it is done and what it made is there."""
        if not self._ledger.ensure(step, self._execute, made, begin):
            print_log(f'{step.name} is done', logger='current')

    def _report(self, result: RoundResult) -> None:
        """Log a round and write it into the ledger."""
        before = self._results[-1] if self._results else None
        self._results.append(result)
        number = self.rounds.options.number
        print_log(round_line(result, number), logger='current')
        sentence = false_confidence(result, before)
        if sentence:
            warn(sentence)
        entries = [each.as_json() for each in self._results]
        self._records.update(dict(rounds=entries))

    def _nothing_new(self, result: RoundResult) -> str:
        """Why no student is trained on the labels of a round; empty if one is."""
        stop, moved = self.rounds.options.stop, result.labels.moved
        if stop is None or moved is None or moved > stop:
            return ''
        return (
            f'{moved:.1%} of the kept keypoints moved in round {result.round}, at most '
            f'distill.rounds.stop {stop:.1%}: there is nothing new to learn'
        )

    def _no_better(self) -> str:
        """Why no further round is worth it, by the held-out images; else empty."""
        if self.rounds.options.keep != 'best' or len(self._results) < 2:
            return ''
        means = [
            fmean(each.score for each in self._students if each.round == number)
            for number in range(1, len(self._results) + 1)
        ]
        if means[-1] > max(means[:-1]):
            return ''
        return (
            f'round {len(means)} is not better on the held-out images than those before'
        )

    def _keep(self, reason: str) -> None:
        """Write the student that is kept."""
        students = self._students
        if self.rounds.options.keep == 'best':
            kept = max(students, key=lambda each: (each.score, -each.round))
        else:
            last = students[-1].round
            kept = next(each for each in students if each.round == last)
        path = self.rounds.root / STUDENT_FILE
        write_student(kept, path)
        entry = dict(round=kept.round, seed=kept.seed, reason=reason)
        self._records.update(dict(kept=entry))
        print_log(f'{reason}; {path} is {kept.checkpoint}', logger='current')


def write_recipes(rounds: Rounds) -> None:
    """Write the recipe of each round, which the others name.

    Args:
        rounds: The rounds.
    """
    for number in range(1, rounds.options.number + 1):
        write_config(rounds.config(number), rounds.recipe_file(number))


def student_training(rounds: Rounds, number: int, seed: int) -> Config:
    """The training of a student whose labels are made, a plain config.

    Args:
        rounds: The rounds.
        number: Number of the round, from 1; its labels are selected.
        seed: Seed of the student.

    Raises:
        UserError: If there is no selection, or nothing to learn from.
    """
    config = rounds.student_config(number, seed)
    # Normalized annotations lie in the work folder of all rounds.
    folder, config.work_dir = config.work_dir, str(rounds.root)
    made = training_config(config)
    made.work_dir = folder
    made.pop('distill')
    return made
