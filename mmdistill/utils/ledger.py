"""Ledger of a work that takes many commands: each of them is run once.

A step is recorded with the fingerprint of what it was made of. A step that is finished
is not run again while its fingerprint is the same; a training that was stopped goes on
at its last checkpoint; a folder that was made of something else is moved aside, so that
nothing is mixed and nothing is lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mmdistill.utils.commands import shown
from mmdistill.utils.files import read_json, write_json

PROGRESS = 'progress.json'
RESULT = 'result.json'
METRICS = 'metrics.json'
LAST_CHECKPOINT = 'last_checkpoint'
"""File of MMEngine that names the checkpoint that a training goes on from."""

Record = dict[str, Any]
Execute = Callable[[Sequence[str], Path], float]
"""Function that runs a command, whose log may go to a file; returns processor seconds.
"""


@dataclass(frozen=True)
class Step:
    """Commands that make one thing.

    Attributes:
        name: Name of the step.
        commands: What is called one after the other, without the interpreter.
        folder: The folder that they write.
        fingerprint: Hash of all that the step is made of.
        content: Hash of what the folder is made of; that of all when empty. Another
            one moves the folder aside, another `fingerprint` alone only runs the
            commands again.
        compares_itself: Whether the commands themselves refuse a folder that was made
            otherwise, so that one without a record is used.
        stays: Whether the folder is the user's own and is never moved.
        keeps: Files and folders within it that are of other steps, and are not moved.
    """

    name: str
    commands: Sequence[Sequence[str]]
    folder: Path
    fingerprint: str
    content: str = ''
    compares_itself: bool = False
    stays: bool = False
    keeps: Sequence[Path] = ()

    @property
    def made_of(self) -> str:
        """Hash of what the folder is made of."""
        return self.content or self.fingerprint


class Records(Protocol):
    """Where the records of steps are kept."""

    def read(self, name: str) -> Record:
        """Read the record of a step, finished or not; empty if there is none."""

    def write(self, name: str, record: Record) -> None:
        """Write the record of a step that goes on."""

    def finish(self, name: str, record: Record) -> Record:
        """Write the record of a finished step; return it."""

    def finished(self, name: str) -> Record:
        """Read the record of a finished step; empty if it is not finished."""

    def forget(self, name: str) -> None:
        """Remove the record of a step."""


class FolderRecords:
    """Records in the folder of each step, beside what it makes.

    Args:
        work_dir: Folder of the folders.
    """

    def __init__(self, work_dir: Path) -> None:
        self.work_dir = work_dir

    def read(self, name: str) -> Record:
        """Read the record of a step, finished or not; empty if there is none."""
        return self._read(name, PROGRESS)

    def write(self, name: str, record: Record) -> None:
        """Write the record of a step that goes on."""
        write_json(self.work_dir / name / PROGRESS, record)

    def finish(self, name: str, record: Record) -> Record:
        """Write the result of a finished step, with the metrics it left; return it."""
        result = dict(record, metrics=self._read(name, METRICS))
        write_json(self.work_dir / name / RESULT, result)
        return result

    def finished(self, name: str) -> Record:
        """Read the result of a finished step; empty if it is not finished."""
        return self._read(name, RESULT)

    def forget(self, name: str) -> None:
        """Remove the record of a step."""
        for file in (RESULT, PROGRESS):
            (self.work_dir / name / file).unlink(missing_ok=True)

    def _read(self, name: str, file: str) -> Record:
        path = self.work_dir / name / file
        return dict(read_json(path, 'the result')) if path.is_file() else {}


class FileRecords:
    """Records of all steps in one file, beside other entries.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def content(self) -> Record:
        """All entries; the records of steps are in `steps`."""
        if not self.path.is_file():
            return {}
        remedy = 'Remove it: what is not recorded is made again'
        return dict(read_json(self.path, 'the ledger', remedy))

    def update(self, entries: Mapping[str, Any]) -> None:
        """Write other entries than records of steps."""
        write_json(self.path, {**self.content, **entries})

    def forget(self, name: str) -> None:
        """Remove the record of a step."""
        content = self.content
        steps = {k: v for k, v in content.get('steps', {}).items() if k != name}
        write_json(self.path, {**content, 'steps': steps})

    def read(self, name: str) -> Record:
        """Read the record of a step, finished or not; empty if there is none."""
        return dict(self.content.get('steps', {}).get(name, {}))

    def write(self, name: str, record: Record) -> None:
        """Write the record of a step that goes on."""
        content = self.content
        steps = {**content.get('steps', {}), name: dict(record)}
        write_json(self.path, {**content, 'steps': steps})

    def finish(self, name: str, record: Record) -> Record:
        """Write the record of a finished step; return it."""
        result = dict(record, finished=True)
        self.write(name, result)
        return result

    def finished(self, name: str) -> Record:
        """Read the record of a finished step; empty if it is not finished."""
        record = self.read(name)
        return record if record.get('finished') else {}


