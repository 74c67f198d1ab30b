"""Execution of runs, sequentially or in parallel, each of them once."""

from __future__ import annotations

import fcntl
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, BinaryIO

from mmdistill.errors import UserError
from mmdistill.utils.files import json_sha256, read_json, write_json
from tools.benchmarks.gap_recovery.plan import Run, ready

PROGRESS = 'progress.json'
RESULT = 'result.json'
REPOSITORY = Path(__file__).parents[3]
TAIL = 15
"""Number of log lines shown when a command failed."""

Execute = Callable[[Sequence[str], Path], float]
"""Function that runs a command with output to a log; returns processor seconds."""


class Ledger:
    """Record of finished runs, in a folder for each.

    A finished run has a `result.json`. Every file carries the fingerprint of what
    the run was made of; a folder with another one, or with none, is moved aside.

    Args:
        work_dir: Folder of the runs.
        configs: The configs by their path, as they are read.
    """

    def __init__(self, work_dir: Path, configs: Mapping[str, Any]) -> None:
        self.work_dir = work_dir
        self._configs = {path: json_sha256(each) for path, each in configs.items()}

    def fingerprints(self, runs: Sequence[Run]) -> dict[str, str]:
        """Fingerprint each run: its config, its commands, its dependencies.

        Where the work folder lies is none of it.

        Args:
            runs: The plan, each run after those that it needs.
        """
        prints: dict[str, str] = {}
        for run in runs:
            needed = [prints[name] for name in run.needs]
            commands = [self._without_folder(command) for command in run.commands]
            content = [self._configs[run.config], commands, needed]
            prints[run.name] = json_sha256(content)
        return prints

    def results(self, runs: Sequence[Run]) -> dict[str, dict]:
        """Return the results of the finished runs of a plan, by name.

        Args:
            runs: The plan, each run after those that it needs.
        """
        prints = self.fingerprints(runs)
        results = {run.name: self._read(run.name, RESULT) for run in runs}
        return {
            name: result
            for name, result in results.items()
            if result.get('fingerprint') == prints[name]
        }

    def perform(self, run: Run, fingerprint: str, execute: Execute) -> dict:
        """Execute the missing commands of a run.

        Args:
            run: The run.
            fingerprint: What it is made of.
            execute: Runs a command.

        Returns:
            Its result, as it is written.
        """
        folder = self.work_dir / run.name
        progress = self._read(run.name, PROGRESS)
        if folder.exists() and progress.get('fingerprint') != fingerprint:
            aside = folder.with_name(f'{folder.name}.{time.strftime("%Y%m%d_%H%M%S")}')
            folder.rename(aside)
            progress = {}
        progress = dict(dict(steps=0, seconds=0.0, resumed=0), **progress)
        progress['fingerprint'] = fingerprint
        write_json(folder / PROGRESS, progress)
        for number, command in enumerate(run.commands):
            if number < progress['steps']:
                continue
            if _is_training(command) and (folder / 'last_checkpoint').is_file():
                command = _resumed(command)
                progress['resumed'] += 1
                write_json(folder / PROGRESS, progress)
            progress['seconds'] += execute(command, folder / f'log_{number}.txt')
            progress['steps'] = number + 1
            write_json(folder / PROGRESS, progress)
        metrics = self._read(run.name, 'metrics.json')
        commands = [shown(command) for command in run.commands]
        result = dict(progress, metrics=metrics, commands=commands)
        write_json(folder / RESULT, result)
        return result

    def _read(self, name: str, file: str) -> dict:
        path = self.work_dir / name / file
        return read_json(path, 'the result') if path.is_file() else {}

    def _without_folder(self, command: Sequence[str]) -> list[str]:
        folders = (str(self.work_dir.resolve()), str(self.work_dir))
        for folder in folders:
            command = [word.replace(f'{folder}/', '') for word in command]
        return list(command)


def work_off(
    plan: Callable[[], tuple[Sequence[Run], Mapping[str, dict]]],
    perform: Callable[[Run], object],
    jobs: int,
) -> None:
    """Execute all runs of a plan, which may grow with the results.

    A run that fails stops the others before they begin; one beside it goes on to
    its end.

    Args:
        plan: The runs, and the results of those that are finished.
        perform: Does one run.
        jobs: How many at a time.
    """
    running: dict[Future, Run] = {}
    with ThreadPoolExecutor(jobs) as pool:
        while True:
            runs, results = plan()
            begun = {run.name for run in running.values()}
            for run in ready(runs, results, begun)[: jobs - len(running)]:
                running[pool.submit(perform, run)] = run
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                del running[future]
                future.result()


def call(command: Sequence[str], log: Path) -> float:
    """Run a command of this repository in a process of its own.

    Args:
        command: The tool and its arguments.
        log: What it prints; added to what is there.

    Returns:
        Seconds of processor time, those of the loader's workers included.

    Raises:
        UserError: If it fails.
    """
    with log.open('a') as output:
        output.write(f'$ {shown(command)}\n')
        output.flush()
        process = subprocess.Popen(
            [sys.executable, str(REPOSITORY / command[0]), *command[1:]],
            stdout=output,
            stderr=subprocess.STDOUT,
            close_fds=False,  # the children hold the lock on
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        tail = '\n'.join(log.read_text(errors='replace').splitlines()[-TAIL:])
        sys.stderr.write(f'{tail}\n')
        raise UserError(f'{command[0]} ended with {process.returncode}, see {log}')
    return usage.ru_utime + usage.ru_stime


def locked(work_dir: Path) -> BinaryIO:
    """Lock a work folder for this process and its children, until they end.

    Args:
        work_dir: Folder of the runs.

    Returns:
        The lock, to be kept.

    Raises:
        UserError: If somebody works in it.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    lock = (work_dir / '.lock').open('a+b')
    os.set_inheritable(lock.fileno(), True)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(f'another process works in {work_dir}') from None
    return lock


def shown(command: Sequence[str]) -> str:
    """Format a command as it is typed."""
    return shlex.join(['python', *command])


def _is_training(command: Sequence[str]) -> bool:
    return Path(command[0]).name == 'train.py'


def _resumed(command: Sequence[str]) -> list[str]:
    return [*command[:2], '--resume', *command[2:]]
