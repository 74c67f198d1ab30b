"""Which lines of a run's log reach the terminal; the log file has them all."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TextIO

LogCall = tuple[str, str]
"""Module and function that write a line."""

START_LINES: tuple[LogCall, ...] = (('runner', '_log_env'), ('runner', '__init__'))
"""Where MMEngine's runner logs environment, config and hooks: hundreds of lines."""
BATCH_LINES: tuple[LogCall, ...] = (
    ('logger_hook', 'after_test_iter'),
    ('logger_hook', 'after_test_epoch'),
)
"""Where MMEngine's hook counts the batches of a test run."""
FILE_ONLY = 'file_only'
"""Attribute of records that no terminal shows."""


class ConsoleFilter(logging.Filter):
    """Filter that leaves out what only the log file is for, and no warning.

    A bar that stands in the terminal's last line is erased before a line is shown.

    Args:
        handler: The handler that writes to the terminal.
    """

    def __init__(self, handler: logging.StreamHandler) -> None:
        super().__init__()
        self._handler = handler
        self._hidden: set[LogCall] = set()
        self._bar_is_shown = False

    @property
    def stream(self) -> TextIO:
        """The terminal."""
        return self._handler.stream

    def hide(self, calls: Iterable[LogCall]) -> None:
        """Leave out the lines of some functions.

        Args:
            calls: The functions.
        """
        self._hidden.update(calls)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is shown.

        Args:
            record: The record.
        """
        if record.levelno < logging.WARNING:
            call = (record.module, record.funcName)
            if call in self._hidden or FILE_ONLY in vars(record):
                return False
        self.erase_bar()
        return True

    def draw_bar(self, text: str) -> None:
        """Show a text in the last line, in place of the one before.

        Args:
            text: One line.
        """
        self.erase_bar()
        self.stream.write(text)
        self.stream.flush()
        self._bar_is_shown = True

    def erase_bar(self) -> None:
        """Empty the last line if a bar stands there."""
        if self._bar_is_shown:
            self.stream.write('\r\x1b[2K')
            self.stream.flush()
            self._bar_is_shown = False


def console_filters(logger: logging.Logger) -> list[ConsoleFilter]:
    """The filters of the handlers that write to a terminal, made where there is none.

    Args:
        logger: The logger of a run.
    """
    filters = []
    for handler in logger.handlers:
        # Files are streams too by their class.
        if isinstance(handler, logging.StreamHandler) and not isinstance(
            handler, logging.FileHandler
        ):
            own = [each for each in handler.filters if isinstance(each, ConsoleFilter)]
            if not own:
                own = [ConsoleFilter(handler)]
                handler.addFilter(own[0])
            filters += own
    return filters
