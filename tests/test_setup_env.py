"""Tests of the set-up script: what it sees, skips, resumes and says."""

import ast
import importlib.metadata
import importlib.util
import pathlib
import re
import subprocess
import sys

import pytest
from packaging.requirements import Requirement

SCRIPT = pathlib.Path(__file__).parents[1] / 'tools' / 'setup_env.py'


@pytest.fixture
def setup_env():
    spec = importlib.util.spec_from_file_location('setup_env', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def pip(setup_env, monkeypatch):
    """A pip that only writes down what it would install, and a mmcv that runs."""
    calls = []

    def install(venv, name, arguments):
        calls.append((name, arguments))
        for argument in arguments:
            if '==' in argument:
                add_package(setup_env, venv, *argument.split('=='))

    monkeypatch.setattr(setup_env, '_install', install)
    monkeypatch.setattr(setup_env, '_create_venv', lambda venv: None)
    monkeypatch.setattr(setup_env, '_runs', lambda *command: True)
    return calls


def add_package(setup_env, venv, name, version, record=True):
    folder = setup_env._site(venv) / f'{name.replace("-", "_")}-{version}.dist-info'
    folder.mkdir(parents=True, exist_ok=True)
    if record:
        (folder / 'RECORD').touch()


def steps(calls):
    return [name for name, _ in calls]


def test_every_pin_is_exact(setup_env):
    pins = ' '.join(setup_env.STEPS.values()).split()
    assert all(pin.count('==') == 1 for pin in pins)


@pytest.mark.parametrize('extra', ['import', 'onnx', 'tensorboard'])
def test_the_pins_of_an_extra_are_within_its_bounds(setup_env, extra):
    pins = dict(pin.split('==') for pin in setup_env.STEPS[extra].split())
    text = (SCRIPT.parents[1] / 'setup.py').read_text()
    (extras,) = re.findall(r'extras_require=(\{.*?\}),', text, re.DOTALL)
    bounds = ast.literal_eval(extras)
    assert sorted(bounds) == ['import', 'onnx', 'tensorboard']
    for bound in map(Requirement, bounds[extra]):
        assert pins[bound.name] in bound.specifier


def test_installed_version_is_read_under_any_spelling(setup_env, tmp_path):
    add_package(setup_env, tmp_path, 'Import-Linter', '2.1+cpu')
    versions = setup_env.installed_versions(setup_env._site(tmp_path))
    assert setup_env.is_installed('import_linter==2.1', versions)


def test_other_version_is_not_installed(setup_env):
    assert not setup_env.is_installed('torch==2.12.1', {'torch': '2.12.0'})


def test_package_cut_short_is_not_installed(setup_env, tmp_path):
    add_package(setup_env, tmp_path, 'torch', '2.1', record=False)
    assert setup_env.installed_versions(setup_env._site(tmp_path)) == {}


def test_package_cut_short_is_forgotten_so_that_pip_installs_it(
    setup_env, pip, tmp_path
):
    add_package(setup_env, tmp_path, 'torch', '0.1', record=False)
    setup_env.create_environment(tmp_path)
    assert not (setup_env._site(tmp_path) / 'torch-0.1.dist-info').exists()


def test_fresh_environment_installs_all_steps_in_order(setup_env, pip, tmp_path):
    setup_env.create_environment(tmp_path)
    assert steps(pip) == [*setup_env.STEPS, 'mmdistill']


def test_interrupted_setup_resumes_at_its_step(setup_env, pip, tmp_path):
    for pin in setup_env.STEPS['torch'].split():
        add_package(setup_env, tmp_path, *pin.split('=='))
    setup_env.create_environment(tmp_path)
    assert steps(pip)[0] == 'mmcv'


def test_finished_setup_is_complete(setup_env, pip, tmp_path):
    setup_env.create_environment(tmp_path)
    add_package(setup_env, tmp_path, 'mmdistill', '0.1.0')
    assert setup_env.is_complete(tmp_path)


def test_finished_setup_runs_nothing(setup_env, pip, tmp_path, monkeypatch):
    monkeypatch.setattr(setup_env, 'is_complete', lambda venv: True)
    assert setup_env.main(['--venv', str(tmp_path)]) == 0
    assert pip == []


def change_pins(setup_env, venv):
    setup_env.STEPS['torch'] = 'torch==0.0'


def remove_mmcv(setup_env, venv):
    folder = next(setup_env._site(venv).glob('mmcv-*'))
    folder.rename(venv / 'removed')


def remove_stamp(setup_env, venv):
    (venv / 'mmdistill-stamp').unlink()


@pytest.mark.parametrize('change', [change_pins, remove_mmcv, remove_stamp])
def test_changed_environment_is_not_complete(setup_env, pip, tmp_path, change):
    setup_env.create_environment(tmp_path)
    add_package(setup_env, tmp_path, 'mmdistill', '0.1.0')
    change(setup_env, tmp_path)
    assert not setup_env.is_complete(tmp_path)


def test_mmcv_of_another_torch_is_forgotten_and_rebuilt(
    setup_env, pip, tmp_path, monkeypatch
):
    commands = []

    def run(venv, *command):
        commands.append(command)
        return len(commands) > 1

    monkeypatch.setattr(setup_env, '_runs', run)
    setup_env.create_environment(tmp_path)
    assert commands[1] == ('-m', 'pip', 'cache', 'remove', 'mmcv')
    assert '--force-reinstall' in pip[2][1]


def test_mmcv_that_never_runs_ends_in_a_sentence(setup_env, pip, tmp_path, monkeypatch):
    monkeypatch.setattr(setup_env, '_runs', lambda *command: False)
    with pytest.raises(setup_env.SetupError, match='`make clean env`'):
        setup_env.create_environment(tmp_path)


def test_progress_counts_the_compiled_files(setup_env):
    log = 'Building wheel for mmcv\n  [1/77] c++ -MMD\n  [12/77] c++ -MMD\n'
    assert setup_env.describe_progress(log) == '[12/77]'


def test_progress_before_the_compiler_is_pips_last_step(setup_env):
    log = 'Collecting torch==2.1\n  Downloading torch-2.1.whl (700 MB)\n noise\n'
    assert setup_env.describe_progress(log) == 'Downloading torch-2.1.whl (700 MB)'


@pytest.mark.parametrize(
    ('log', 'words'),
    [
        ('ERROR: No matching distribution found for mmcv', 'package index'),
        ('ERROR: ResolutionImpossible: for help visit', 'package index'),
        ('OSError: [Errno 28] No space left on device', 'disk is full'),
        ('c++: fatal error: Killed signal terminated program', 'MAX_JOBS=1'),
    ],
)
def test_known_failure_has_a_sentence(setup_env, log, words):
    assert words in setup_env.explain_failure(log)


def test_missing_compiler_is_told_before_compiling(setup_env, tmp_path, monkeypatch):
    monkeypatch.setenv('CXX', 'no-such-compiler')
    with pytest.raises(setup_env.SetupError, match='apt-get install g'):
        setup_env._install(tmp_path, 'mmcv', [])


def test_missing_headers_are_told(setup_env, tmp_path, monkeypatch):
    monkeypatch.setattr(setup_env, '_runs', lambda *command: False)
    with pytest.raises(setup_env.SetupError, match=r'apt-get install python3\.11-dev'):
        setup_env._check_compiler(tmp_path)


def test_headers_of_this_python_are_found(setup_env):
    root = pathlib.Path(sys.prefix)
    assert setup_env._runs(root, '-c', setup_env.FIND_HEADERS)


def test_missing_python_is_told(setup_env, tmp_path, monkeypatch):
    monkeypatch.setattr(setup_env.shutil, 'which', lambda name: None)
    with pytest.raises(setup_env.SetupError, match='apt-get install python3'):
        setup_env._create_venv(tmp_path)


def test_failure_of_pip_names_its_log(setup_env, tmp_path):
    link = tmp_path / 'bin' / 'python'
    link.parent.mkdir()
    link.symlink_to('/bin/false')
    with pytest.raises(setup_env.SetupError, match=r'tools: .*mmdistill-tools\.log'):
        setup_env._install(tmp_path, 'tools', ['ruff==0'])


def test_failed_setup_exits_2_in_one_line(setup_env, tmp_path):
    result = subprocess.run(
        [sys.executable, SCRIPT, '--venv', tmp_path / 'venv'],
        env={'PATH': ''},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stderr.startswith('error: python3.11 is not on the PATH; run')


def test_packages_that_look_for_opencv_are_built_beside_it(
    setup_env, tmp_path, monkeypatch
):
    """Their wheels ask for `opencv-python-headless`, a second one in cv2's folder."""
    commands = []
    monkeypatch.setattr(
        setup_env, '_watch', lambda command, *_: commands.append(command) or 0
    )

    setup_env._install(tmp_path, 'transforms', setup_env.STEPS['transforms'].split())

    (command,) = commands
    from_source = command[command.index('--no-binary') + 1].split(',')
    assert {'mmcv', 'albumentations', 'qudida'} <= set(from_source)
    assert '--no-build-isolation' in command
    assert [*setup_env.STEPS].index('mmcv') < [*setup_env.STEPS].index('transforms')


def test_there_is_one_opencv():
    pytest.importorskip('albumentations')
    owners = importlib.metadata.packages_distributions()['cv2']

    assert set(owners) == {'opencv-python'}
    for package in ('albumentations', 'qudida'):
        needs = importlib.metadata.requires(package)
        assert not any('headless' in need for need in needs)
