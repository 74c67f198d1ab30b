"""Failures of workers and memory are told in a sentence; defects are not."""

from __future__ import annotations

import os
import signal
import traceback

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from mmdistill.cli.main import WORKER_ADVICE, run
from mmdistill.utils.worker_failures import FAILURES, failure_cause

MEMORY, SHARED, DIED = 'memory of this machine', 'shared memory', 'worker process'


def kill(number):
    os.kill(os.getpid(), number)


def no_space():
    raise RuntimeError(
        'unable to write to file </torch_77_1_0>: No space left on device (28)'
    )


ENDS = {
    'killed': (lambda: kill(signal.SIGKILL), 'was killed'),
    'crashed': (lambda: kill(signal.SIGSEGV), 'died'),
    'bus error': (lambda: kill(signal.SIGBUS), SHARED),
    'left': (lambda: os._exit(3), 'died'),
    'no memory': (lambda: np.zeros((10**6, 10**10)), MEMORY),
    'no memory of torch': (lambda: torch.zeros(10**15), MEMORY),
    'no space': (no_space, SHARED),
}


class Dying(torch.utils.data.Dataset):
    """Eight numbers, one of which ends its reader."""

    def __init__(self, end: str) -> None:
        self.end = end

    def __len__(self) -> int:
        return 8

    def __getitem__(self, number: int) -> torch.Tensor:
        if number == 3:
            ENDS[self.end][0]()
        return torch.zeros(3)


@pytest.mark.parametrize('end', ENDS)
def test_the_end_of_a_real_worker_has_a_cause(end):
    cause = None
    try:
        for _ in DataLoader(Dying(end), num_workers=1):
            pass
    except FAILURES as error:
        cause = failure_cause(error)
    assert cause is not None
    assert ENDS[end][1] in cause


@pytest.mark.parametrize(
    ('error', 'words'),
    [
        (
            RuntimeError(
                'unable to mmap 4194304 bytes from file </torch_1_2_3>: Cannot '
                'allocate memory (12)'
            ),
            SHARED,
        ),
        (
            RuntimeError(
                'unable to open shared memory object </torch_1_2_3> in read-write '
                'mode: No space left on device (28)'
            ),
            SHARED,
        ),
        (RuntimeError('received 0 items of ancdata'), 'ulimit -n'),
        (OSError(24, 'Too many open files'), 'ulimit -n'),
        (OSError(12, 'Cannot allocate memory'), MEMORY),
        (MemoryError(), MEMORY),
        (RuntimeError('CUDA out of memory. Tried to allocate 2 GiB'), 'GPU'),
        (RuntimeError('DataLoader timed out after 30 seconds'), '30 seconds'),
    ],
)
def test_words_of_torch_and_of_the_system_have_a_cause(error, words):
    assert words in failure_cause(error)


@pytest.mark.parametrize(
    'error',
    [
        RuntimeError('mat1 and mat2 shapes cannot be multiplied'),
        OSError(28, 'No space left on device', 'work_dirs/iter_1.pth'),
        FileNotFoundError(2, 'No such file or directory', 'a.json'),
        ConnectionResetError(104, 'Connection reset by peer'),
        ValueError('killed by signal: Killed'),
    ],
)
def test_other_errors_have_none(error):
    assert failure_cause(error) is None


def test_a_tool_reports_the_cause_and_the_remedy(capsys):
    def main(argv):
        for _ in DataLoader(Dying('killed'), num_workers=1):
            pass

    lines = []
    # Torch's own word, that it was killed, comes by a signal, which may be lost.
    while len(lines) < 5 and not any('was killed, by the system' in x for x in lines):
        assert run(main, [], WORKER_ADVICE) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith('error: a worker process that reads images ')
        assert 'num_workers=0' in line
        lines.append(line)

    assert lines[-1].startswith(
        'error: a worker process that reads images was killed, by the system'
    )


def test_a_defect_keeps_its_traceback():
    def main(argv):
        raise RuntimeError('a defect')

    with pytest.raises(RuntimeError, match='a defect') as caught:
        run(main, [])
    assert 'in main' in ''.join(traceback.format_tb(caught.value.__traceback__))
