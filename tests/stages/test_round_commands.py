"""Commands of rounds: what they find, and ranks that follow the first."""

import threading
from datetime import timedelta

import pytest
from mmengine.config import Config
from torch.distributed import HashStore

from mmdistill.errors import ConfigError, UserError
from mmdistill.stages import round_commands as module
from mmdistill.stages.round_commands import (
    Commands,
    Followers,
    Leader,
    round_commands,
)


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Tools of the package that a test writes."""

    def write(name: str, text: str) -> None:
        (tmp_path / name).write_text(text)

    monkeypatch.setattr(module, 'tool_file', lambda name: tmp_path / name)
    return write


def test_a_tool_finds_the_modules_beside_the_recipe(tmp_path, tools, capfd, logged):
    (tmp_path / 'recipe').mkdir()
    (tmp_path / 'recipe/backbone.py').write_text('DEPTH = 18')
    text = 'import backbone, sys, mmdistill; print(backbone.DEPTH, sys.argv[1:])'
    tools('train.py', text)
    (tmp_path / 'recipe/student.py').write_text(
        "custom_imports = dict(imports=['json'])"
    )
    config = Config.fromfile(tmp_path / 'recipe/student.py')

    seconds = Commands(config)(['tools/train.py', 'a.py'], tmp_path / 'log')

    assert capfd.readouterr().out.endswith("18 ['a.py']\n")
    assert seconds > 0
    # As it is typed.
    assert logged == [f'$ PYTHONPATH={tmp_path}/recipe python {tmp_path}/train.py a.py']


def test_a_tool_that_fails_is_named_with_the_way_on(tools, tmp_path):
    tools('train.py', 'import sys; sys.exit(2)')
    with pytest.raises(UserError, match=r'tools/train\.py ended with 2; what it said'):
        Commands(Config())(['tools/train.py', 'a.py'], tmp_path / 'log')


class Noted:
    """Takes the place of the commands of a rank."""

    def __init__(self, monkeypatch) -> None:
        self.called: list[tuple] = []
        lock = threading.Lock()

        def run(this, command, environment) -> float:
            with lock:
                self.called.append((type(this).__name__, command, environment))
            return 1.0

        monkeypatch.setattr(Commands, '_run', run)
        monkeypatch.setattr(Followers, '_run', run)


def test_all_ranks_run_the_same_commands_and_meet_at_one_port(monkeypatch, tmp_path):
    noted, meeting = Noted(monkeypatch), HashStore()
    meeting.set_timeout(timedelta(seconds=60))
    leader = Leader(Config(), meeting, world_size=3)
    others = [
        threading.Thread(target=Followers(Config(), meeting, rank).follow)
        for rank in (1, 2)
    ]
    for thread in others:
        thread.start()
    leader(['tools/label.py', 'a b.py'], tmp_path)
    leader(['tools/train.py', 'c.py', '--resume'], tmp_path)
    leader.end()
    for thread in others:
        thread.join(timeout=60)
        assert not thread.is_alive()

    by_tool = {'tools/label.py': [], 'tools/train.py': []}
    for _, command, environment in noted.called:
        by_tool[command[0]].append((command, environment))
    for calls in by_tool.values():
        assert len(calls) == 3
        assert calls[0] == calls[1] == calls[2]
    command, environment = by_tool['tools/label.py'][0]
    assert command == ['tools/label.py', 'a b.py', '--launcher', 'pytorch']
    assert environment['TORCHELASTIC_USE_AGENT_STORE'] == 'False'
    assert 0 < int(environment['MASTER_PORT']) < 2**16


def test_one_process_has_no_ranks():
    assert type(round_commands(Config())) is Commands


@pytest.mark.parametrize('launcher', ['slurm', 'mpi'])
def test_other_launchers_run_round_by_round(launcher):
    with pytest.raises(ConfigError, match=f'--launcher {launcher}; run each round by'):
        round_commands(Config(dict(launcher=launcher)))
