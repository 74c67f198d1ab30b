"""From labels to an answer on a toy recipe, by stand-ins for the tools but once."""

import json
import threading
from pathlib import Path

import pytest

from mmdistill.errors import CheckpointError, DataError, StoreError, UserError
from mmdistill.pipeline import distill
from mmdistill.pipeline.run import dry_run
from mmdistill.utils.commands import locked
from tests.helpers.distilling import (
    RECIPE,
    WHOLE,
    WORK,
    Killed,
    QuickTools,
    RealTools,
    work_of,
    write_recipe,
)

ALL = [
    *('train teacher', 'label student', 'audit_labels student'),
    *('train student', 'train baseline'),
    *('test student', 'test teacher', 'test baseline', 'report labels'),
]


@pytest.fixture
def recipe(workshop):
    write_recipe()


def run(tools, **options) -> str:
    return distill(work_of(**options), tools, estimate=lambda work, tasks: {})


def steps(tools: RealTools) -> list[str]:
    return [
        f'{Path(c[0]).stem} {Path(c[1]).stem}' + ' --resume' * ('--resume' in c)
        for c in tools.called
    ]


@pytest.mark.slow
def test_all_steps_by_the_real_tools_and_killed_in_each(recipe):
    """Killed or not, the models are the same."""
    tools = RealTools(kills=True)
    kills = 0
    while True:
        try:
            answer = run(tools)
        except Killed:
            kills += 1
        else:
            break
    assert kills == len(ALL)
    resumed = [step for step in steps(tools) if step.endswith('--resume')]
    assert resumed == [
        *('train teacher --resume', 'train student --resume'),
        'train baseline --resume',
    ]
    assert 'It cannot be told whether the student is better' in answer
    assert 'there are 2 validation images, and 10 are the least' in answer
    images = (WHOLE / 'student/images.json').read_bytes()

    WORK.rename('killed')
    whole = RealTools()
    assert run(whole) == answer
    assert steps(whole) == ALL
    assert (WHOLE / 'student/images.json').read_bytes() == images

    again = RealTools()
    assert run(again) == answer
    assert again.called == []


def test_each_step_is_run_once(recipe):
    tools = QuickTools()
    answer = run(tools)
    assert tools.called == ALL
    again = QuickTools()
    assert run(again) == answer
    assert again.called == []


def test_steps_side_by_side_give_the_same_answer(recipe):
    turn = threading.Lock()

    class OneAtATime(QuickTools):
        def __call__(self, command, log):
            with turn:  # the stand-ins share this process
                return super().__call__(command, log)

    answer = run(QuickTools())
    WORK.rename('one')
    tools = OneAtATime()
    aside = distill(work_of(), tools, estimate=lambda work, tasks: {}, jobs=3)
    assert aside == answer
    assert sorted(tools.called) == sorted(ALL)
    assert tools.called.index('train baseline') < tools.called.index('label student')


def test_a_baseline_that_is_the_teacher_is_not_trained_twice(recipe):
    same = RECIPE.with_name('baseline.py').read_text().replace('seed=1', 'seed=0')
    RECIPE.with_name('baseline.py').write_text(same)
    assert 'seed=0' in same
    tools = QuickTools()
    answer = run(tools)
    assert 'The baseline is the teacher: both are the same training' in answer
    assert tools.called == [step for step in ALL if 'baseline' not in step]


def test_without_a_baseline_none_is_trained(recipe):
    tools = QuickTools()
    answer = run(tools, baseline=None)
    assert tools.called == [step for step in ALL if 'baseline' not in step]
    assert 'is told with --baseline' in answer


def test_a_teacher_that_is_there_is_not_trained(recipe):
    run(QuickTools(), baseline=None)
    (WHOLE / 'steps.json').unlink()
    tools = QuickTools()
    run(tools, baseline=None)
    assert 'train teacher' not in tools.called


