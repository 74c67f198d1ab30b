"""Measurement of work in a forked child: seconds and added memory.

A module of its own, which several benchmarks import.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path

FORK = multiprocessing.get_context('fork')


def memory(pid: int | str = 'self') -> dict[str, float]:
    """Return memory of a process in MiB: current, peak, proportional and private."""
    status = Path(f'/proc/{pid}/status').read_text().splitlines()
    rollup = Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines()
    lines = (line.split() for line in status + rollup if line.endswith('kB'))
    sizes = {words[0].rstrip(':'): int(words[1]) / 1024 for words in lines}
    own = sizes['Private_Clean'] + sizes['Private_Dirty']
    return dict(now=sizes['VmRSS'], peak=sizes['VmHWM'], pss=sizes['Pss'], own=own)


def in_child(
    work: Callable[[], dict[str, float]], warm_up: Callable[[], object] | None = None
) -> dict[str, float]:
    """Run work in a forked child; add its seconds and its added peak memory, MiB.

    A fork begins without the pages of the libraries' code, which come when they are
    touched; `warm_up` is a small version of the work that touches them before.
    """
    receiver, sender = FORK.Pipe(duplex=False)

    def call() -> None:
        if warm_up is not None:
            warm_up()
        gc.collect()
        before = memory()['now']
        start = time.perf_counter()
        result = work()
        seconds = time.perf_counter() - start
        peak = memory()['peak']
        timed = dict(seconds=seconds, memory=peak - before, peak=peak)
        sender.send({**timed, **result})
        sender.close()
        os._exit(0)

    child = FORK.Process(target=call)
    child.start()
    sender.close()
    try:
        return receiver.recv()
    finally:
        child.join()
