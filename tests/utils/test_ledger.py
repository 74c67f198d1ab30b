"""The ledger with all records in one file; that of folders is the benchmark's."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mmdistill.errors import StoreError, UserError
from mmdistill.utils.commands import locked, run_command
from mmdistill.utils.ledger import FileRecords, FolderRecords, Ledger, Step


class Tools:
    """Leaves a file for each command; killed before one of them."""

    def __init__(self, killed_at=None):
        self.called: list[list[str]] = []
        self.killed_at = killed_at

    def __call__(self, command, log) -> float:
        self.called.append(list(command))
        folder = Path(command[1])
        folder.mkdir(exist_ok=True)
        if command[0].endswith('train.py'):
            (folder / 'last_checkpoint').touch()
        if len(self.called) == self.killed_at:
            raise KeyboardInterrupt
        (folder / f'made_{len(list(folder.iterdir()))}').touch()
        return 2.0


@pytest.fixture
def ledger(tmp_path):
    return Ledger(FileRecords(tmp_path / 'work.json'))


@pytest.fixture
def step(tmp_path):
    folder = tmp_path / 'a'
    commands = [['tools/train.py', str(folder)], ['tools/test.py', str(folder)]]
    return Step('a', commands, folder, 'first')


def test_a_finished_step_is_known_by_its_fingerprint(ledger, step):
    assert ledger.result(step) == {}
    ledger.perform(step, Tools())
    record = ledger.result(step)
    assert record['seconds'] == 4.0
    assert record['finished']
    assert ledger.result(replace(step, fingerprint='second')) == {}


def test_records_of_other_steps_and_entries_stay(ledger, step, tmp_path):
    other = replace(step, name='b', folder=tmp_path / 'b')
    ledger.perform(step, Tools())
    ledger.records.update(dict(note='mine'))
    ledger.perform(other, Tools())
    content = json.loads((tmp_path / 'work.json').read_text())
    assert list(content['steps']) == ['a', 'b']
    assert content['note'] == 'mine'
    ledger.records.forget('a')
    assert ledger.result(step) == {}
    assert ledger.result(other)


@pytest.mark.parametrize('killed_at', [1, 2])
def test_a_step_that_was_killed_goes_on(ledger, step, killed_at):
    with pytest.raises(KeyboardInterrupt):
        ledger.perform(step, Tools(killed_at))
    assert ledger.result(step) == {}
    again = Tools()
    ledger.perform(step, again)
    if killed_at == 1:
        first, second = step.commands
        assert again.called == [[*first[:2], '--resume'], second]
    else:
        assert again.called == [step.commands[1]]
    assert ledger.result(step)


def test_one_that_began_at_a_checkpoint_goes_on_from_its_own(ledger, step):
    (tool, config, *options), second = step.commands
    first = [tool, config, '--resume', 'other/iter_8.pth', *options]
    step = replace(step, commands=[first, second])
    tools = Tools(1)
    with pytest.raises(KeyboardInterrupt):
        ledger.perform(step, tools)
    assert tools.called == [first]
    again = Tools()
    ledger.perform(step, again)
    assert again.called == [[tool, config, '--resume', *options], second]


def test_what_was_made_otherwise_is_moved_aside(ledger, step, tmp_path):
    ledger.perform(step, Tools())
    ledger.perform(replace(step, fingerprint='second'), Tools())
    ledger.perform(replace(step, fingerprint='third'), Tools())
    kept = sorted(path.name for path in tmp_path.iterdir() if path.is_dir())
    assert len(kept) == 3
    assert kept[0] == 'a'
    assert all(name.startswith('a.') for name in kept[1:])


def test_a_folder_without_a_record_is_moved_aside(ledger, step, tmp_path):
    step.folder.mkdir()
    (step.folder / 'mine').touch()
    ledger.perform(step, Tools())
    assert not (step.folder / 'mine').exists()
    assert len([*tmp_path.glob('a.*/mine')]) == 1


def test_a_folder_that_its_command_compares_is_used(ledger, step, tmp_path):
    step = replace(step, content='same', compares_itself=True)
    step.folder.mkdir()
    (step.folder / 'mine').touch()
    ledger.perform(step, Tools())
    assert (step.folder / 'mine').exists()
    tools = Tools()
    ledger.perform(replace(step, fingerprint='second'), tools)
    assert (step.folder / 'mine').exists()
    assert len(tools.called) == 2
    ledger.perform(replace(step, content='other'), Tools())
    assert not (step.folder / 'mine').exists()


def test_a_folder_of_the_user_is_never_moved(ledger, step, tmp_path):
    step = replace(step, stays=True)
    ledger.perform(step, Tools())
    tools = Tools()
    ledger.perform(replace(step, fingerprint='second'), tools)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ['a']
    assert len(tools.called) == 2


def test_a_ledger_that_is_no_json_says_the_way_on(ledger, step, tmp_path):
    (tmp_path / 'work.json').write_text('{')
    with pytest.raises(UserError, match=r'work\.json is not valid JSON.*Remove it'):
        ledger.result(step)
    (tmp_path / 'work.json').unlink()
    ledger.perform(step, Tools())
    assert ledger.result(step)


def test_a_command_that_fails_is_named_with_its_code():
    with pytest.raises(UserError, match='the tool ended with 3, see above'):
        run_command(['sh', '-c', 'exit 3'], 'the tool', remedy=', see above')


def test_a_command_has_its_own_variables(tmp_path):
    path = tmp_path / 'out.txt'
    with path.open('w') as file:
        run_command(['sh', '-c', 'echo $A'], 'sh', file, dict(A='mine'))
    assert path.read_text() == 'mine\n'


def test_lines_of_a_command_beside_others_have_its_name(capsys):
    script = 'echo one; echo two >&2; printf three'
    run_command(['sh', '-c', script], 'sh', prefix='[a] ')
    assert capsys.readouterr().out == '[a] one\n[a] two\n[a] three'
    with pytest.raises(UserError, match='sh ended with 3'):
        run_command(['sh', '-c', 'echo said; exit 3'], 'sh', prefix='[a] ')
    assert capsys.readouterr().out == '[a] said\n'


def test_what_a_command_leaves_behind_is_not_waited_for(monkeypatch, capsys):
    monkeypatch.setattr('mmdistill.utils.commands.LAST_LINES_SECONDS', 0.5)
    start = time.monotonic()
    run_command(['sh', '-c', 'sleep 60 & echo $!'], 'sh', prefix='pid ')
    assert time.monotonic() - start < 30
    os.kill(int(capsys.readouterr().out.split()[1]), signal.SIGKILL)


def test_a_command_holds_the_lock_of_the_one_that_started_it(tmp_path):
    """As when that one was killed and the command lives on."""
    with locked(tmp_path):
        child = subprocess.Popen(['cat'], stdin=subprocess.PIPE, close_fds=False)
    with pytest.raises(StoreError, match='let it end, or stop it and start again'):
        locked(tmp_path)
    child.communicate()
    locked(tmp_path).close()


def test_a_command_can_be_ended_with_the_process_that_started_it(tmp_path):
    """As when that one is killed by -9."""
    path = tmp_path / 'pid'
    script = (
        'from mmdistill.utils.commands import run_command\n'
        f"run_command(['sh', '-c', 'echo $$ > {path}; read a'], 'sh', "
        'dies_with_parent=True)'
    )
    parent = subprocess.Popen([sys.executable, '-c', script], stdin=subprocess.PIPE)
    while not path.is_file() or not path.read_text():
        assert parent.poll() is None
        time.sleep(0.01)
    child = Path('/proc', path.read_text().strip())
    assert child.is_dir()
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 60
    while child.is_dir() and 'Z' not in (child / 'stat').read_text().split()[2]:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_lock_may_be_waited_for(tmp_path):
    lock = locked(tmp_path)
    threading.Timer(0.3, lock.close).start()
    locked(tmp_path, patience=60).close()


def test_a_step_that_was_done_by_hand_is_recorded(ledger, step):
    ledger.record(step)
    assert ledger.result(step)['commands'] == [
        f'python tools/train.py {step.folder}',
        f'python tools/test.py {step.folder}',
    ]


def test_what_is_done_is_not_done_again_unless_it_was_removed(ledger, step):
    tools = Tools()
    made = (step.folder / 'last_checkpoint').is_file
    assert ledger.ensure(step, tools, made)
    assert not ledger.ensure(step, tools, made)
    assert len(tools.called) == 2
    (step.folder / 'last_checkpoint').unlink()
    begun = []
    assert ledger.ensure(step, tools, made, lambda: begun.append(True))
    assert len(tools.called) == 4
    assert begun == [True]


def test_what_is_of_other_steps_is_not_moved_aside(ledger, step, tmp_path):
    ledger.perform(step, Tools())
    for name in ('labels', 'boxes'):
        (step.folder / f'of_others/{name}').mkdir(parents=True)
    kept = step.folder / 'of_others/labels'
    other = replace(step, fingerprint='second', keeps=[kept, tmp_path / 'elsewhere'])

    ledger.perform(other, Tools())

    assert kept.is_dir()
    (aside,) = tmp_path.glob('a.*')
    assert (aside / 'last_checkpoint').is_file()
    # The folder that holds what is kept stays whole.
    assert not (aside / 'of_others').exists()
    assert (step.folder / 'of_others/boxes').is_dir()


def test_records_in_folders_are_forgotten(tmp_path, step):
    records = FolderRecords(tmp_path)
    Ledger(records).perform(step, Tools())
    assert records.finished('a')
    records.forget('a')
    assert records.finished('a') == records.read('a') == {}
    records.forget('a')
