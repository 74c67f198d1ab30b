"""The time that is left of the whole: as measured before, or by a few batches."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mmdistill.config.recipe import Recipe
from mmdistill.datasets.annotation_configs import with_read_annotations
from mmdistill.engine.dry_build import check_training_parts
from mmdistill.pipeline import models
from mmdistill.pipeline.steps import LABELS, Distillation, Task
from mmdistill.plans import make_plan
from mmdistill.plans.estimate import time_training_step
from mmdistill.plans.text import format_duration
from mmdistill.utils.ledger import Records

Estimate = Callable[[Distillation, Sequence[Task]], Mapping[str, float]]
"""Function that estimates the seconds of tasks by their names, of those that it can."""


def estimate_tasks(work: Distillation, tasks: Sequence[Task]) -> dict[str, float]:
    """Estimate the seconds of trainings and of the labeling by a few batches of each.

    What cannot be tried yet, as a labeling whose boxes are still to be detected, is
    left out.

    Args:
        work: The whole.
        tasks: The tasks to estimate.

    Raises:
        UserError: If a training could not begin.
    """
    seconds: dict[str, float] = {}
    names = {task.name for task in tasks}
    for model in (*work.teachers, work.detector, work.baseline):
        if model and model.training and model.step in names:
            known = _training_seconds(model.training)
            seconds |= {} if known is None else {model.step: known}
    if names & {LABELS, work.student.step}:
        planned = _planned(work.recipe)
        both = ((LABELS, 'labels'), (work.student.step, 'student'))
        seconds |= {name: planned[key] for name, key in both if key in planned}
    return {name: value for name, value in seconds.items() if name in names}


class TimeLeft:
    """Time that the tasks of a work still take, corrected by those that are done.

    Args:
        records: Records of tasks, also of former runs.
        tasks: All tasks.
        estimated: Estimated seconds by task, of those without a record.
        jobs: Number of tasks that run side by side.
    """

    def __init__(
        self,
        records: Records,
        tasks: Sequence[Task],
        estimated: Mapping[str, float],
        jobs: int = 1,
    ) -> None:
        self._left, self._jobs = [task.name for task in tasks], jobs
        known = {task.name: records.read(task.name).get('seconds') for task in tasks}
        self._expected = {
            **estimated,
            **{name: seconds for name, seconds in known.items() if seconds},
        }
        self._took: dict[str, float] = {}

    def finished(self, name: str, seconds: float | None) -> None:
        """Take the time of a finished task.

        Args:
            name: The task.
            seconds: The time that it took; None if it was not done now.
        """
        self._left.remove(name)
        if seconds is not None:
            self._took[name] = seconds

    def text(self) -> str:
        """Describe the time of what is left; empty where none of it is known."""
        known = [self._expected[name] for name in self._left if name in self._expected]
        if not known:
            return ''
        unknown = len(self._left) - len(known)
        seconds = sum(known) * self._pace() / self._jobs
        text = f'about {format_duration(seconds)} left'
        if unknown:
            text += f' and {unknown} step{"s" * (unknown > 1)} of unknown length'
        return text

    def _pace(self) -> float:
        """How much longer finished tasks took than was expected."""
        both = [name for name in self._took if self._expected.get(name)]
        expected = sum(self._expected[name] for name in both)
        return sum(self._took[name] for name in both) / expected if expected else 1.0


def _training_seconds(path: str) -> float | None:
    """Seconds of a supervised training of a pose model; None of another one."""
    config = models.read_training(path)
    length = (config.get('train_cfg') or {}).get('max_iters')
    if not length or config.get('default_scope', 'mmpose') != 'mmpose':
        return None
    with tempfile.TemporaryDirectory() as folder:
        config, _ = with_read_annotations(config, Path(folder))
        check_training_parts(config)
        return time_training_step(config) * length


def _planned(recipe: Recipe) -> dict[str, float]:
    """Seconds of the labeling and of the student, as `tools/plan.py` has them."""
    config = copy.deepcopy(recipe.config)
    # Few images leak, and comparing all of them takes long.
    config.distill.leak_guard = False
    return dict(make_plan(config).seconds)