def test_a_teacher_of_the_users_own_is_never_moved(recipe):
    """Although another one was trained before."""
    run(QuickTools(), baseline=None)
    Path('own').mkdir()
    (WORK / 'teacher/iter_4.pth').rename('own/best.pth')
    tools = QuickTools()
    run(tools, baseline=None, **{'distill.teacher.checkpoint': 'own/best.pth'})
    assert 'train teacher' not in tools.called
    assert [path.name for path in Path('own').iterdir()] == ['best.pth']


def test_a_setting_of_the_student_trains_it_anew_and_keeps_the_labels(recipe):
    run(QuickTools())
    tools = QuickTools()
    run(tools, **{'distill.mixing': dict(labeled_share=0.5)})
    assert tools.called == ['train student']
    # The former one is beside it; the labels, which lie within, stay.
    assert len([*WORK.glob('student.*/plain_model.pth')]) == 1
    assert (WORK / 'student/labels/manifest.json').is_file()
    assert not [*WORK.glob('student.*/labels')]


@pytest.mark.parametrize(
    'option',
    [
        {'train_dataloader.num_workers': 1},
        {'distill.labeling.num_workers': 1},
        {'log_level': 'WARNING'},
    ],
)
def test_what_changes_no_result_runs_nothing_again(recipe, option):
    run(QuickTools())
    tools = QuickTools()
    run(tools, **option)
    assert tools.called == []


def test_other_views_label_anew(recipe):
    run(QuickTools())
    tools = QuickTools()
    run(tools, **{'distill.views.scales': (1.0,)})
    # The stand-in labels as before, so that the student is not trained again.
    assert tools.called == ['label student', 'audit_labels student', 'report labels']
    assert len([*WORK.glob('student/labels.*/manifest.json')]) == 1


def test_what_was_removed_is_made_again(recipe):
    run(QuickTools())
    (WORK / 'student/labels/report.html').unlink()
    (WHOLE / 'baseline/images.json').unlink()
    tools = QuickTools()
    run(tools)
    assert tools.called == ['test baseline', 'report labels']


def test_the_answer_is_also_a_file(recipe):
    run(QuickTools(dict(student=[0.75] * 12, teacher=[0.5] * 12)))
    content = json.loads((WHOLE / 'answer.json').read_text())
    assert content['better'] is True
    assert content['images'] == 12
    assert content['differences']['teacher']['OKS'] == dict(
        difference=0.25, low=0.25, high=0.25
    )


def test_an_audit_that_fails_stops_nothing(recipe, logged):
    class NoAudit(QuickTools):
        def __call__(self, command, log):
            if command[0] == 'tools/audit_labels.py':
                raise DataError('the teacher was trained on 3 audited images')
            return super().__call__(command, log)

    answer = run(NoAudit())
    assert 'What the labels were worth is not known' in answer
    assert any('the work goes on without it' in line for line in logged)
    # It is tried again.
    tools = QuickTools()
    run(tools)
    assert tools.called == ['audit_labels student', 'report labels']


def test_a_step_that_fails_stops_the_work(recipe):
    class NoStudent(QuickTools):
        def __call__(self, command, log):
            if command[:2] == ['tools/train.py', str(RECIPE)]:
                raise StoreError('no memory')
            return super().__call__(command, log)

    with pytest.raises(UserError, match='no memory'):
        run(NoStudent())
    tools = QuickTools()
    run(tools)
    assert tools.called == ALL[3:]


def test_rounds_are_one_step_and_their_kept_student_is_tested(recipe):
    commands = []

    class Recorded(QuickTools):
        def __call__(self, command, log):
            commands.append(list(command))
            return super().__call__(command, log)

    rounds = {'distill.rounds': dict(number=2)}
    run(Recorded(), **rounds)
    (test,) = [c for c in commands if c[:2] == ['tools/test.py', f'{WHOLE}/student.py']]
    assert test[2] == f'{WORK}/student/student.pth'
    tools = QuickTools()
    run(tools, **rounds)
    assert tools.called == []
    # Their own ledger says what of it is done.
    run(tools, **{'distill.rounds': dict(number=3)})
    assert tools.called == ['train student']
    assert not [*WORK.glob('student.*')]


