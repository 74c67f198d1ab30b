"""Tests of the set-up script: what it sees, skips, resumes and says."""

import ast
import dataclasses
import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

SCRIPT = Path(__file__).parents[1] / 'tools' / 'setup_env.py'


@pytest.fixture
def setup_env(monkeypatch):
    spec = importlib.util.spec_from_file_location('setup_env', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look for their module there.
    monkeypatch.setitem(sys.modules, 'setup_env', module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def environment(setup_env, tmp_path):
    """The newest environment, in a folder of the test."""
    newest = next(iter(setup_env.ENVIRONMENTS.values()))
    return dataclasses.replace(newest, venv=tmp_path)


@pytest.fixture
def pip(setup_env, monkeypatch):
    """A pip that only writes down what it would install, and a mmcv that runs."""
    calls = []

    def install(environment, name, arguments, command='install'):
        calls.append((name, arguments))
        for argument in arguments:
            if '==' in argument:
                add_package(environment.site, *argument.split('=='))

    def install_mmcv(environment):
        install(environment, 'mmcv', environment.steps['mmcv'].split())

    monkeypatch.setattr(setup_env, '_install', install)
    monkeypatch.setattr(setup_env, '_install_mmcv', install_mmcv)
    monkeypatch.setattr(setup_env, '_create_venv', lambda environment: None)
    monkeypatch.setattr(setup_env, '_runs', lambda *command: True)
    return calls


def add_package(site, name, version, record=True):
    folder = site / f'{name.replace("-", "_")}-{version}.dist-info'
    folder.mkdir(parents=True, exist_ok=True)
    if record:
        (folder / 'RECORD').touch()


def steps(calls):
    return [name for name, _ in calls]


def pins_of(setup_env, torch):
    return dict(pin.split('==') for pin in setup_env.ENVIRONMENTS[torch].pins.split())


def test_every_pin_is_exact(setup_env):
    for environment in setup_env.ENVIRONMENTS.values():
        assert all(pin.count('==') == 1 for pin in environment.pins.split())


def test_an_environment_has_the_torch_of_its_name(setup_env):
    for torch in setup_env.ENVIRONMENTS:
        assert pins_of(setup_env, torch)['torch'].startswith(f'{torch}.')


def listed_in_setup(name):
    """Value of an argument of `setup`, which is a literal."""
    tree = ast.parse((SCRIPT.parents[1] / 'setup.py').read_text())
    (value,) = [
        keyword.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'setup'
        for keyword in node.keywords
        if keyword.arg == name
    ]
    return ast.literal_eval(value)


@pytest.mark.parametrize('torch', ['2.12', '2.1'])
def test_what_setup_asks_for_is_in_every_environment(setup_env, torch):
    pins = pins_of(setup_env, torch)
    for bound in map(Requirement, listed_in_setup('install_requires')):
        # Pillow comes with torchvision.
        if bound.name != 'pillow':
            assert pins[bound.name] in bound.specifier


def test_every_lower_bound_is_in_the_oldest_environment(setup_env):
    pins = pins_of(setup_env, '2.1')
    for bound in map(Requirement, listed_in_setup('install_requires')):
        lowest = [s.version for s in bound.specifier if s.operator == '>=']
        assert all(pins[bound.name] == version for version in lowest)


def test_the_oldest_python_is_that_of_the_oldest_environment(setup_env):
    python = setup_env.ENVIRONMENTS['2.1'].python
    assert f'>={python.removeprefix("python")}' == listed_in_setup('python_requires')


@pytest.mark.parametrize('extra', ['import', 'onnx', 'tensorboard'])
def test_the_pins_of_an_extra_are_within_its_bounds(setup_env, extra):
    extras = listed_in_setup('extras_require')
    assert sorted(extras) == ['import', 'onnx', 'tensorboard']
    for environment in setup_env.ENVIRONMENTS.values():
        pins = dict(pin.split('==') for pin in environment.steps.get(extra, '').split())
        for bound in map(Requirement, extras[extra] if pins else []):
            assert pins[bound.name] in bound.specifier


def test_installed_version_is_read_under_any_spelling(setup_env, environment):
    add_package(environment.site, 'Import-Linter', '2.1+cpu')
    versions = setup_env.installed_versions(environment.site)
    assert setup_env.is_installed('import_linter==2.1', versions)


def test_other_version_is_not_installed(setup_env):
    assert not setup_env.is_installed('torch==2.12.1', {'torch': '2.12.0'})


def test_package_cut_short_is_not_installed(setup_env, environment):
    add_package(environment.site, 'torch', '2.1', record=False)
    assert setup_env.installed_versions(environment.site) == {}


def test_package_cut_short_is_forgotten_so_that_pip_installs_it(
    setup_env, pip, environment
):
    add_package(environment.site, 'torch', '0.1', record=False)
    setup_env.create_environment(environment)
    assert not (environment.site / 'torch-0.1.dist-info').exists()


def test_fresh_environment_installs_all_steps_in_order(setup_env, pip, environment):
    setup_env.create_environment(environment)
    assert steps(pip) == [*environment.steps, 'mmdistill']


def test_interrupted_setup_resumes_at_its_step(setup_env, pip, environment):
    for pin in environment.steps['torch'].split():
        add_package(environment.site, *pin.split('=='))
    setup_env.create_environment(environment)
    assert steps(pip)[0] == 'mmcv'


def test_finished_setup_is_complete(setup_env, pip, environment):
    setup_env.create_environment(environment)
    add_package(environment.site, 'mmdistill', '0.1.0')
    assert setup_env.is_complete(environment)


def test_finished_setup_runs_nothing(setup_env, pip, tmp_path, monkeypatch):
    monkeypatch.setattr(setup_env, 'is_complete', lambda environment: True)
    assert setup_env.main(['--venv', str(tmp_path)]) == 0
    assert pip == []


def change_pins(environment):
    steps = {**environment.steps, 'torch': 'torch==0.0'}
    return dataclasses.replace(environment, steps=steps)


def remove_mmcv(environment):
    folder = next(environment.site.glob('mmcv-*'))
    folder.rename(environment.venv / 'removed')
    return environment


def remove_stamp(environment):
    (environment.venv / 'mmdistill-stamp').unlink()
    return environment


@pytest.mark.parametrize('change', [change_pins, remove_mmcv, remove_stamp])
def test_changed_environment_is_not_complete(setup_env, pip, environment, change):
    setup_env.create_environment(environment)
    add_package(environment.site, 'mmdistill', '0.1.0')
    assert not setup_env.is_complete(change(environment))


def test_mmcv_whose_operators_fail_is_installed_again(
    setup_env, pip, environment, monkeypatch
):
    setup_env.create_environment(environment)
    pip.clear()
    monkeypatch.setattr(setup_env, '_runs', lambda *command: False)
    setup_env.create_environment(environment)
    assert steps(pip) == ['mmcv', 'mmdistill']


@pytest.fixture
def compiler(setup_env, environment, monkeypatch):
    """A pip that downloads a small source of mmcv and makes a wheel of it."""
    calls = []

    def install(environment, name, arguments, command='install'):
        calls.append((name, arguments))
        if command == 'download':
            make_source(Path(arguments[arguments.index('-d') + 1]))
        if command == 'wheel':
            wheel = Path(arguments[arguments.index('-w') + 1], 'mmcv-2.1.0-any.whl')
            wheel.parent.mkdir(parents=True)
            wheel.touch()

    monkeypatch.setattr(setup_env, '_install', install)
    monkeypatch.setattr(setup_env, '_check_compiler', lambda environment: None)
    monkeypatch.delenv('MMCV_JOIN_UNITS', raising=False)
    monkeypatch.setattr(setup_env, '_output', lambda *command: str(environment.venv))
    return calls


DISPATCHERS = ('info', 'nms', 'pybind', 'roi_align')
OF_CPU = ('bbox', 'psamask', 'roi_align', 'voxelization')


def make_source(folder):
    """The archive of a source with some operators."""
    operators = folder / 'mmcv-2.1.0' / 'mmcv' / 'ops' / 'csrc' / 'pytorch'
    (operators / 'cpu').mkdir(parents=True)
    for name in DISPATCHERS:
        (operators / f'{name}.cpp').touch()
    for name in OF_CPU:
        (operators / 'cpu' / f'{name}.cpp').touch()
    shutil.make_archive(folder / 'mmcv-2.1.0', 'gztar', folder, 'mmcv-2.1.0')
    shutil.rmtree(folder / 'mmcv-2.1.0')


def test_mmcv_is_compiled_once_for_a_torch(setup_env, environment, compiler):
    setup_env._install_mmcv(environment)
    assert steps(compiler) == ['mmcv-download', 'mmcv', 'mmcv-wheel', 'mmcv-needs']
    compiler.clear()

    setup_env._install_mmcv(environment)
    assert steps(compiler) == ['mmcv-wheel', 'mmcv-needs']
    compiler.clear()

    other = {**environment.steps, 'torch': 'torch==2.0.1'}
    setup_env._install_mmcv(dataclasses.replace(environment, steps=other))
    assert 'mmcv' in steps(compiler)


def test_an_interrupted_compiler_goes_on_in_the_same_source(
    setup_env, environment, compiler
):
    source = setup_env._mmcv_source(environment, 'mmcv==2.1.0')
    (source / 'compiled').touch()
    assert setup_env._mmcv_source(environment, 'mmcv==2.1.0') == source
    assert (source / 'compiled').exists()
    assert steps(compiler) == ['mmcv-download']


def test_every_file_of_mmcv_is_compiled_once(setup_env, environment, compiler):
    source = setup_env._mmcv_source(environment, 'mmcv==2.1.0')
    operators = source / 'mmcv' / 'ops' / 'csrc' / 'pytorch'
    units = [*operators.glob('*.cpp'), *operators.glob('cpu/*.cpp')]
    alone = [str(u.relative_to(operators).with_suffix('')) for u in units]
    joined = [re.findall(r'"(.+)\.cc"', unit.read_text()) for unit in units]
    compiled = [name for name in alone if not name.startswith('unit_')]
    compiled += [name for names in joined for name in names]
    assert sorted(compiled) == sorted([*DISPATCHERS, *(f'cpu/{n}' for n in OF_CPU)])
    assert ['cpu/bbox', 'cpu/voxelization', 'cpu/psamask'] in joined


def test_files_of_mmcv_are_compiled_alone_where_asked(
    setup_env, environment, compiler, monkeypatch
):
    monkeypatch.setenv('MMCV_JOIN_UNITS', '0')
    source = setup_env._mmcv_source(environment, 'mmcv==2.1.0')
    operators = source / 'mmcv' / 'ops' / 'csrc' / 'pytorch'
    assert sorted(u.stem for u in operators.glob('*.cpp')) == sorted(DISPATCHERS)


def test_mmcv_that_never_runs_ends_in_a_sentence(
    setup_env, environment, compiler, monkeypatch
):
    monkeypatch.setattr(setup_env, '_runs', lambda *command: False)
    with pytest.raises(setup_env.SetupError, match='`make env` to compile again'):
        setup_env._install_mmcv(environment)
    assert not [*setup_env._wheel_folder(environment).glob('*.whl')]


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


def test_missing_compiler_is_told_before_compiling(setup_env, environment, monkeypatch):
    monkeypatch.setenv('CXX', 'no-such-compiler')
    with pytest.raises(setup_env.SetupError, match='apt-get install g'):
        setup_env._check_compiler(environment)


def test_missing_headers_are_told(setup_env, environment, monkeypatch):
    monkeypatch.setattr(setup_env, '_runs', lambda *command: False)
    with pytest.raises(setup_env.SetupError, match=r'apt-get install python3\.11-dev'):
        setup_env._check_compiler(environment)


def test_headers_of_this_python_are_found(setup_env):
    assert setup_env._runs(Path(sys.prefix), '-c', setup_env.FIND_HEADERS)


def write_python(path, exit_code):
    path.parent.mkdir(parents=True)
    path.write_text(f'#!/bin/sh\nexit {exit_code}\n')
    path.chmod(0o755)
    return str(path)


def test_a_python_of_pyenv_is_found_behind_a_command_that_fails(
    setup_env, tmp_path, monkeypatch
):
    shim = write_python(tmp_path / 'shims' / 'python3.10', 1)
    python = write_python(tmp_path / 'versions' / '3.10.13' / 'bin' / 'python3.10', 0)
    monkeypatch.setenv('PYENV_ROOT', str(tmp_path))
    monkeypatch.setattr(setup_env.shutil, 'which', lambda name: shim)
    assert setup_env._find_python('python3.10') == python


def test_missing_python_is_told(setup_env, environment, monkeypatch):
    monkeypatch.setattr(setup_env.shutil, 'which', lambda name: None)
    monkeypatch.setenv('PYENV_ROOT', str(environment.venv))
    with pytest.raises(setup_env.SetupError, match='apt-get install python3'):
        setup_env._create_venv(environment)


def test_failure_of_pip_names_its_log(setup_env, environment):
    link = environment.venv / 'bin' / 'python'
    link.parent.mkdir()
    link.symlink_to('/bin/false')
    with pytest.raises(setup_env.SetupError, match=r'tools: .*mmdistill-tools\.log'):
        setup_env._install(environment, 'tools', ['ruff==0'])


def test_failed_setup_exits_2_in_one_line(tmp_path):
    result = subprocess.run(
        [sys.executable, SCRIPT, '--venv', tmp_path / 'venv'],
        env={'PATH': '', 'PYENV_ROOT': str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stderr.startswith('error: python3.11 is not on the PATH; run')


def test_packages_that_look_for_opencv_are_built_beside_it(
    setup_env, environment, monkeypatch
):
    """Their wheels ask for `opencv-python-headless`, a second one in cv2's folder."""
    commands = []
    monkeypatch.setattr(
        setup_env, '_watch', lambda command, *_: commands.append(command) or 0
    )

    setup_env._install(
        environment, 'transforms', environment.steps['transforms'].split()
    )

    (command,) = commands
    from_source = command[command.index('--no-binary') + 1].split(',')
    assert {'mmcv', 'albumentations', 'qudida'} <= set(from_source)
    assert '--no-build-isolation' in command
    assert [*environment.steps].index('mmcv') < [*environment.steps].index('transforms')


def test_there_is_one_opencv():
    pytest.importorskip('albumentations')
    owners = importlib.metadata.packages_distributions()['cv2']

    assert set(owners) == {'opencv-python'}
    for package in ('albumentations', 'qudida'):
        needs = importlib.metadata.requires(package)
        assert not any('headless' in need for need in needs)
