"""Tests of the exit codes and of the one sentence a user reads."""

import errno
import os
import subprocess
import sys

import pytest

from mmdistill.cli.main import SECONDS_BEFORE_EXIT, original_sentence, run
from mmdistill.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    StoreError,
    TooManyFailuresError,
    UserError,
)

SENTENCE = 'the folder must hold images, found none'
KINDS = [UserError, ConfigError, DataError, StoreError, CheckpointError]


def refuse(argv):
    raise UserError(SENTENCE)


def test_user_error_exits_2_with_its_sentence_alone(capsys):
    assert run(refuse) == 2
    assert capsys.readouterr().err == f'error: {SENTENCE}\n'


@pytest.mark.parametrize('kind', KINDS)
def test_every_kind_exits_2_with_its_sentence_alone(kind, capsys):
    def fail(argv):
        raise kind(SENTENCE)

    assert run(fail) == 2
    assert capsys.readouterr().err == f'error: {SENTENCE}\n'


@pytest.mark.parametrize(('returned', 'code'), [(None, 0), (0, 0), (3, 3)])
def test_code_of_main_is_the_exit_code(returned, code):
    assert run(lambda argv: returned) == code


def test_arguments_reach_main():
    received = []
    run(received.extend, ['--resume', 'config.py'])
    assert received == ['--resume', 'config.py']


def test_particulars_keep_their_lines(capsys):
    def differ(argv):
        raise UserError('made otherwise\nwith care.\n- a: 1, not 2\n- b: x, not  y')

    assert run(differ) == 2
    lines = capsys.readouterr().err.splitlines()
    expected = ['error: made otherwise with care.', '- a: 1, not 2', '- b: x, not y']
    assert lines == expected


def test_too_many_failures_exit_1():
    def fail(argv):
        raise TooManyFailuresError('too many')

    assert run(fail) == 1


def test_defect_keeps_its_traceback():
    def fail(argv):
        raise ValueError('a defect')

    with pytest.raises(ValueError, match='a defect'):
        run(fail)


def test_keyboard_exits_130_without_traceback(capsys):
    def interrupt(argv):
        raise KeyboardInterrupt

    assert run(interrupt) == 130
    assert capsys.readouterr().err.count('\n') == 1


@pytest.mark.parametrize('variable', ['RANK', 'SLURM_PROCID'])
def test_only_the_first_rank_speaks_and_the_others_give_it_time(
    monkeypatch, capsys, variable
):
    slept = []
    monkeypatch.setattr('time.sleep', slept.append)
    monkeypatch.setenv(variable, '1')
    assert run(refuse) == 2
    assert capsys.readouterr().err == ''
    monkeypatch.setenv(variable, '0')
    assert run(refuse) == 2
    assert capsys.readouterr().err == f'error: {SENTENCE}\n'
    assert slept == [SECONDS_BEFORE_EXIT]


@pytest.mark.parametrize('kind', KINDS)
def test_registry_wrapping_is_undone(kind, capsys):
    from mmengine.registry import Registry

    registry = Registry('thing', scope='mmdistill')

    @registry.register_module()
    class Part:
        def __init__(self):
            raise kind(SENTENCE)

    @registry.register_module()
    class Whole:
        def __init__(self, part):
            registry.build(part)

    config = {'type': 'Whole', 'part': {'type': 'Part'}}
    assert run(lambda argv: registry.build(config)) == 2
    assert capsys.readouterr().err == f'error: {SENTENCE}\n'


@pytest.mark.parametrize('kind', KINDS)
def test_worker_traceback_is_undone(kind, capsys):
    from torch.utils.data import DataLoader

    class Broken:
        def __len__(self):
            return 1

        def __getitem__(self, index):
            raise kind(SENTENCE)

    loader = DataLoader(Broken(), num_workers=1)
    assert run(lambda argv: list(loader) and 0) == 2
    assert capsys.readouterr().err == f'error: {SENTENCE}\n'


def test_error_that_followed_another_is_reported_unchanged(capsys):
    def fail(argv):
        try:
            raise UserError('the first')
        except UserError:
            raise UserError(SENTENCE)  # noqa: B904

    run(fail)
    assert capsys.readouterr().err == f'error: {SENTENCE}\n'


def test_sentence_of_several_lines_is_reported_in_one():
    assert original_sentence(UserError('two\n  lines')) == 'two lines'


def test_process_ends_with_the_code():
    code = (
        'import sys; from mmdistill.cli.main import run; '
        'from mmdistill.errors import TooManyFailuresError, UserError\n'
        'def main(argv): raise UserError("no teacher")\n'
        'sys.exit(run(main))'
    )
    result = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (2, 'error: no teacher\n')


@pytest.mark.parametrize('keeps_memory', [True, False])
def test_memory_is_kept_unless_a_tool_says_no(monkeypatch, keeps_memory):
    calls = []
    monkeypatch.setattr('mmdistill.cli.main.keep_freed_memory', lambda: calls.append(1))
    run(lambda argv: None, keeps_memory=keeps_memory)
    assert calls == [1] * keeps_memory


def test_idle_threads_soon_sleep_unless_asked_not_to(monkeypatch):
    names = ('OMP_WAIT_POLICY', 'GOMP_SPINCOUNT')
    seen = []

    def note(argv):
        seen.append([os.environ.get(name) for name in names])

    for variables in ({}, dict(zip(names, ('ACTIVE', '7'), strict=True))):
        for name in names:
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        run(note)
    monkeypatch.delenv('GOMP_SPINCOUNT')
    run(note)

    assert seen == [['PASSIVE', '20000'], ['ACTIVE', '7'], ['ACTIVE', None]]


@pytest.mark.parametrize(
    ('error', 'sentence'),
    [
        (
            OSError(errno.ENOSPC, 'No space left on device', 'work/iter_2.pth'),
            'work/iter_2.pth could not be written: the disk is full (No space left',
        ),
        (OSError(errno.EROFS, 'Read-only file system'), 'the disk is read-only'),
        (
            RuntimeError('PytorchStreamWriter failed writing file data/3'),
            'a checkpoint could not be written',
        ),
    ],
)
def test_a_write_that_the_disk_refuses_is_one_sentence(error, sentence, capsys):
    def fail(argv):
        raise error

    assert run(fail) == 2
    said = capsys.readouterr().err
    assert said.startswith(f'error: {sentence}')
    assert said.count('\n') == 1
    assert '--resume' in said


def test_other_errors_of_files_keep_their_traceback():
    def fail(argv):
        raise FileNotFoundError(errno.ENOENT, 'No such file or directory', 'x')

    with pytest.raises(FileNotFoundError):
        run(fail)
