"""Resumption, with an executor that only writes what the tools would leave."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from mmdistill.errors import UserError


@pytest.fixture
def runs(load):
    return load('gap_recovery.runs')


@pytest.fixture
def make_plan(load):
    Run = load('gap_recovery.plan').Run  # a dataclass

    def make(work_dir, length=10):
        def training(name, config, *rest, needs=()):
            folder = f'{work_dir}/{name}'
            train = ['tools/train.py', config, '--work-dir', folder, *rest]
            test = ['tools/test.py', config, f'{folder}/iter.pth']
            test += ['--out', f'{folder}/metrics.json']
            return Run(name, config, [train, test], needs)

        return [
            training('seed0/teacher', 'a.py', f'length={length}'),
            training('seed0/student', 'b.py', needs=['seed0/teacher']),
        ]

    return make


class Tools:
    """Leaves a checkpoint after a training, metrics after a test."""

    def __init__(self, killed_at=None):
        self.called: list[list[str]] = []
        self.killed_at = killed_at

    def __call__(self, command, log: Path) -> float:
        self.called.append(list(command))
        if command[0] == 'tools/train.py':
            folder = Path(command[command.index('--work-dir') + 1])
            (folder / 'last_checkpoint').write_text('iter_5.pth')
        if len(self.called) == self.killed_at:
            raise KeyboardInterrupt
        if '--out' in command:
            out = Path(command[command.index('--out') + 1])
            out.write_text(json.dumps({'PCK': 0.5}))
        return 60.0


@pytest.fixture
def ledger(runs, tmp_path):
    return runs.Ledger(tmp_path / 'runs', {'a.py': {'lr': 1}, 'b.py': {'lr': 2}})


def perform_all(ledger, plan, tools) -> dict:
    prints = ledger.fingerprints(plan)
    for run in plan:
        if run.name not in ledger.results(plan):
            ledger.perform(run, prints[run.name], tools)
    return ledger.results(plan)


def test_a_finished_run_has_its_metrics_and_is_not_run_again(ledger, make_plan):
    plan = make_plan(ledger.work_dir)
    results = perform_all(ledger, plan, Tools())
    assert results['seed0/student']['metrics'] == {'PCK': 0.5}
    assert results['seed0/student']['seconds'] == 120.0
    again = Tools()
    perform_all(ledger, plan, again)
    assert again.called == []


def test_a_training_that_was_killed_is_resumed(ledger, make_plan):
    plan = make_plan(ledger.work_dir)
    with pytest.raises(KeyboardInterrupt):
        perform_all(ledger, plan, Tools(killed_at=1))
    again = Tools()
    results = perform_all(ledger, plan, again)
    first = plan[0].commands[0]
    assert again.called[0] == [*first[:2], '--resume', *first[2:]]
    assert results['seed0/teacher']['resumed'] == 1
    assert results['seed0/student']['resumed'] == 0


def test_every_resumption_is_counted(ledger, make_plan):
    plan = make_plan(ledger.work_dir)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            perform_all(ledger, plan, Tools(killed_at=1))
    assert perform_all(ledger, plan, Tools())['seed0/teacher']['resumed'] == 3


def test_after_a_kill_in_the_test_only_the_test_is_run(ledger, make_plan):
    plan = make_plan(ledger.work_dir)
    with pytest.raises(KeyboardInterrupt):
        perform_all(ledger, plan, Tools(killed_at=2))
    again = Tools()
    perform_all(ledger, plan, again)
    assert [command[0] for command in again.called] == [
        *('tools/test.py', 'tools/train.py', 'tools/test.py')
    ]
    assert '--resume' not in again.called[1]


def test_a_changed_command_runs_again_with_all_that_needs_it(ledger, make_plan):
    perform_all(ledger, make_plan(ledger.work_dir), Tools())
    longer = make_plan(ledger.work_dir, length=20)
    assert ledger.results(longer) == {}
    tools = Tools()
    perform_all(ledger, longer, tools)
    assert len(tools.called) == 4
    assert all('--resume' not in command for command in tools.called)


def test_a_changed_config_runs_again_what_it_made(runs, ledger, make_plan):
    plan = make_plan(ledger.work_dir)
    perform_all(ledger, plan, Tools())
    configs = {'a.py': {'lr': 1}, 'b.py': {'lr': 3}}
    changed = runs.Ledger(ledger.work_dir, configs)
    assert set(changed.results(plan)) == {'seed0/teacher'}


def test_what_was_made_otherwise_is_moved_aside_and_kept(ledger, make_plan):
    perform_all(ledger, make_plan(ledger.work_dir), Tools())
    perform_all(ledger, make_plan(ledger.work_dir, length=20), Tools())
    kept = [path.name for path in (ledger.work_dir / 'seed0').iterdir()]
    assert len([name for name in kept if name.startswith('teacher.')]) == 1
    assert len([name for name in kept if name.startswith('student.')]) == 1


def test_a_work_folder_can_be_moved(runs, ledger, make_plan, tmp_path):
    perform_all(ledger, make_plan(ledger.work_dir), Tools())
    elsewhere = ledger.work_dir.rename(tmp_path / 'elsewhere')
    moved = runs.Ledger(elsewhere, {'a.py': {'lr': 1}, 'b.py': {'lr': 2}})
    assert len(moved.results(make_plan(elsewhere))) == 2


@pytest.mark.parametrize('jobs', [1, 2, 5])
def test_a_plan_that_grows_is_done_whole_needs_first(runs, load, jobs):
    Run = load('gap_recovery.plan').Run
    done: list[str] = []
    lock = threading.Lock()

    def plan():
        first = [Run('a', '', ()), Run('b', '', ())]
        rest = [Run('d', '', (), ['c']), Run('c', '', (), ['a', 'b'])]
        with lock:
            finished = {name: {} for name in done}
        return first + (rest if {'a', 'b'} <= set(finished) else []), finished

    def perform(run):
        with lock:
            done.append(run.name)

    runs.work_off(plan, perform, jobs)
    assert done in (['a', 'b', 'c', 'd'], ['b', 'a', 'c', 'd'])


def test_not_more_runs_than_jobs_go_on_at_a_time(runs, load):
    Run = load('gap_recovery.plan').Run
    together = threading.Barrier(2, timeout=10)
    done: dict[str, dict] = {}

    def perform(run):
        together.wait()
        done[run.name] = {}

    # A third one at a time would break the barrier, a lonely one would wait in vain.
    runs.work_off(
        lambda: ([Run(str(i), '', ()) for i in range(4)], dict(done)), perform, 2
    )
    assert len(done) == 4


def test_after_a_failure_no_other_run_begins(runs, load):
    Run = load('gap_recovery.plan').Run
    begun: list[str] = []

    def perform(run):
        begun.append(run.name)
        raise UserError('no')

    plan = [Run(str(i), '', ()) for i in range(4)]
    with pytest.raises(UserError, match='no'):
        runs.work_off(lambda: (plan, {}), perform, 1)
    assert begun == ['0']


def test_a_command_that_fails_is_reported_with_its_log(runs, tmp_path, capfd):
    log = tmp_path / 'log.txt'
    sentence = r'tools/compare_results\.py ended with 2, see .*log'
    with pytest.raises(UserError, match=sentence):
        runs.call(['tools/compare_results.py'], log)
    assert 'usage' in log.read_text()
    assert 'usage' in capfd.readouterr().err


def test_seconds_of_a_command_are_those_of_the_processor(runs, tmp_path):
    before = os.times()
    seconds = runs.call(['tools/compare_results.py', '--help'], tmp_path / 'log.txt')
    after = os.times()
    spent = after.children_user + after.children_system
    spent -= before.children_user + before.children_system
    assert seconds == pytest.approx(spent, abs=0.05)


def test_a_work_folder_is_worked_in_by_one(runs, tmp_path):
    with (
        runs.locked(tmp_path),
        pytest.raises(UserError, match='another process works in'),
    ):
        runs.locked(tmp_path)
    runs.locked(tmp_path).close()