class Ledger:
    """Execution of steps, each of them once.

    Args:
        records: Where the records of steps are kept.
    """

    def __init__(self, records: Records) -> None:
        self.records = records

    def result(self, step: Step) -> Record:
        """Return the record of a step that is finished as it is; else an empty one.

        Args:
            step: The step.
        """
        record = self.records.finished(step.name)
        return record if record.get('fingerprint') == step.fingerprint else {}

    def ensure(
        self,
        step: Step,
        execute: Execute,
        made: Callable[[], bool],
        begin: Callable[[], None] = lambda: None,
    ) -> bool:
        """Do a step, unless it is done and what it made is there.

        Args:
            step: The step.
            execute: Runs a command.
            made: Whether what the step makes is there.
            begin: Called before the step is done.

        Returns:
            Whether it was to be done.
        """
        done = bool(self.result(step))
        if done and made():
            return False
        if done:
            # What it made was removed.
            self.records.forget(step.name)
        begin()
        self.perform(step, execute)
        return True

    def perform(self, step: Step, execute: Execute) -> Record:
        """Execute the missing commands of a step.

        Args:
            step: The step.
            execute: Runs a command.

        Returns:
            Its record, as it is written.
        """
        record = self._begun(step)
        for number, command in enumerate(step.commands):
            if number < record['steps']:
                continue
            if _is_training(command) and (step.folder / LAST_CHECKPOINT).is_file():
                command = _resumed(command)
                record['resumed'] += 1
                self.records.write(step.name, record)
            record['seconds'] += execute(command, step.folder / f'log_{number}.txt')
            record['steps'] = number + 1
            self.records.write(step.name, record)
        commands = [shown(command) for command in step.commands]
        return self.records.finish(step.name, dict(record, commands=commands))

    def record(self, step: Step) -> Record:
        """Record a step that was done without the ledger.

        Args:
            step: The step.

        Returns:
            Its record, as it is written.
        """
        record: Record = dict(steps=len(step.commands), seconds=0.0, resumed=0)
        record['fingerprint'] = step.fingerprint
        if step.content:
            record['content'] = step.content
        commands = [shown(command) for command in step.commands]
        return self.records.finish(step.name, dict(record, commands=commands))

    def _begun(self, step: Step) -> Record:
        """The record to go on from; a folder that does not fit is moved aside."""
        record = self.records.read(step.name)
        made_of = record.get('content', record.get('fingerprint'))
        stays = step.stays or (not record and step.compares_itself)
        if step.folder.exists() and made_of != step.made_of and not stays:
            _move_aside(step.folder, step.keeps)
            record = {}
        if record.get('fingerprint') != step.fingerprint:
            record = {}
        record = dict(dict(steps=0, seconds=0.0, resumed=0), **record)
        record.pop('finished', None)
        record['fingerprint'] = step.fingerprint
        if step.content:
            record['content'] = step.content
        self.records.write(step.name, record)
        return record


def _move_aside(folder: Path, keeps: Sequence[Path]) -> None:
    name = f'{folder.name}.{time.strftime("%Y%m%d_%H%M%S")}'
    aside, number = folder.with_name(name), 1
    while aside.exists():
        number += 1
        aside = folder.with_name(f'{name}_{number}')
    kept = [path.absolute() for path in keeps]
    if not any(path.is_relative_to(folder.absolute()) for path in kept):
        folder.rename(aside)
        return
    for each in sorted(folder.iterdir()):
        if not any(path.is_relative_to(each.absolute()) for path in kept):
            aside.mkdir(exist_ok=True)
            each.rename(aside / each.name)


def _is_training(command: Sequence[str]) -> bool:
    return Path(command[0]).name == 'train.py'


def _resumed(command: Sequence[str]) -> list[str]:
    """Resume a training from its own last checkpoint, not from where it began."""
    if '--resume' in command:
        at = list(command).index('--resume')
        command = [*command[:at], *command[at + 2 :]]
    return [*command[:2], '--resume', *command[2:]]
