"""Execution of runs, sequentially or in parallel, each of them once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from mmdistill.errors import UserError
from mmdistill.utils import ledger
from mmdistill.utils.commands import locked, run_command, shown
from mmdistill.utils.files import json_sha256
from mmdistill.utils.ledger import Execute, FolderRecords, Step
from tools.benchmarks.gap_recovery.plan import Run, ready

__all__ = ['Ledger', 'call', 'locked', 'shown', 'work_off']

REPOSITORY = Path(__file__).parents[3]
TAIL = 15
"""Number of log lines shown when a command failed."""


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
        self._ledger = ledger.Ledger(FolderRecords(work_dir))
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
        results = {
            run.name: self._ledger.result(self._step(run, prints[run.name]))
            for run in runs
        }
        return {name: result for name, result in results.items() if result}

    def perform(self, run: Run, fingerprint: str, execute: Execute) -> dict:
        """Execute the missing commands of a run.

        Args:
            run: The run.
            fingerprint: What it is made of.
            execute: Runs a command.

        Returns:
            Its result, as it is written.
        """
        return self._ledger.perform(self._step(run, fingerprint), execute)

    def _step(self, run: Run, fingerprint: str) -> Step:
        return Step(run.name, run.commands, self.work_dir / run.name, fingerprint)

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
        words = [sys.executable, str(REPOSITORY / command[0]), *command[1:]]
        try:
            return run_command(words, command[0], output, remedy=f', see {log}')
        except UserError:
            tail = '\n'.join(log.read_text(errors='replace').splitlines()[-TAIL:])
            sys.stderr.write(f'{tail}\n')
            raise
