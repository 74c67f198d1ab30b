"""How far a run is, on a terminal and elsewhere."""

from __future__ import annotations

import io
import os

import pytest
from mmengine.logging import MMLogger

from mmdistill.engine import console
from mmdistill.engine.console import ProgressLines, format_duration


class Stream(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.fixture
def clock(monkeypatch):
    """Seconds that tests set."""
    now = [0.0]
    monkeypatch.setattr(console.time, 'monotonic', lambda: now[0])
    return now


@pytest.fixture
def log(tmp_path):
    """What a run of images that take a second each writes, and its log file."""

    def start(terminal):
        file = tmp_path / 'run.log'
        logger = MMLogger.get_instance('lines', log_file=str(file))
        stream = Stream(terminal)
        logger.handlers[0].setStream(stream)
        return stream, file

    return start


def run(clock, progress, images, seconds=1.0):
    for _ in range(images):
        clock[0] += seconds
        progress.advance(1)
    progress.close()


def test_lines_elsewhere_than_on_a_terminal_come_every_ten_seconds(clock, log):
    stream, _ = log(terminal=False)
    run(clock, ProgressLines('labeling', 40, 40, 40), 40)
    lines = [line.rpartition(' - ')[2] for line in stream.getvalue().splitlines()]
    assert lines == [
        'labeling: 10 of 40 images (25.0%), 1 images/s, 30 s left',
        'labeling: 20 of 40 images (50.0%), 1 images/s, 20 s left',
        'labeling: 30 of 40 images (75.0%), 1 images/s, 10 s left',
        'labeling: 40 of 40 images (100.0%), 1 images/s, 0 s left',
        'labeling: 40 images took 40 s, 1 images/s',
    ]


def test_a_resumed_run_starts_from_what_is_done_at_its_own_rate(clock, log):
    stream, _ = log(terminal=False)
    run(clock, ProgressLines('labeling', 100, 40, 40), 10)
    assert (
        'labeling: 70 of 100 images (70.0%), 1 images/s, 30 s left' in stream.getvalue()
    )
    assert 'took' not in stream.getvalue()


def test_one_of_several_processes_stands_for_all(clock, log):
    stream, _ = log(terminal=False)
    run(clock, ProgressLines('labeling', 100, 80, 20), 10)
    assert (
        'labeling: 60 of 100 images (60.0%), 4 images/s, 10 s left' in stream.getvalue()
    )


def test_other_processes_are_silent(clock, log, monkeypatch):
    monkeypatch.setattr(console, 'is_main_process', lambda: False)
    stream, _ = log(terminal=True)
    run(clock, ProgressLines('labeling', 40, 40, 20), 20)
    assert stream.getvalue() == ''


@pytest.mark.parametrize('columns', [20, 60, 80, 200])
def test_a_terminal_has_a_bar_of_one_line_and_the_file_has_lines(
    clock, log, monkeypatch, columns
):
    size = os.terminal_size((columns, 24))
    monkeypatch.setattr(console.shutil, 'get_terminal_size', lambda: size)
    stream, file = log(terminal=True)
    run(clock, ProgressLines('labeling', 40, 40, 40), 40)

    bars, end, last = stream.getvalue().rpartition('\r\x1b[2K')
    drawn = bars.split('\r\x1b[2K')
    assert len(drawn) == 40
    assert max(map(len, drawn)) < columns
    assert end
    assert 'took 40 s' in last
    assert file.read_text().count('images/s') == 5
    if columns == 200:
        assert drawn[19].startswith('[##########..........] labeling: 20 of 40 images')


def test_a_run_without_work_says_nothing(clock, log):
    stream, _ = log(terminal=True)
    ProgressLines('labeling', 40, 0, 0).close()
    assert stream.getvalue() == ''


@pytest.mark.parametrize(
    ('seconds', 'words'),
    [
        (0, '0 s'),
        (59.6, '1 min 0 s'),
        (3599, '59 min 59 s'),
        (3600, '1 h 0 min'),
        (90_000, '1 d 1 h'),
        (float('inf'), 'unknown time'),
    ],
)
def test_time_in_words(seconds, words):
    assert format_duration(seconds) == words
