import argparse

import pytest

from mmdistill.cli.arguments import (
    LAUNCHERS,
    add_config_arguments,
    add_training_arguments,
    load_config,
    with_training_arguments,
)
from mmdistill.errors import UserError


@pytest.fixture
def parse(tmp_path, monkeypatch):
    """Parse a command line for a config that lies in a folder with a module."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / 'recipes'
    folder.mkdir()
    (folder / 'beside_the_recipe.py').write_text('')
    (folder / 'recipe.py').write_text(
        "custom_imports = dict(imports=['beside_the_recipe'])\n"
        "optim_wrapper = dict(type='OptimWrapper')\n"
        'val_cfg = val_dataloader = val_evaluator = dict(a=1)\n'
    )

    def parse_arguments(*arguments: str) -> argparse.Namespace:
        parser = argparse.ArgumentParser()
        add_config_arguments(parser)
        add_training_arguments(parser)
        return parser.parse_args(['recipes/recipe.py', *arguments])

    return parse_arguments


def test_a_module_beside_the_recipe_is_imported(parse):
    assert load_config(parse()).filename.endswith('recipe.py')


def test_the_work_folder_is_named_after_the_recipe(parse):
    assert load_config(parse()).work_dir == 'work_dirs/recipe'


def test_the_work_folder_can_be_given(parse):
    assert load_config(parse('--work-dir', 'x')).work_dir == 'x'


def test_options_override_the_recipe(parse):
    config = load_config(parse('--cfg-options', 'optim_wrapper.clip=3'))

    assert config.optim_wrapper.clip == 3


def test_a_recipe_that_does_not_exist_is_refused(parse):
    arguments = parse()
    arguments.config = 'other.py'

    with pytest.raises(UserError, match=r'the config other\.py does not exist'):
        load_config(arguments)


@pytest.mark.parametrize(
    ('flags', 'resume', 'load_from'),
    [
        (['--resume'], True, None),
        (['--resume', 'a.pth'], True, 'a.pth'),
        ([], None, None),
    ],
)
def test_resume_is_mmpose_s(parse, flags, resume, load_from):
    arguments = parse(*flags)
    config = with_training_arguments(load_config(arguments), arguments)

    assert (config.get('resume'), config.get('load_from')) == (resume, load_from)


@pytest.mark.parametrize(
    ('number', 'resume', 'load_from'), [(None, None, 'start.pth'), (2, True, None)]
)
def test_rounds_resume_by_themselves_unless_one_is_run_by_hand(
    parse, number, resume, load_from
):
    """What each of their trainings starts from is not forgotten."""
    arguments = parse('--resume')
    arguments.round = number
    config = load_config(arguments)
    config.load_from, config.distill = 'start.pth', dict(rounds=dict())

    config = with_training_arguments(config, arguments)

    assert (config.get('resume'), config.load_from) == (resume, load_from)


@pytest.fixture
def accelerator(monkeypatch):
    """Pretend that there is a GPU."""
    monkeypatch.setattr('mmdistill.cli.arguments.get_device', lambda: 'cuda')


@pytest.mark.usefixtures('accelerator')
def test_amp_takes_the_wrapper_of_mmengine(parse):
    arguments = parse('--amp')
    config = with_training_arguments(load_config(arguments), arguments)

    assert config.optim_wrapper == dict(type='AmpOptimWrapper', loss_scale='dynamic')


def test_amp_refuses_a_machine_without_accelerator(parse, monkeypatch):
    monkeypatch.setattr('mmdistill.cli.arguments.get_device', lambda: 'cpu')
    arguments = parse('--amp')

    with pytest.raises(UserError, match='needs an accelerator'):
        with_training_arguments(load_config(arguments), arguments)


@pytest.mark.usefixtures('accelerator')
def test_amp_refuses_another_wrapper(parse):
    arguments = parse('--amp', '--cfg-options', 'optim_wrapper.type=ApexOptimWrapper')

    with pytest.raises(UserError, match='got ApexOptimWrapper'):
        with_training_arguments(load_config(arguments), arguments)


def test_without_validation_there_is_no_validation_loop(parse):
    arguments = parse('--no-validate')
    config = with_training_arguments(load_config(arguments), arguments)

    assert config.val_cfg is config.val_dataloader is config.val_evaluator is None


@pytest.mark.parametrize(
    ('launcher', 'sentence'),
    [
        ('pytorch', 'torchrun started; the environment has no .*MASTER_ADDR'),
        ('slurm', 'srun started; .* no SLURM_PROCID, SLURM_NTASKS, SLURM_NODELIST'),
        ('mpi', 'mpirun started; the environment has no OMPI_COMM_WORLD_LOCAL_RANK'),
    ],
)
def test_a_launcher_that_did_not_start_us_is_refused(
    parse, monkeypatch, launcher, sentence
):
    for name in LAUNCHERS[launcher]:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match=sentence):
        load_config(parse('--launcher', launcher))


def test_a_launcher_is_handed_on(parse, monkeypatch):
    for name in LAUNCHERS['slurm']:
        monkeypatch.setenv(name, '1')
    assert load_config(parse('--launcher', 'slurm')).launcher == 'slurm'