def test_without_a_validation_set_it_cannot_be_told(recipe):
    tools = QuickTools()
    off = dict(val_dataloader=None, val_evaluator=None, val_cfg=None)
    answer = run(tools, baseline=None, **off)
    assert 'It cannot be told whether the student is better' in answer
    assert 'give it val_dataloader and val_evaluator' in answer
    assert tools.called == [
        *('train teacher', 'label student', 'train student', 'report labels')
    ]


def test_a_teacher_that_is_called_otherwise_is_named(recipe):
    with pytest.raises(UserError, match=r'trains max_iters=4; name iter_4\.pth'):
        run(QuickTools(), **{'distill.teacher.checkpoint': 'work_dirs/t/iter_5.pth'})
    with pytest.raises(CheckpointError, match=r'left iter_4\.pth, plain_model'):
        run(
            QuickTools(),
            **{'distill.teacher.checkpoint': f'{WORK}/teacher/best.pth'},
        )
    # Its advice is followed.
    run(QuickTools(), **{'distill.teacher.checkpoint': f'{WORK}/teacher/iter_4.pth'})


def test_missing_files_are_named_before_anything_runs(recipe):
    tools = QuickTools()
    Path('data/toy/annotations/labeled.json').unlink()
    with pytest.raises(DataError, match=r'the labeled list .*put it there'):
        run(tools)
    assert tools.called == []


def test_two_of_them_do_not_run_at_once(recipe, monkeypatch):
    monkeypatch.setattr('mmdistill.pipeline.run.LOCK_SECONDS', 0)
    with locked(WHOLE), pytest.raises(StoreError, match='another process works'):
        run(QuickTools())


def test_a_dry_run_prints_the_commands_and_writes_nothing(recipe, tool, capsys):
    assert tool('distill', str(RECIPE), '--baseline', '--dry-run') == 0
    lines = capsys.readouterr().out.splitlines()
    commands = [line for line in lines if line.startswith('python ')]
    assert [line.split()[1:3] for line in commands[:4]] == [
        ['tools/train.py', 'mine/teacher.py'],
        ['tools/label.py', 'mine/student.py'],
        ['tools/audit_labels.py', 'mine/student.py'],
        ['tools/train.py', 'mine/student.py'],
    ]
    assert '\n'.join(lines[-len(dry_run(work_of()).splitlines()) :]) == dry_run(
        work_of()
    )
    assert not WORK.exists()


def test_options_reach_the_commands_by_a_recipe_of_their_own(recipe, tool, capsys):
    options = ['--cfg-options', 'distill.views.flip=False']
    assert tool('distill', str(RECIPE), '--dry-run', *options) == 0
    assert f'tools/label.py {WHOLE}/recipe.py' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        (['--launcher', 'pytorch'], 'torchrun'),
        (['--baseline', 'no.py'], 'no.py does not exist'),
        (['--jobs', '0'], '--jobs must be a whole number from 1, got 0'),
    ],
)
def test_what_cannot_be_run_is_a_sentence(recipe, tool, capsys, arguments, sentence):
    assert tool('distill', str(RECIPE), *arguments) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize('name', ['teacher', 'baseline'])
def test_a_config_that_is_not_beside_is_asked_for(recipe, tool, capsys, name):
    text = RECIPE.read_text().replace("'teacher.py'", "'../base.py'")
    RECIPE.with_name('teacher.py').rename('base.py')
    RECIPE.write_text(text)
    RECIPE.with_name('baseline.py').unlink()
    flags = ['--baseline'] if name == 'baseline' else []
    if flags:
        Path('base.py').rename(RECIPE.with_name('teacher.py'))
        RECIPE.write_text(text.replace("'../base.py'", "'teacher.py'"))
    assert tool('distill', str(RECIPE), *flags) == 2
    assert f'there is no {name}.py beside {RECIPE}' in capsys.readouterr().err
