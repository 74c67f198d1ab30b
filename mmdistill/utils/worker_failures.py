"""Causes of failed workers, allocations and writes, by messages of torch and Linux."""

from __future__ import annotations

import errno
import re
import time
import traceback

FAILURES = (RuntimeError, OSError, MemoryError, EOFError)
"""Classes of the errors whose messages are searched."""
SECONDS_TO_SIGNAL = 1.0
"""Time within which the signal of a dead process arrives."""
LOADER_FILES = ('torch/multiprocessing/reductions.py', 'torch/utils/data/dataloader.py')
"""Files of torch that fail first when a worker process is gone."""
DIED = (
    'a worker process that reads images died, often because memory or shared memory '
    '(/dev/shm) is full'
)
CAUSES: tuple[tuple[str, str], ...] = (
    (
        r'killed by signal: Bus error|out of shared memory'
        r'|(?:shm_open|shared memory|</?torch_|/dev/shm|mmap).*'
        r'(?:No space left|Cannot allocate memory|\(28\)|\(12\))'
        r'|(?:No space left|Cannot allocate memory).*(?:/dev/shm|shared memory)',
        'the shared memory (/dev/shm) through which worker processes send images is '
        'full: fewer of them, smaller batches, or a larger one (docker run '
        '--shm-size=8g)',
    ),
    (
        r'worker \(pid\(?s?\)?:? [\d, ]+\) is killed by signal: Killed',
        'a worker process that reads images was killed, by the system where it was '
        'out of memory: fewer of them or smaller batches need less',
    ),
    (
        r'worker \(pid.*?\) is killed by signal: (?P<signal>[^.]+)',
        'a worker process that reads images died ({signal})',
    ),
    (
        r'worker \(pid.*?\) exited unexpectedly|Pin memory thread exited unexpectedly',
        DIED,
    ),
    (
        r'DataLoader timed out after (?P<signal>\d+)',
        'worker processes gave no batch of images within {signal} seconds, the '
        'timeout that the config states',
    ),
    (
        r'Too many open files|received 0 items of ancdata',
        'worker processes share more images than files may be open: raise the limit '
        '(ulimit -n 65536), or have fewer of them',
    ),
    (
        r'CUDA out of memory|CUDA error: out of memory',
        'the memory of the GPU is full',
    ),
    (
        r"can't allocate memory|not enough memory|Unable to allocate"
        r'|Cannot allocate memory|MemoryError|std::bad_alloc',
        'the memory of this machine is full',
    ),
)
"""Regular expressions of messages with their causes, the most specific first."""


def failure_cause(error: BaseException) -> str | None:
    """Find the cause of a failure that is not a defect of the program.

    Args:
        error: Any error.

    Returns:
        A sentence; None where the error concerns neither workers nor memory.
    """
    if not isinstance(error, FAILURES):
        return None
    try:
        return _cause(error)
    except RuntimeError as death:
        # The signal came while the traceback was read.
        return _cause(death)


DISK_ERRORS = {
    errno.ENOSPC: 'the disk is full',
    errno.EDQUOT: 'the quota of the disk is used up',
    errno.EROFS: 'the disk is read-only',
    errno.EIO: 'the disk failed',
}
"""Errors of a disk, whatever is written, with their causes."""
WRITER_FAILED = 'PytorchStreamWriter failed writing'
"""Part of torch's message where a checkpoint could not be written."""


def disk_cause(error: BaseException) -> str | None:
    """Find the cause of a write that the disk refused.

    Args:
        error: Any error.

    Returns:
        A sentence with the file, where the error names it; None for other errors.
    """
    if isinstance(error, OSError) and error.errno in DISK_ERRORS:
        file = f'{error.filename} could not be written: ' if error.filename else ''
        return f'{file}{DISK_ERRORS[error.errno]} ({error.strerror})'
    if isinstance(error, RuntimeError) and WRITER_FAILED in str(error):
        return 'a checkpoint could not be written, mostly because the disk is full'
    return None


def _cause(error: BaseException) -> str | None:
    if _is_broken_pipe(error):
        error = _signaled_error(error)
    texts = [_text(error)] + ([_text(error.__cause__)] if error.__cause__ else [])
    for expression, sentence in CAUSES:
        for text in texts:
            match = re.search(expression, text, re.DOTALL)
            if match:
                return sentence.format(**match.groupdict())
    return DIED if _is_broken_pipe(error) else None


def _is_broken_pipe(error: BaseException) -> bool:
    """Whether a worker was gone when the loader asked it for a batch's memory."""
    kinds = (ConnectionError, EOFError, FileNotFoundError)
    # What a worker itself raised comes with its traceback as text.
    if not isinstance(error, kinds) or 'DataLoader worker process' in str(error):
        return False
    files = (frame.filename for frame in traceback.extract_tb(error.__traceback__))
    return any(file.replace('\\', '/').endswith(LOADER_FILES) for file in files)


def _signaled_error(error: BaseException) -> BaseException:
    """Wait for the error in which torch reports how a worker died.

    A signal raises it, wherever the program is by then.
    """
    try:
        time.sleep(SECONDS_TO_SIGNAL)
    except RuntimeError as death:
        return death
    return error


def _text(error: BaseException) -> str:
    """Message of an error, with its kind where it is one of memory."""
    if isinstance(error, MemoryError):
        return f'MemoryError {error}'
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return f'Cannot allocate memory {error}'
    return str(error)
