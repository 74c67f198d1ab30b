"""Trainings that also log to TensorBoard, Weights & Biases or MLflow."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mmdistill.cli.loggers import LOGGERS, add_logger, check_logger
from mmdistill.config.recipe import Recipe
from mmdistill.engine.mlflow_backend import allowed_name
from mmdistill.errors import ConfigError
from mmdistill.pipeline import Distillation
from mmdistill.pipeline.run import dry_run
from mmdistill.stages.label_config import runtime_settings
from tests.helpers.distilling import RECIPE, write_recipe
from tests.helpers.recipes import STUDENT
from tests.helpers.workshop import DISTILL, QUICK

LOCAL = dict(type='LocalVisBackend')


@pytest.mark.parametrize('name', LOGGERS)
def test_a_missing_package_is_one_sentence_with_its_command(name):
    package = LOGGERS[name].package
    sentence = (
        f'--logger {name}: {package} is not installed; run `pip install {package}`'
    )
    with pytest.raises(ConfigError) as error:
        check_logger(name, find=lambda module: False)
    assert str(error.value) == sentence
    check_logger(name, find=lambda module: module == package)
    check_logger(None, find=lambda module: False)


@pytest.mark.parametrize('tool_name', ['train', 'distill'])
def test_nothing_runs_without_the_package(
    workshop, tool, monkeypatch, capsys, tool_name
):
    monkeypatch.setitem(
        LOGGERS, 'wandb', LOGGERS['wandb'].__class__('WandbVisBackend', 'no_w', 'no-w')
    )
    arguments = (STUDENT, '--logger', 'wandb', '--work-dir', 'new')
    assert tool(tool_name, *arguments) == 2
    assert 'run `pip install no-w`' in capsys.readouterr().err
    assert not Path('new').exists()


def test_a_logger_stands_beside_those_of_the_config():
    stated = dict(type='PoseLocalVisualizer', vis_backends=[LOCAL], name='visualizer')
    config = Config(dict(work_dir='work_dirs/mice/student', visualizer=stated))
    for _ in range(2):
        add_logger(config, 'wandb')
    run = dict(type='WandbVisBackend', init_kwargs=dict(name='student'))
    assert config.visualizer == dict(stated, vis_backends=[LOCAL, run])
    # One run is one training: labeling, in the same process, is none.
    assert 'visualizer' not in runtime_settings(config)


@pytest.mark.parametrize('stated', ['', 'http://tracking:5000'])
def test_without_a_visualizer_it_is_that_of_the_host(monkeypatch, stated):
    monkeypatch.delenv('MLFLOW_TRACKING_URI', raising=False)
    if stated:
        monkeypatch.setenv('MLFLOW_TRACKING_URI', stated)
    config = Config(dict(work_dir='a', train_cfg=dict(max_iters=1)))
    add_logger(config, 'mlflow')
    local, mlflow = config.visualizer.vis_backends
    assert local == LOCAL
    assert mlflow == dict(
        type='mmdistill.MLflowBackend',
        run_name='a',
        tracking_uri=stated or 'sqlite:///mlflow.db',
        tracked_config_keys=['train_cfg'],
    )


def test_metrics_have_names_that_mlflow_takes():
    assert allowed_name('coco/AP (M)') == 'coco/AP _M_'
    for name in ('loss_kpt/pseudo', 'coco/AP .75', 'lr', 'mix/seen-labeled: 1'):
        assert allowed_name(name) == name


def test_rounds_have_no_common_name_of_their_runs():
    config = Config(dict(work_dir='a', distill=dict(rounds=dict(number=2))))
    add_logger(config, 'wandb')
    assert config.visualizer.vis_backends[1] == dict(type='WandbVisBackend')


def test_all_trainings_of_a_distillation_get_the_words(workshop):
    write_recipe()
    recipe = Recipe.of(Config.fromfile(RECIPE))
    work = Distillation(
        *(recipe, RECIPE, ''),
        training_words=('--logger', 'mlflow'),
        student_words=('--show', '4'),
    )
    lines = [line for line in dry_run(work).splitlines() if 'tools/' in line]
    trainings = [line for line in lines if 'tools/train.py' in line]
    assert len(trainings) == 3
    assert [line for line in lines if '--logger mlflow' in line] == trainings
    (student,) = [line for line in lines if '--show 4' in line]
    assert student in trainings
    assert str(RECIPE) in student


def test_losses_of_both_kinds_and_metrics_arrive(workshop, tool):
    pytest.importorskip('tensorboard', reason='pip install "mmdistill[tensorboard]"')
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    hook = "[dict(type='mmdistill.StudentLogHook', interval=2)]"
    Path('logged.py').write_text(f'_base_ = {STUDENT!r}\ncustom_hooks = {hook}\n')
    options = ('--cfg-options', *QUICK, *DISTILL, 'distill.worth_images=0')
    arguments = ('--work-dir', 'student', '--logger', 'tensorboard')
    assert tool('train', 'logged.py', *arguments, *options) == 0

    (folder,) = {path.parent for path in Path('student').rglob('events.out.*')}
    events = EventAccumulator(str(folder)).Reload()
    steps = {
        name: [event.step for event in events.Scalars(name)]
        for name in ('loss', 'loss_kpt/labeled', 'loss_kpt/pseudo', 'coco/AP')
    }
    assert steps['loss'] == [1, 2, 3, 4]
    assert steps['loss_kpt/labeled'] == steps['loss_kpt/pseudo'] == [2, 3, 4]
    assert steps['coco/AP'] == [4]
