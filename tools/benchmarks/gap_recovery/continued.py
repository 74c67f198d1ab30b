"""Runs, and trainings with a finish that go on where the same one without it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

FINISH = 'finish'
OTHER_ENDS = ('rounds', 'ema')
"""Ingredients by which the last checkpoint of a training is not what it ends with."""


@dataclass(frozen=True)
class Run:
    """A training with its test, a labeling, or a detection.

    Attributes:
        name: Seed and what is run; its folder below the work folder.
        config: Path of its config.
        commands: What is called one after the other, without the interpreter.
        needs: Names of the runs that it reads the results of.
    """

    name: str
    config: str
    commands: Sequence[Sequence[str]]
    needs: Sequence[str] = ()


def continued(runs: Sequence[Run]) -> list[Run]:
    """Let trainings with a finish begin where the same ones without it ended.

    A finish is added to a training and changes nothing before, so the checkpoint of
    the one without it is what the other would have come to.

    Args:
        runs: The plan, each run after those that it needs.

    Returns:
        The plan, in which the resumed trainings come after what they go on from.
    """
    by_name = {run.name: run for run in runs}
    ordered: dict[str, Run] = {}
    for run in runs:
        plain = by_name.get(_without_finish(run.name))
        if plain is not None:
            # It needs the same labels, which come before this run.
            ordered.setdefault(plain.name, plain)
            run = _resumed(run, plain)
        ordered.setdefault(run.name, run)
    return list(ordered.values())


def _without_finish(name: str) -> str:
    """Name the run that differs in having no finish; empty where none can.

    >>> _without_finish('seed0/noise+finish'), _without_finish('seed0/finish')
    ('seed0/noise', 'seed0/fusion')
    """
    folder, _, last = name.rpartition('/')
    parts = last.split('+')
    if FINISH not in parts or any(part in OTHER_ENDS for part in parts):
        return ''
    return f'{folder}/{"+".join(part for part in parts if part != FINISH) or "fusion"}'


def _resumed(run: Run, plain: Run) -> Run:
    """Make a run that goes on from what another one tests, its last checkpoint."""
    training, test = run.commands
    tool, config, *options = training
    _, _, checkpoint, *_ = plain.commands[-1]
    resumed = [tool, config, '--resume', checkpoint, *options]
    return replace(run, commands=[resumed, test], needs=[*run.needs, plain.name])
