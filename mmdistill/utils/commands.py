"""Commands in processes of their own, and the lock of the folder that they write to."""

from __future__ import annotations

import fcntl
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, BinaryIO

from mmdistill.errors import StoreError, UserError

LAST_LINES_SECONDS = 10.0
"""Time that the last lines of a command that ended have to be printed."""
LOCK_FILE = '.lock'
"""Name of the lock file in a work folder."""
_DIE_WITH_PARENT = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
os.execvp(sys.argv[1], sys.argv[1:])
"""
MORTAL = (
    (sys.executable, '-I', '-c', _DIE_WITH_PARENT)
    if sys.platform.startswith('linux')
    else ()
)
"""Beginning of a command that ends when the process that started it is killed."""


def run_command(
    command: Sequence[str],
    name: str,
    output: IO[str] | None = None,
    environment: Mapping[str, str] | None = None,
    remedy: str = '',
    dies_with_parent: bool = False,
    prefix: str = '',
) -> float:
    """Run a command in a process of its own, to its end.

    Args:
        command: The program and its arguments.
        name: Name of the command, for the error.
        output: File for what it prints; else that is printed as it comes.
        environment: Variables of its environment beside those of this process.
        remedy: What is said after the exit code where it fails.
        dies_with_parent: Whether it is ended when this process is killed; Linux only.
        prefix: Beginning of each line that it prints, where others run beside it; it
            prints to no terminal then.

    Returns:
        Seconds of processor time, those of the loader's workers included.

    Raises:
        UserError: If it fails.
    """
    words = [*MORTAL, *command] if dies_with_parent else list(command)
    process = subprocess.Popen(
        words,
        stdout=subprocess.PIPE if prefix else output,
        stderr=subprocess.STDOUT if output or prefix else None,
        env={**os.environ, **(environment or {})},
        close_fds=False,  # the children hold the lock of the work folder on
    )
    reader = threading.Thread(target=_print_lines, args=(process.stdout, prefix))
    reader.daemon = True
    reader.start()
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except KeyboardInterrupt:
        # The terminal interrupts all processes; its own end comes first.
        process.wait()
        raise
    process.returncode = os.waitstatus_to_exitcode(status)
    # Whatever a command leaves behind may hold its output open.
    reader.join(LAST_LINES_SECONDS)
    if process.returncode:
        raise UserError(f'{name} ended with {process.returncode}{remedy}')
    return usage.ru_utime + usage.ru_stime


def _print_lines(lines: IO[bytes] | None, prefix: str) -> None:
    """Print lines as they come, each with its prefix, to their end."""
    if lines is None:
        return
    with lines:
        for line in lines:
            sys.stdout.write(prefix + line.decode(errors='replace'))
            sys.stdout.flush()


def locked(work_dir: Path, patience: float = 0) -> BinaryIO:
    """Lock a work folder for this process and its children, until they end.

    Args:
        work_dir: The folder; it is created if it does not exist.
        patience: Seconds to wait for the one who works in it.

    Returns:
        The lock, to be kept.

    Raises:
        StoreError: If somebody works in it.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    lock = (work_dir / LOCK_FILE).open('a+b')
    os.set_inheritable(lock.fileno(), True)
    deadline = time.monotonic() + patience
    while not _taken(lock):
        if time.monotonic() < deadline:
            time.sleep(0.1)
            continue
        lock.close()
        raise StoreError(
            f'another process works in {work_dir}; let it end, or stop it and start '
            'again'
        )
    return lock


def _taken(lock: BinaryIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def shown(command: Sequence[str]) -> str:
    """Format a command of this package as it is typed.

    Args:
        command: A tool and its arguments, without the interpreter.
    """
    return shlex.join(['python', *command])
