"""What of a log reaches the terminal."""

from __future__ import annotations

import io
import logging

import pytest
from mmengine.logging import MMLogger

from mmdistill.engine.console import FILE_ONLY, ConsoleFilter, console_filters


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(tmp_path):
    """A logger that writes to a terminal and to a file."""
    logger = MMLogger('console', log_file=str(tmp_path / 'run.log'))
    stream = Terminal()
    logger.handlers[0].setStream(stream)
    return logger, stream, tmp_path / 'run.log'


def noise(logger, level=logging.INFO):
    logger.log(level, 'two hundred lines')


def test_hidden_lines_are_in_the_file_alone(terminal):
    logger, stream, file = terminal
    (console,) = console_filters(logger)
    console.hide([('test_console', 'noise')])

    noise(logger)
    logger.info('what happens')
    logger.info('a figure', extra={FILE_ONLY: True})

    assert 'what happens' in stream.getvalue()
    assert 'lines' not in stream.getvalue()
    assert 'figure' not in stream.getvalue()
    for text in ('two hundred lines', 'what happens', 'a figure'):
        assert text in file.read_text()


@pytest.mark.parametrize('level', [logging.WARNING, logging.ERROR])
def test_no_warning_is_hidden(terminal, level):
    logger, stream, _ = terminal
    (console,) = console_filters(logger)
    console.hide([('test_console', 'noise')])
    noise(logger, level)
    assert 'lines' in stream.getvalue()


@pytest.mark.parametrize('level', [logging.INFO, logging.WARNING])
def test_a_line_with_a_hidden_text_is_in_the_file_alone(terminal, level):
    logger, stream, file = terminal
    (console,) = console_filters(logger)
    console.hide((), ['two hundred'])
    noise(logger, level)
    logger.warning('what is odd')
    assert stream.getvalue().count('\n') == 1
    assert 'two hundred lines' in file.read_text()


def test_a_handler_has_one_filter_and_files_have_none(terminal):
    logger, _, _ = terminal
    assert console_filters(logger) == console_filters(logger)
    counts = [
        sum(isinstance(each, ConsoleFilter) for each in handler.filters)
        for handler in logger.handlers
    ]
    assert counts == [1, 0]


def test_a_line_takes_the_place_of_the_bar(terminal):
    logger, stream, _ = terminal
    (console,) = console_filters(logger)
    console.draw_bar('[##..]')
    logger.info('a line')
    written = stream.getvalue()
    assert (
        written.index('[##..]') < written.index('\r\x1b[2K') < written.index('a line')
    )
