"""Entry point of every tool: errors become one sentence and an exit code."""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from collections.abc import Callable, Sequence

from mmdistill.errors import UserError
from mmdistill.utils.allocator import keep_freed_memory
from mmdistill.utils.worker_failures import FAILURES, disk_cause, failure_cause

Main = Callable[[Sequence[str] | None], int | None]

EXIT_INTERRUPTED = 130
WORKER_ADVICE = (
    'Run it again with --cfg-options train_dataloader.num_workers=0 '
    'val_dataloader.num_workers=0 test_dataloader.num_workers=0, which read without '
    'worker processes, or a smaller train_dataloader.batch_size; a training goes on at '
    'its last checkpoint with --resume'
)
"""Advice of trainings for failed worker processes or memory outside of a store's loop.

It is of the tool that prints it: another one may not take these options.
"""
TEST_ADVICE = (
    'Run it again with --cfg-options test_dataloader.num_workers=0, which reads '
    'without worker processes, or a smaller test_dataloader.batch_size'
)
"""Advice of evaluations."""
AUDIT_ADVICE = (
    'Set train_dataloader.num_workers=0, which reads without worker processes, or a '
    "smaller train_dataloader.batch_size in the teacher's config; the audit goes on "
    'where it was'
)
"""Advice of audits: those of folds train teachers, by a config of their own."""
DISK_ADVICE = (
    'Free space, or name another folder, and run it again: labeling goes on where it '
    'stopped, and a training at its last checkpoint with --resume'
)
"""Advice for a disk that takes no more outside of a store's loop."""
SPINS = '20000'
"""Turns that GCC's OpenMP waits awake, some 60 µs; its own default is 15 times that."""
SECONDS_BEFORE_EXIT = 5.0
"""Time that other ranks wait with an error, so that rank 0 reports it first."""


def run(
    main: Main,
    argv: Sequence[str] | None = None,
    worker_advice: str = '',
    keeps_memory: bool = True,
) -> int:
    """Run a tool's ``main`` and return the exit code of its process.

    A ``UserError`` becomes one line on stderr, from rank 0 only, and so does a
    failure of worker processes, of memory or of a full disk. Everything else is a
    defect and keeps its traceback.

    Args:
        main: The tool's main function.
        argv: Arguments after the tool's name; those of the process if None.
        worker_advice: A sentence on the way on after such a failure, for tools whose
            loaders can be set.
        keeps_memory: Whether the process keeps what it frees; else the allocator stays
            as it is in other programs.

    Returns:
        What ``main`` returned (0 for None), 130 after Ctrl-C, the `exit_code` of a
        user error (2, or 1 where too many images failed).
    """
    _let_threads_sleep()
    if keeps_memory:
        keep_freed_memory()
    # A line that a full disk refuses is not worth a traceback of `logging`.
    logging.raiseExceptions = False
    try:
        return main(argv) or 0
    except UserError as error:
        _report(f'error: {original_sentence(error)}')
        return error.exit_code
    except FAILURES as error:
        cause, advice = failure_cause(error), worker_advice
        if cause is None:
            cause, advice = disk_cause(error), DISK_ADVICE
        if cause is None:
            raise
        _report(f'error: {cause}. {advice}'.rstrip('. '))
        return UserError.exit_code
    except KeyboardInterrupt:
        _report('stopped from the keyboard before the end')
        return EXIT_INTERRUPTED


def _let_threads_sleep() -> None:
    """Have OpenMP's threads sleep between operators that lie apart.

    Threads that spin while they wait slow down the loader's processes and whatever
    one thread does alone; those that sleep at once must be woken for every layer.
    Torch reads these variables when it is imported.
    """
    if 'OMP_WAIT_POLICY' not in os.environ:
        os.environ['OMP_WAIT_POLICY'] = 'PASSIVE'
        os.environ.setdefault('GOMP_SPINCOUNT', SPINS)


def original_sentence(error: UserError) -> str:
    """Return the sentence as it was first raised, details on their own lines.

    MMEngine's registries raise a built object's error again with the class
    prepended, and a loader's worker sends it with its traceback as text. Both keep
    the type and contain the first sentence; an error that merely followed another
    one does not, and is reported unchanged.

    Args:
        error: The error that reached the command line.
    """
    inner = error.__cause__ or error.__context__
    while isinstance(inner, UserError) and str(inner) in str(error):
        error, inner = inner, inner.__cause__ or inner.__context__
    # What the class is called in the text of a traceback, whichever kind it is.
    sentence = re.split(rf'{re.escape(UserError.__module__)}\.\w+: ', str(error))[-1]
    lines = sentence.split('\n- ')
    return '\n- '.join(' '.join(line.split()) for line in lines)


def _report(sentence: str) -> None:
    rank = os.environ.get('RANK') or os.environ.get('SLURM_PROCID') or '0'
    if rank == '0':
        sys.stderr.write(f'{sentence}\n')
        sys.stderr.flush()
    else:
        # A launcher ends all processes when one has failed: rank 0 reports first.
        time.sleep(SECONDS_BEFORE_EXIT)
