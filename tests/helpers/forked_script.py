"""What a fork of the imported host does: it becomes a process that runs a script."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import sys
from pathlib import Path
from typing import Any


def become(job: dict[str, Any]) -> None:
    """Run a script as Python would in a folder and an environment, into a log."""
    log = os.open(job['log'], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(log, stream.fileno())
    os.chdir(job['folder'])
    os.environ.clear()
    os.environ.update(job['environment'])
    sys.argv = job['command']
    sys.path.insert(0, str(Path(sys.argv[0]).parent))
    # A fork has its parent's way to start processes, a new process has chosen none.
    multiprocessing.set_start_method(None, force=True)
    try:
        runpy.run_path(sys.argv[0], run_name='__main__')
    finally:
        atexit._run_exitfuncs()


if 'job' in globals():
    become(globals()['job'])
