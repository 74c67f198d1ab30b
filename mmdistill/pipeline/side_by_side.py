"""Steps side by side: those that need not wait for each other, so many at a time."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from mmengine.config import Config

from mmdistill.errors import ConfigError
from mmdistill.pipeline.steps import Task
from mmdistill.recipes.machine import Machine
from mmdistill.stages.round_commands import Commands
from mmdistill.utils.ledger import Execute
from mmdistill.utils.logging import warn

THREADS = ('OMP_NUM_THREADS', 'MKL_NUM_THREADS')
"""Variables by which a process is given a number of threads."""

Perform = Callable[[Task, Execute], None]
"""Function that does a step, whose commands the second argument runs."""


def check_jobs(jobs: int) -> None:
    """Refuse a number of jobs that is none.

    Args:
        jobs: The number.

    Raises:
        ConfigError: If it is below 1.
    """
    if jobs < 1:
        raise ConfigError(f'--jobs must be a whole number from 1, got {jobs}')


def commands_of(config: Config, jobs: int) -> Commands:
    """Return what runs the commands of steps, of which some run at a time.

    Of several each has its share of the cores, unless the user states the threads,
    and the name of its folder before each line that it prints.

    Args:
        config: The recipe's config.
        jobs: Largest number of commands at a time.
    """
    if jobs == 1:
        return Commands(config)
    share = str(max(1, Machine.current().cpus // jobs))
    return Commands(
        config, {name: os.environ.get(name, share) for name in THREADS}, is_named=True
    )


def work_off(
    tasks: Sequence[Task], jobs: int, perform: Perform, execute: Execute
) -> None:
    """Do steps, each after those that it needs.

    With one job they are done in their order. With several, as many run as there are
    jobs, the first of those that can. Where one fails, no other begins, and those that
    run are waited for.

    Args:
        tasks: The steps, in an order in which they can be done.
        jobs: Largest number of steps at a time.
        perform: Does a step. Only commands run at the same time as those of others;
            all else is done for one step after the other.
        execute: Runs a command.

    Raises:
        UserError: If a step fails.
    """
    if jobs == 1:
        for task in tasks:
            perform(task, execute)
        return
    turn = threading.Lock()

    def beside_others(command: Sequence[str], log: Path) -> float:
        turn.release()
        try:
            return execute(command, log)
        finally:
            turn.acquire()

    def in_turn(task: Task) -> None:
        with turn:
            perform(task, beside_others)

    waiting, running = list(tasks), dict[Future[None], Task]()
    failures: list[BaseException] = []
    with ThreadPoolExecutor(jobs) as pool:
        while running or (waiting and not failures):
            if not failures:
                free = jobs - len(running)
                for task in _ready(waiting, [*running.values()])[:free]:
                    waiting.remove(task)
                    running[pool.submit(in_turn, task)] = task
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                task, failure = running.pop(future), future.exception()
                if failure is None:
                    continue
                failures.append(failure)
                if running:
                    others = ' and '.join(each.title for each in running.values())
                    warn(f'{task.title}: {failure}; still running: {others}')
    if failures:
        raise failures[0]


def _ready(waiting: Sequence[Task], running: Sequence[Task]) -> list[Task]:
    """Steps that wait for none of the others."""
    unfinished = {task.name for task in (*waiting, *running)}
    return [task for task in waiting if not unfinished & {*task.needs}]
