"""Writing of finished chunks beside the loop that computes the next ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

Row = TypeVar('Row')


class ChunkWriter(Generic[Row]):
    """Context in which chunks are written by a thread, one after the other.

    Encoding and the disk need no Python for most of their time, and the model does not
    wait for them. A chunk waits for the one before it, so memory stays flat. The
    context ends when everything is written, also where the loop ends by an error.

    Args:
        write: Function that writes the rows of a chunk.

    >>> written = []
    >>> with ChunkWriter(lambda chunk, rows: written.append((chunk, rows))) as writer:
    ...     writer.submit(0, ['a', 'b'])
    ...     writer.submit(1, ['c'])
    >>> written
    [(0, ['a', 'b']), (1, ['c'])]
    """

    def __init__(self, write: Callable[[int, Sequence[Row]], None]) -> None:
        self._write = write
        self._thread = ThreadPoolExecutor(1, thread_name_prefix='chunk-writer')
        self._last: Future[None] | None = None

    def __enter__(self) -> ChunkWriter[Row]:
        return self

    def submit(self, chunk: int, rows: Sequence[Row]) -> None:
        """Have a chunk written, after the one before it.

        Args:
            chunk: Its number.
            rows: Its rows, which no longer change.

        Raises:
            Exception: What writing the chunk before it raised.
        """
        self._wait()
        self._last = self._thread.submit(self._write, chunk, rows)

    def _wait(self) -> None:
        last, self._last = self._last, None
        if last is not None:
            last.result()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._thread.shutdown()
        if error is None:
            self._wait()
