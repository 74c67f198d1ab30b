"""Processes that tests start, one or several that work together.

Most of what a launched tool takes are the imports of its host. A fork has them from a
process that has imported MMPose and nothing else, least of all this package, so that
whatever a script needs of ours it still finds by itself.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import socket
import sys
import tempfile
from collections.abc import Sequence
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path

ROOT = Path(__file__).parents[2]
TIMEOUT = 240
HOST = multiprocessing.get_context('forkserver')
HOST.set_forkserver_preload(['mmpose.apis', 'mmpose.datasets', 'mmpose.models'])


def torchrun(script: Path, *arguments: str, ranks: int = 2) -> list[str]:
    """The command that starts a script on several ranks."""
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone']
    return [*command, '--nproc-per-node', str(ranks), str(script), *arguments]


def run_forked(script: Path, *arguments: str) -> str:
    """Run a script in a process of its own; returns what it said.

    Args:
        script: A file of Python.
        arguments: Its arguments.

    Raises:
        AssertionError: If it does not end with 0; with what it said.
    """
    code, said = _run([str(script), *arguments], [{}])
    assert code == 0, said
    return said


def launch_forked(script: Path, *arguments: str, ranks: int = 2) -> None:
    """Run a script on ranks; what it said is shown if it fails."""
    code, said = run_ranks(script, *arguments, ranks=ranks)
    assert code == 0, said


def run_ranks(script: Path, *arguments: str, ranks: int = 2) -> tuple[int, str]:
    """Run a script on ranks, in the environment that torchrun gives them.

    Returns:
        The exit code of the first rank that failed, else 0, and what they said.
        When one fails the others are ended, as torchrun does.
    """
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    shared = dict(MASTER_ADDR='127.0.0.1', MASTER_PORT=port, WORLD_SIZE=ranks)
    return _run(
        [str(script), *arguments],
        [dict(shared, RANK=rank, LOCAL_RANK=rank) for rank in range(ranks)],
    )


def _run(command: list[str], variables: Sequence[dict[str, object]]) -> tuple[int, str]:
    with tempfile.NamedTemporaryFile() as log:
        processes = [_fork(command, log.name, each) for each in variables]
        try:
            code = _first_failure(processes)
        finally:
            for process in processes:
                process.kill()
                process.join()
        return code, Path(log.name).read_text(errors='replace')


def _fork(
    command: list[str], log: str, variables: dict[str, object]
) -> ForkServerProcess:
    own = {key: str(value) for key, value in variables.items()}
    job = dict(
        command=command,
        log=log,
        folder=str(Path.cwd()),
        environment={**os.environ, **own, 'PYTHONPATH': str(ROOT)},
    )
    script = Path(__file__).with_name('forked_script.py')
    process = HOST.Process(target=runpy.run_path, args=(str(script), dict(job=job)))
    process.start()
    return process


def _first_failure(processes: Sequence[ForkServerProcess]) -> int:
    running = {process.sentinel: process for process in processes}
    while running:
        ended = wait(list(running), TIMEOUT)
        assert ended, f'no end within {TIMEOUT} s'
        for sentinel in ended:
            process = running.pop(sentinel)
            process.join()
            if process.exitcode:
                return process.exitcode
    return 0
