"""Steps that run side by side: which, in which order, and what a failure does."""

import threading
from pathlib import Path

import pytest
from mmengine.config import Config

from mmdistill.errors import ConfigError, DataError, UserError
from mmdistill.pipeline.side_by_side import check_jobs, commands_of, work_off
from mmdistill.pipeline.steps import Task

PATIENCE = 60.0


def task(name: str, *needs: str) -> Task:
    return Task(
        name, f'do {name}', [[name]], Path(), content=str, made=bool, needs=needs
    )


TASKS = [
    *(task('teacher'), task('detector'), task('boxes', 'detector')),
    *(task('labels', 'boxes', 'teacher'), task('audit', 'labels')),
    *(task('student', 'labels'), task('test', 'student', 'not there')),
]


class Run:
    """Does tasks and notes their order; those of `together` meet in their commands."""

    def __init__(self, *together: str, fails: str = '') -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.fails = fails
        self._together = together
        self._meeting = threading.Barrier(max(1, len(together)))
        self._others = threading.Lock()

    def perform(self, each, execute) -> None:
        # All but the command is done for one task at a time.
        assert self._others.acquire(blocking=False)
        self.begun.append(each.name)
        self._others.release()
        execute([each.name], Path())
        assert self._others.acquire(blocking=False)
        self.ended.append(each.name)
        self._others.release()

    def execute(self, command, log) -> float:
        if command[0] in self._together:
            self._meeting.wait(PATIENCE)
        if command[0] == self.fails:
            raise DataError(f'{self.fails} is damaged')
        return 0.0


@pytest.mark.parametrize('jobs', [1, 2, 5])
def test_each_is_done_once_and_after_what_it_needs(jobs):
    run = Run()
    work_off(TASKS, jobs, run.perform, run.execute)
    assert sorted(run.ended) == sorted(each.name for each in TASKS)
    for each in TASKS:
        before = run.ended[: run.ended.index(each.name)]
        assert {*each.needs} - {'not there'} <= {*before}
    if jobs == 1:
        assert run.begun == [each.name for each in TASKS]


def test_those_that_can_run_at_the_same_time():
    run = Run('teacher', 'detector')
    work_off(TASKS, 2, run.perform, run.execute)
    assert len(run.ended) == len(TASKS)
    run = Run('student', 'audit')
    work_off(TASKS, 2, run.perform, run.execute)
    assert len(run.ended) == len(TASKS)


def test_no_more_run_than_there_are_jobs():
    running, most = [], []

    def execute(command, log):
        running.append(command)
        most.append(len(running))
        threading.Event().wait(0.02)
        running.remove(command)
        return 0.0

    many = [task(f'{number}') for number in range(8)]
    work_off(many, 3, lambda each, execute: execute([each.name], Path()), execute)
    assert max(most) == 3


def test_after_a_failure_none_begins_and_the_others_end(logged):
    run = Run('teacher', 'detector', fails='detector')
    with pytest.raises(UserError, match='detector is damaged'):
        work_off(TASKS, 2, run.perform, run.execute)
    assert run.ended == ['teacher']
    assert sorted(run.begun) == ['detector', 'teacher']


def test_a_number_of_jobs_begins_at_one():
    check_jobs(1)
    with pytest.raises(ConfigError, match='--jobs must be a whole number from 1'):
        check_jobs(0)


def test_commands_beside_others_share_the_cores(monkeypatch, capfd, tmp_path):
    module = 'mmdistill.stages.round_commands.tool_file'
    script = "import os; print(os.environ.get('OMP_NUM_THREADS'))"
    (tmp_path / 'train.py').write_text(script)
    monkeypatch.setattr(module, lambda name: tmp_path / name)
    monkeypatch.setattr('os.sched_getaffinity', lambda pid: {*range(6)})
    log = tmp_path / 'teacher/log_0.txt'

    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    commands_of(Config(), 3)(['tools/train.py'], log)
    assert capfd.readouterr().out.endswith('[teacher] 2\n')
    monkeypatch.setenv('OMP_NUM_THREADS', '5')
    commands_of(Config(), 3)(['tools/train.py'], log)
    assert capfd.readouterr().out.endswith('[teacher] 5\n')
    # Alone it has all of them, and the terminal.
    monkeypatch.delenv('OMP_NUM_THREADS')
    commands_of(Config(), 1)(['tools/train.py'], log)
    assert capfd.readouterr().out.endswith('train.py\nNone\n')
