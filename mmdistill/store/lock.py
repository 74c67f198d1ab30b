"""Locks that keep a store to one run at a time.

They are POSIX record locks: the kernel frees them when the process that took them ends,
even by SIGKILL, and processes it forked (a loader's workers) do not inherit them.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import time
from pathlib import Path
from typing import BinaryIO

from mmdistill.errors import StoreError, UserError

LOCK_FILE = '.lock'
"""Name of the lock file in a store's folder."""
PROBE_SECONDS = 1.0
"""Time that a check by `run_alive` may hold the lock."""
SURVIVOR_SECONDS = 60.0
"""Time that processes may outlive the first one of their run."""
FLOCK = '@hhqqi0q'
"""`struct flock` of 64-bit Linux: kind, whence, start, length, process."""


class RunLock:
    """Lock of a run on a store's folder, held until `release` or the process ends.

    The first process of a run holds the first byte of the lock file, each other
    process the byte of its rank. A new run needs all of them to be free: it does
    not begin while processes of a killed one are still writing.

    Args:
        root: The store's folder; it is created if it does not exist.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / LOCK_FILE
        self._file: BinaryIO | None = None
        self._signed = False

    def acquire(self, rank: int = 0) -> None:
        """Take the lock for a process; rank 0 must be the first to do so.

        Args:
            rank: Rank of the process in its run.

        Raises:
            UserError: If another run has it, or the folder cannot be written to.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered, so that closing never fails for want of space.
            self._file = self._path.open('r+b' if rank else 'a+b', buffering=0)
        except OSError as error:
            raise self._refused(error) from error
        try:
            self._take(self._file, rank)
        except StoreError:
            self.release()
            raise
        except OSError as error:
            self.release()
            raise self._refused(error) from error

    def release(self) -> None:
        """Release the lock, if it is held."""
        if self._file is None:
            return
        if self._signed:
            self._file.truncate(0)
            self._signed = False
        # Closing frees the locks, all that this process has on the file.
        self._file.close()
        self._file = None

    def _refused(self, error: OSError) -> UserError:
        return StoreError(f'{self._path} could not be written: {error.strerror}')

    def _take(self, file: BinaryIO, rank: int) -> None:
        root = self._path.parent
        if not _locked(file, 1, rank, PROBE_SECONDS):
            raise StoreError(
                f'another run writes into {root} ({_holder(file)}); let it end, or '
                'stop it and start again'
            )
        if rank:
            return
        if not _locked(file, 0, 1, SURVIVOR_SECONDS):
            raise StoreError(
                f'processes of a run that was killed still write into {root} '
                f'({_others(file)}); stop them and start again'
            )
        fcntl.lockf(file, fcntl.LOCK_UN, 0, 1)
        self._signed = True
        file.truncate(0)
        file.write(f'process {os.getpid()} on {socket.gethostname()}'.encode())


def run_alive(root: Path) -> str:
    """Describe the process that writes into a store now; empty if none does.

    Args:
        root: The store's folder.
    """
    try:
        with (root / LOCK_FILE).open('rb') as file:
            if _locked(file, 0, 0, 0, fcntl.LOCK_SH):
                return ''
            return _holder(file)
    except FileNotFoundError:
        return ''


def _locked(
    file: BinaryIO, length: int, start: int, patience: float, kind: int = fcntl.LOCK_EX
) -> bool:
    """Try to lock bytes within some seconds; a length of 0 is the whole file."""
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.lockf(file, kind | fcntl.LOCK_NB, length, start)
        except (BlockingIOError, PermissionError):
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.05)
        else:
            return True


def _others(file: BinaryIO) -> str:
    """The processes that hold a byte, as the kernel knows them."""
    start, numbers = 0, []
    while True:
        asked = struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, start, 0, 0)
        answer = fcntl.fcntl(file, fcntl.F_GETLK, asked)
        kind, _, begin, length, number = struct.unpack(FLOCK, answer)
        if kind == fcntl.F_UNLCK:
            break
        numbers.append(number)
        if not length:  # to the end of the file
            break
        start = begin + length
    # Those of other machines, on a shared disk, have no number here.
    named = ', '.join(f'process {number}' for number in numbers if number > 0)
    return named or 'unknown processes'


def _holder(file: BinaryIO) -> str:
    file.seek(0)
    return file.read(200).decode(errors='replace') or 'unknown process'
