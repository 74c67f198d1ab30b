"""Terminal output of a run: filtered log lines, and progress over images.

The log file has every line; a terminal shows neither MMEngine's start-up lines nor
its batch counter. Progress is a bar on a terminal, and a line every ten seconds in a
log file.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterable
from typing import TextIO

from mmengine.dist import is_main_process
from mmengine.logging import MMLogger

LogCall = tuple[str, str]
"""Module and function that write a log line."""

START_LINES: tuple[LogCall, ...] = (('runner', '_log_env'), ('runner', '__init__'))
"""Functions by which MMEngine's runner logs environment, config and hooks."""
START_TEXTS = ('paramwise_options -- ', ' is skipped since its requires_grad=')
"""Parts of the lines by which MMEngine logs each parameter of an optimizer: the
settings of those that learn, and, as a warning, which ones a config freezes."""
BATCH_LINES: tuple[LogCall, ...] = (
    ('logger_hook', 'after_test_iter'),
    ('logger_hook', 'after_test_epoch'),
)
"""Functions by which MMEngine's hook counts the batches of a test run."""
FILE_ONLY = 'file_only'
"""Attribute of log records that are not shown on a terminal."""


class ConsoleFilter(logging.Filter):
    """Filter that hides lines meant for the log file only.

    A warning is shown unless its text is one to hide. A bar in the terminal's last line
    is erased before a line is shown.

    Args:
        handler: The handler that writes to the terminal.
    """

    def __init__(self, handler: logging.StreamHandler) -> None:
        super().__init__()
        self._handler = handler
        self._hidden: set[LogCall] = set()
        self._hidden_texts: set[str] = set()
        self._bar_is_shown = False

    @property
    def stream(self) -> TextIO:
        """The terminal."""
        return self._handler.stream

    def hide(self, calls: Iterable[LogCall], texts: Iterable[str] = ()) -> None:
        """Hide the lines of some functions, but for warnings, and those with some text.

        Args:
            calls: The functions.
            texts: Parts of lines, of warnings too.
        """
        self._hidden.update(calls)
        self._hidden_texts.update(texts)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is shown.

        Args:
            record: The record.
        """
        if record.levelno < logging.WARNING:
            call = (record.module, record.funcName)
            if call in self._hidden or FILE_ONLY in vars(record):
                return False
        if self._hidden_texts:
            message = record.getMessage()
            if any(text in message for text in self._hidden_texts):
                return False
        self.erase_bar()
        return True

    def draw_bar(self, text: str) -> None:
        """Show a text in the last line; it replaces the previous bar.

        Args:
            text: One line.
        """
        self.erase_bar()
        self.stream.write(text)
        self.stream.flush()
        self._bar_is_shown = True

    def erase_bar(self) -> None:
        """Clear the last line if it is a bar."""
        if self._bar_is_shown:
            self.stream.write('\r\x1b[2K')
            self.stream.flush()
            self._bar_is_shown = False


def console_filters(logger: logging.Logger) -> list[ConsoleFilter]:
    """Return the filters of the handlers that write to a terminal, adding missing ones.

    Args:
        logger: The logger of a run.
    """
    filters = []
    for handler in logger.handlers:
        # Files are streams too by their class.
        if isinstance(handler, logging.StreamHandler) and not isinstance(
            handler, logging.FileHandler
        ):
            present = [f for f in handler.filters if isinstance(f, ConsoleFilter)]
            if not present:
                present = [ConsoleFilter(handler)]
                handler.addFilter(present[0])
            filters += present
    return filters


SECONDS_BETWEEN_LINES = 10.0
SECONDS_BETWEEN_BARS = 0.5
BAR_WIDTH, MIN_BAR_WIDTH = 20, 4


class ProgressLines:
    """Report images per second and the time left, on rank 0 only.

    The rate is that of all processes of this run: each has an equal share of the
    chunks, so the progress of rank 0 stands for the others.

    Args:
        action: The action on the images, as ``'labeling'``.
        total: Images of the whole set.
        to_do: Images that this run has to do, on all processes.
        own: Images of these that this process has to do.
    """

    def __init__(self, action: str, total: int, to_do: int, own: int) -> None:
        self.action = action
        self.total = total
        self.to_do = to_do
        self.own = own
        self._own_done = 0
        self._logger = MMLogger.get_current_instance()
        self._consoles: list[ConsoleFilter] = []
        if is_main_process():
            self._consoles = console_filters(self._logger)
        for console in self._consoles:
            console.hide(BATCH_LINES)
        self._start = self._last_line = self._last_bar = time.monotonic()

    def advance(self, images: int) -> None:
        """Count finished images.

        Args:
            images: Number of images that this process has finished since the last call.
        """
        self._own_done += images
        if not is_main_process():
            return
        now = time.monotonic()
        if now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            self._logger.info(self._sentence(now), extra=self._extra())
        if now - self._last_bar >= SECONDS_BETWEEN_BARS:
            self._last_bar = now
            for console in self._terminals():
                console.draw_bar(self._bar(now))

    def close(self) -> None:
        """Erase the bar, and log the time taken where all images are done."""
        for console in self._consoles:
            console.erase_bar()
        if is_main_process() and self.own and self._own_done == self.own:
            seconds = time.monotonic() - self._start
            self._logger.info(
                f'{self.action}: {self.to_do} images took {format_duration(seconds)}, '
                f'{format_rate(self.to_do, seconds)}'
            )

    def _terminals(self) -> list[ConsoleFilter]:
        if not self._logger.isEnabledFor(logging.INFO):
            return []
        return [console for console in self._consoles if console.stream.isatty()]

    def _extra(self) -> dict[str, bool]:
        """Keep progress lines out of terminals, which show a bar."""
        return {FILE_ONLY: True} if self._terminals() else {}

    def _progress(self, now: float) -> tuple[int, float, float]:
        """Return finished images of the whole set, seconds so far and seconds left."""
        seconds = now - self._start
        share = self._own_done / max(self.own, 1)
        done = self.total - self.to_do + round(self.to_do * share)
        left = seconds * (1 - share) / share if share else float('inf')
        return done, seconds, left

    def _sentence(self, now: float) -> str:
        done, seconds, left = self._progress(now)
        new = done - (self.total - self.to_do)
        return (
            f'{self.action}: {done} of {self.total} images '
            f'({done / self.total:.1%}), {format_rate(new, seconds)}, '
            f'{format_duration(left)} left'
        )

    def _bar(self, now: float) -> str:
        done, _, _ = self._progress(now)
        sentence = self._sentence(now)
        # A line that wraps could not be erased.
        room = shutil.get_terminal_size().columns - 1
        width = min(room - len(sentence) - len('[] '), BAR_WIDTH)
        if width < MIN_BAR_WIDTH:
            return sentence[:room]
        full = width * done // self.total
        return f'[{"#" * full}{"." * (width - full)}] {sentence}'


def format_rate(images: int, seconds: float) -> str:
    """Format a rate as images per second.

    Args:
        images: Number of images.
        seconds: Time they took.
    """
    return f'{images / max(seconds, 1e-9):.3g} images/s'


def format_duration(seconds: float) -> str:
    """Format a time in its two largest units.

    Args:
        seconds: The time; infinite where it is unknown.
    """
    if seconds == float('inf'):
        return 'unknown time'
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f'{days} d {hours} h'
    if hours:
        return f'{hours} h {minutes} min'
    return f'{minutes} min {rest} s' if minutes else f'{rest} s'
