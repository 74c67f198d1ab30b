"""The whole comparison, with a stand-in for the commands that it calls."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmdistill.errors import UserError

STUDENT = str(Path(__file__).parents[3] / 'configs' / 'distill' / 'lspe' / 'student.py')
PCK = dict(
    supervised_500=0.6,
    supervised_1000=0.5,
    supervised_2000=0.4,
    fusion=0.7,
    upper_bound=0.8,
    single_view=0.65,
    all_candidates=0.6,
    flip=0.55,
)
# Here the longest schedule is the best.
AT_005 = dict(PCK, supervised_500=0.4, supervised_2000=0.6)
PAPER = ['fusion', 'upper_bound', 'single_view', 'all_candidates', 'flip']


@pytest.fixture
def gap(load):
    pytest.importorskip('efficientnet_lite_pytorch')
    return load('gap_recovery.__main__')


@pytest.fixture
def called(gap, monkeypatch):
    """Commands that were called; a test command finds what `PCK` says."""
    called: list[list[str]] = []

    def call(command, log):
        called.append(list(command))
        if '--out' in command:
            out = Path(command[command.index('--out') + 1])
            pck = PCK[out.parent.name]
            metrics = {'PCK': pck, 'coco/AP': pck / 2, 'coco/AR': pck, 'NME': 1 - pck}
            metrics |= {'p10/PCK': pck - 0.1, 'p05/PCK': AT_005[out.parent.name]}
            out.write_text(json.dumps(metrics))
        return 36.0

    monkeypatch.setattr(gap, 'call', call)
    # Settings for child processes, which are not for this one.
    monkeypatch.setattr(gap, 'set_up_processes', lambda jobs, folder: None)
    return called


def compare(gap, tmp_path, *options) -> None:
    if '--arms' not in options:
        options = (*options, '--arms', *PAPER)
    length = ['--iterations', '1000']
    gap.main([STUDENT, '--work-dir', str(tmp_path / 'runs'), *length, *options])


def test_all_arms_are_compared_with_the_better_schedule(gap, called, tmp_path, capsys):
    compare(gap, tmp_path, '--seeds', '0', '1', '--jobs', '2')
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures['metric'] == 'AP'
    assert figures['baseline'] == pytest.approx(0.3)
    assert figures['gap_closed'] == pytest.approx(0.5)
    assert figures['seeds'] == [0, 1]
    # Eight trainings of the first seed, seven of the second, each with its test,
    # and three labelings of each seed.
    assert len(called) == (8 + 7) * 2 + 2 * 3
    assert figures['core_hours'] == pytest.approx(len(called) * 36 / 3600)


def test_the_best_schedule_makes_the_teacher_and_is_written_down(gap, called, tmp_path):
    compare(gap, tmp_path, '--seeds', '0', '1')
    written = tmp_path / 'runs/labeled_all/schedule.json'
    assert json.loads(written.read_text())['best'] == 500
    labelings = [command for command in called if command[0] == 'tools/label.py']
    assert len(labelings) == 6
    for command in labelings:
        (teacher,) = (word for word in command if 'distill.teacher' in word)
        assert teacher.endswith('supervised_500/iter_500.pth]')


@pytest.mark.parametrize(
    ('metric', 'best', 'key'),
    [
        ('PCK', 500, 'PCK'),
        ('PCK@0.05', 2000, 'p05/PCK'),
        ('NME', 500, 'NME'),
    ],
)
def test_another_metric_chooses_schedule_and_teacher(
    gap, called, tmp_path, capsys, metric, best, key
):
    options = ['--seeds', '0', '--arms', 'fusion', '--choose-by', metric]
    compare(gap, tmp_path, *options)
    written = json.loads((tmp_path / 'runs/labeled_all/schedule.json').read_text())
    assert (written['best'], written['metric']) == (best, key)
    assert f'chosen by {metric}' in capsys.readouterr().out
    (labeling,) = (command for command in called if command[0] == 'tools/label.py')
    assert any(word.endswith(f'/iter_{best}.pth]') for word in labeling)


def test_all_metrics_of_the_recipe_are_reported(gap, called, tmp_path, capsys):
    compare(gap, tmp_path, '--seeds', '0')
    header = capsys.readouterr().out
    figures = json.loads(header.splitlines()[-1])
    titles = ['PCK@0.2', 'PCK@0.1', 'PCK@0.05', 'AP', 'AR']
    assert [*figures['arms']['fusion']['metrics']] == titles
    assert all(f' {title} |' in header for title in titles)


def test_a_student_counts_the_iterations_of_its_teacher(gap, called, tmp_path, capsys):
    compare(gap, tmp_path, '--seeds', '0')
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    lengths = {
        name: (arm['iterations'], arm['in_all'])
        for name, arm in figures['arms'].items()
    }
    assert lengths['best_supervised'] == (500, 500)
    assert lengths['fusion'] == lengths['flip'] == (1000, 1500)
    assert lengths['upper_bound'] == (1000, 1000)


def test_an_arm_that_there_is_not_is_refused_before_anything_runs(
    gap, called, tmp_path
):
    with pytest.raises(UserError, match='--arms must be of fusion, single_view'):
        compare(gap, tmp_path, '--arms', 'mixup')
    assert called == []


def test_a_metric_without_a_value_is_reported(gap, called, tmp_path, monkeypatch):
    monkeypatch.setitem(AT_005, 'supervised_1000', None)
    with pytest.raises(UserError, match='gave p05/PCK None, which is no number'):
        compare(gap, tmp_path, '--seeds', '0')
    compare(gap, tmp_path, '--seeds', '0', '--metrics', 'PCK')


def test_more_seeds_add_their_runs_only(gap, called, tmp_path):
    compare(gap, tmp_path, '--seeds', '0')
    called.clear()
    compare(gap, tmp_path, '--seeds', '0', '1')
    assert called
    assert all('/seed0/' not in ' '.join(command) for command in called)


def test_the_status_runs_nothing(gap, called, tmp_path, capsys):
    compare(gap, tmp_path, '--status')
    assert called == []
    assert '0 of 8 runs are done; more follow' in capsys.readouterr().out


def test_a_metric_that_no_test_gives_is_reported(gap, called, tmp_path):
    with pytest.raises(UserError, match='has no EPE, only PCK, coco/AP'):
        compare(gap, tmp_path, '--seeds', '0', '--metrics', 'EPE')


def test_a_setting_of_students_is_checked_before_anything_runs(
    gap, called, tmp_path, capsys
):
    with pytest.raises(SystemExit):
        compare(gap, tmp_path, '--student-options', 'distill.mixing.labeled_share')
    assert "'distill.mixing.labeled_share' must be KEY=VALUE" in capsys.readouterr().err
    assert called == []


def test_students_of_another_setting_are_trained_again(gap, called, tmp_path):
    compare(gap, tmp_path, '--seeds', '0')
    called.clear()
    share = 'distill.mixing.labeled_share=0.3'
    compare(gap, tmp_path, '--seeds', '0', '--student-options', share)
    trainings = [command for command in called if command[0] == 'tools/train.py']
    # The four students with their tests; labels and supervised runs are there.
    assert len(trainings) == 4
    assert len(called) == 8
    assert all(share in command for command in trainings)
