"""One run from labels to an answer: each step once, shown as it runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from mmengine.logging import print_log

from mmdistill.engine.runner import release_memory
from mmdistill.errors import DataError, UserError
from mmdistill.pipeline.advice import Measured, label_worth, next_steps
from mmdistill.pipeline.evaluation import ImageResults
from mmdistill.pipeline.models import check_trained
from mmdistill.pipeline.side_by_side import check_jobs, commands_of, work_off
from mmdistill.pipeline.steps import Distillation, Task
from mmdistill.pipeline.times import Estimate, TimeLeft, estimate_tasks
from mmdistill.pipeline.verdict import (
    Verdict,
    compare_models,
    verdict_sentence,
    verdict_table,
)
from mmdistill.plans.missing import missing_files
from mmdistill.stages.round_results import student_metrics
from mmdistill.utils.commands import locked, shown
from mmdistill.utils.files import write_json
from mmdistill.utils.ledger import Execute, Ledger
from mmdistill.utils.logging import warn

ANSWER = 'answer.json'
LOCK_SECONDS = 10.0
"""Time that the command of a run that was killed has to end."""
FIRST_METRICS = 1
"""Number of the recipe's own metrics in the table."""


def distill(
    work: Distillation,
    execute: Execute | None = None,
    estimate: Estimate = estimate_tasks,
    jobs: int = 1,
) -> str:
    """Run all steps of a distillation, or what is left of them.

    Args:
        work: The distillation.
        execute: Runs a command of a step; by default in a process of its own.
        estimate: Estimates the seconds of steps.
        jobs: Number of steps that run side by side, where they can.

    Returns:
        The answer: a table, and what it says.

    Raises:
        UserError: If a step fails that the answer needs, or another process does the
            same.
    """
    check_jobs(jobs)
    commands = execute or commands_of(work.recipe.config, jobs)

    def timed(command: Sequence[str], log: Path) -> float:
        start = time.monotonic()
        commands(command, log)
        return time.monotonic() - start

    check_files(work)
    with locked(work.folder, LOCK_SECONDS):
        work.write_recipe()
        failed = _run_steps(work, timed, estimate, jobs)
        return _answer(work, failed)


def check_files(work: Distillation) -> None:
    """Refuse to begin where files are missing that no step makes.

    Args:
        work: The distillation.

    Raises:
        DataError: If there are; each is named with what provides it.
    """
    trained = [*work.teachers, work.detector]
    made = tuple(
        f'the {role} checkpoint {model.checkpoint}:'
        for model in trained
        if model and model.training
        for role in [model.name.partition('_')[0]]
    )
    missing = [
        line for line in missing_files(work.recipe) if not line.startswith(made or '\0')
    ]
    if missing:
        lines = ''.join(f'\n- {line}' for line in missing)
        raise DataError(
            f'{work.file} needs {len(missing)} file{"s" * (len(missing) > 1)} or '
            f'folder{"s" * (len(missing) > 1)} that no step makes:{lines}'
        )


def dry_run(work: Distillation) -> str:
    """The commands of all steps, one a line, as they can be typed.

    Args:
        work: The distillation.
    """
    lines = []
    for task in work.tasks():
        lines.append(f'# {task.title}')
        lines += [shown(command) for command in task.commands]
    return '\n'.join(lines)


def _run_steps(
    work: Distillation, execute: Execute, estimate: Estimate, jobs: int
) -> dict[str, str]:
    """Do the steps; the errors of those that the answer can be given without."""
    ledger, tasks = Ledger(work.records), work.tasks()
    unknown = [t for t in tasks if not work.records.read(t.name).get('seconds')]
    estimated = estimate(work, unknown) if unknown else {}
    left = TimeLeft(work.records, tasks, estimated, jobs)
    release_memory()
    failed: dict[str, str] = {}

    def perform(task: Task, execute: Execute) -> None:
        head = f'step {tasks.index(task) + 1} of {len(tasks)}: {task.title}'
        start = time.monotonic()
        try:
            done = not _perform(ledger, task, execute, head, left.text())
        except UserError as error:
            if not task.is_optional:
                raise
            warn(f'{task.title}: {error}; the work goes on without it')
            failed[task.name] = str(error)
            done = True
        else:
            if done:
                print_log(f'{head}: done before', logger='current')
        left.finished(task.name, None if done else time.monotonic() - start)

    work_off(tasks, jobs, perform, execute)
    return failed


def _perform(
    ledger: Ledger, task: Task, execute: Execute, head: str, left: str
) -> bool:
    """Do a step; whether it was to be done."""
    task.prepare()

    def begin() -> None:
        print_log(f'{head}; {left}' if left else head, logger='current')

    was_to_do = ledger.ensure(task.step(), execute, task.made, begin)
    if task.model is not None:
        check_trained(task.model)
    return was_to_do


def _answer(work: Distillation, failed: dict[str, str]) -> str:
    """The table, the sentence, the worth of the labels, and what to try next."""
    measured = Measured.of(work.recipe, work.file)
    lines, verdict = [], None
    if work.tested:
        results = {m.name: ImageResults.read(work.images_file(m)) for m in work.tested}
        verdict = compare_models(results, work.larger)
        metrics = {
            model.name: dict(
                [*student_metrics(work.metrics_file(model).parent).items()][
                    :FIRST_METRICS
                ]
            )
            for model in work.tested
        }
        lines += [verdict_table(verdict, metrics), '', verdict_sentence(verdict)]
    else:
        lines.append(
            'It cannot be told whether the student is better than the teacher: '
            f'{work.recipe.config.filename} has no validation set; give it '
            'val_dataloader and val_evaluator, and start this command again.'
        )
    if work.is_teacher_baseline:
        lines.append(
            'The baseline is the teacher: both are the same training, of the same '
            'labels and seed, which is done once.'
        )
    elif work.baseline is None:
        lines.append(
            'Whether a longer training on the labels alone does as well is told with '
            '--baseline.'
        )
    lines.append(label_worth(None if 'audit' in failed else measured.audit))
    following = next_steps(verdict, measured)
    if following:
        lines += ['What to try next:', *(f'- {each}' for each in following)]
    write_json(work.folder / ANSWER, _as_json(verdict, lines))
    return '\n'.join(lines)


def _as_json(verdict: Verdict | None, lines: list[str]) -> dict[str, object]:
    content: dict[str, object] = dict(text=lines)
    if verdict is not None:
        content |= dict(
            images=verdict.images,
            means=verdict.means,
            differences={
                each.other: {
                    metric: asdict(interval)
                    for metric, interval in each.intervals.items()
                }
                for each in verdict.comparisons
            },
            better=verdict.better,
        )
    return content
