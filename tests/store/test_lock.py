"""One run at a time."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal

import pytest

from mmdistill.errors import UserError
from mmdistill.store import lock
from mmdistill.store.lock import RunLock, run_alive

FORK = multiprocessing.get_context('fork')


def hold(root, rank, ready) -> None:
    lock = RunLock(root)
    lock.acquire(rank)
    ready.set()
    signal.pause()


@pytest.fixture
def holder(tmp_path):
    """Start a process that holds the lock as some rank."""
    started = []

    def start(rank=0):
        ready = FORK.Event()
        process = FORK.Process(target=hold, args=(tmp_path, rank, ready))
        process.start()
        started.append(process)
        assert ready.wait(10)
        return process

    yield start
    for process in started:
        process.kill()
        process.join()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(lock, 'PROBE_SECONDS', 0.1)
    monkeypatch.setattr(lock, 'SURVIVOR_SECONDS', 0.1)


def test_a_second_holder_is_refused_with_the_name_of_the_first(tmp_path, holder):
    process = holder()
    with pytest.raises(UserError, match=f'another run .*process {process.pid} on'):
        RunLock(tmp_path).acquire()


def test_the_lock_of_a_dead_process_is_free(tmp_path, holder):
    process = holder()
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    RunLock(tmp_path).acquire()


def test_a_surviving_rank_of_a_dead_run_is_waited_for(tmp_path, holder):
    first = holder(0)
    other = holder(1)
    first.kill()
    first.join()
    with pytest.raises(UserError, match='processes of a run that was killed still'):
        RunLock(tmp_path).acquire()
    other.kill()
    other.join()
    RunLock(tmp_path).acquire()


def test_ranks_of_one_run_do_not_exclude_each_other(holder):
    assert all(holder(rank).is_alive() for rank in (0, 1, 2))


def test_a_refused_process_holds_nothing(tmp_path, holder):
    process = holder()
    refused = RunLock(tmp_path)
    with pytest.raises(UserError):
        refused.acquire()
    process.kill()
    process.join()
    holder()


def test_the_living_run_is_named(tmp_path, holder):
    assert run_alive(tmp_path) == ''
    process = holder()
    assert run_alive(tmp_path).startswith(f'process {process.pid} on ')
    process.kill()
    process.join()
    assert run_alive(tmp_path) == ''


def test_looking_does_not_take_the_lock(tmp_path, holder):
    (tmp_path / '.lock').touch()
    run_alive(tmp_path)
    holder()


def test_a_released_lock_leaves_an_empty_file(tmp_path):
    mine = RunLock(tmp_path)
    mine.acquire()
    mine.release()
    assert (tmp_path / '.lock').read_bytes() == b''


def test_the_run_that_a_sentence_names_may_be_stopped(tmp_path, holder):
    process = holder()
    with pytest.raises(UserError, match='let it end, or stop it') as caught:
        RunLock(tmp_path).acquire()
    (number,) = re.findall(r'\(process (\d+) on ', str(caught.value))
    os.kill(int(number), signal.SIGTERM)
    process.join()
    RunLock(tmp_path).acquire()


def test_processes_of_a_killed_run_are_named_to_be_stopped(tmp_path, holder):
    first, *others = [holder(rank) for rank in (0, 1, 2, 5)]
    first.kill()
    first.join()
    with pytest.raises(UserError, match='stop them and start again') as caught:
        RunLock(tmp_path).acquire()
    numbers = [
        int(number) for number in re.findall(r'process (\d+)', str(caught.value))
    ]
    assert numbers == [process.pid for process in others]
    for number in numbers:
        os.kill(number, signal.SIGTERM)
    for process in others:
        process.join()
    RunLock(tmp_path).acquire()
