"""Check of the environment before MMPose is imported.

MMPose imports MMDetection, the compiled operators of mmcv and xtcocotools at once; if
one of them is missing or does not match, a user sees a traceback through the files of
other packages. Every tool therefore calls ``check_environment`` first. It imports only
packages that MMPose is about to import anyway.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

from mmdistill.errors import ConfigError

FindModule = Callable[[str], bool]
LoadModule = Callable[[str], Any]

# From 2.14 on torch needs C++20, and mmcv 2.1 asks its compiler for C++17.
TORCH = 'pip install "torch>=2.1,<2.14" torchvision'
OLDEST_TORCH, FIRST_TOO_NEW = (2, 1), (2, 14)
COMPILE_MMCV = (
    'pip uninstall -y mmcv mmcv-lite && MMCV_WITH_OPS=1 '
    'pip install --no-build-isolation --no-cache-dir "mmcv>=2.1,<2.2"'
)
PKG_RESOURCES = 'pip install "setuptools<81"'

# In the order in which they can be installed.
COMMANDS = {
    'torch': TORCH,
    'torchvision': TORCH,
    'mmengine': 'pip install mmengine',
    'mmcv': COMPILE_MMCV,
    'mmdet': 'pip install mmdet',
    'xtcocotools': 'pip install xtcocotools',
    'mmpose': 'pip install --no-build-isolation chumpy mmpose',
    'pyarrow': 'pip install "pyarrow<26"',
    'jinja2': 'pip install jinja2',
}

# Built from source it uses the installed OpenCV; its wheel would install another one.
TRANSFORM_COMMANDS = {
    'albumentations': 'pip install --no-build-isolation --no-binary '
    'albumentations,qudida "albumentations==1.3.1" "numpy<2"',
}
PACKAGE_OF_MODULE = {
    'PIL': 'pillow',
    'cv2': '"opencv-python<4.12"',
    'mmaction': 'mmaction2',
    'mmseg': 'mmsegmentation',
    'skimage': 'scikit-image',
    'sklearn': 'scikit-learn',
    'yaml': 'pyyaml',
}
"""What modules of another name than their package are installed by."""
PACKAGE_OF_TRANSFORM = {'Albumentation': 'albumentations'}
"""Packages, at a matching version, that single transforms of MMPose need."""


def install_command(module: str) -> str:
    """Return the command that installs a module which a transform or model needs.

    Args:
        module: The outermost package that is imported.
    """
    command = TRANSFORM_COMMANDS.get(module) or COMMANDS.get(module)
    return command or f'pip install {PACKAGE_OF_MODULE.get(module, module)}'


def has_module(name: str) -> bool:
    """Check whether a module can be imported, without importing it.

    Args:
        name: Its name, with the packages that it is in.

    Raises:
        ModuleNotFoundError: If a package that it is in is missing.
    """
    return importlib.util.find_spec(name) is not None


def not_installed(package: str, fix: str = '') -> str:
    """Write the sentence about a missing package.

    Args:
        package: Its name.
        fix: Commands that install it, each in backquotes; none where they are unknown.

    Returns:
        The sentence, without a full stop.
    """
    if not fix:
        return f'{package} is not installed'
    return f'{package} is not installed; run {fix}'


def check_environment(
    find: FindModule = has_module,
    load: LoadModule = importlib.import_module,
    network: bool = True,
) -> None:
    """Make sure that MMPose and its dependencies can be imported.

    Args:
        find: Function that checks whether a module exists.
        load: Function that imports a module.
        network: Whether a network will run. Tools that only read labels need no
            operators of mmcv, which take a second to import.

    Raises:
        UserError: If a package is missing or does not match the others; the sentence
            ends with the command that fixes it.
    """
    _check_installed(find, load)
    _check_torch(load)
    _check_opencv(load)
    if network:
        _check_mmcv_ops(find, load)
    _check_xtcocotools(load)
    _check_pyarrow(load)
    _check_host_versions(load)


def _check_installed(find: FindModule, load: LoadModule) -> None:
    # Building mmcv imports it as well, so it comes first.
    if not find('pkg_resources'):
        raise ConfigError(
            'this setuptools has no pkg_resources, which MMEngine imports; '
            f'run `{PKG_RESOURCES}`'
        )
    for module, command in COMMANDS.items():
        if not find(module):
            fix = _mmcv_commands(load) if module == 'mmcv' else f'`{command}`'
            raise ConfigError(not_installed(module, fix))


def _mmcv_commands(load: LoadModule) -> str:
    """Return commands that compile mmcv, after those for a torch that it supports."""
    version = _torch_version(load)
    if version is None or OLDEST_TORCH <= version < FIRST_TOO_NEW:
        return f'`{COMPILE_MMCV}`'
    return f'`{TORCH}`, then `{COMPILE_MMCV}`'


def _torch_version(load: LoadModule) -> tuple[int, ...] | None:
    """Return major and minor version of torch; None if it states none."""
    numbers = str(getattr(load('torch'), '__version__', '')).split('.')[:2]
    return tuple(map(int, numbers)) if all(n.isdecimal() for n in numbers) else None


def _check_torch(load: LoadModule) -> None:
    # The oldest that `make test-oldest` has an environment for.
    version = _torch_version(load)
    if version is not None and version < OLDEST_TORCH:
        raise ConfigError(
            f'torch must be at least 2.1, this is {load("torch").__version__}; '
            f'run {_mmcv_commands(load)}'
        )


def _check_opencv(load: LoadModule) -> None:
    try:
        load('cv2')
    except ImportError as error:
        # On a machine without a display the system library is missing.
        fix = (
            'apt-get install libgl1 libglib2.0-0'
            if '.so' in str(error)
            else 'pip install "opencv-python<4.12"'
        )
        raise ConfigError(f'OpenCV does not import ({error}); run `{fix}`') from error


def _check_mmcv_ops(find: FindModule, load: LoadModule) -> None:
    if not find('mmcv._ext'):
        raise ConfigError(
            'mmcv is installed without its compiled operators (mmcv-lite, or a build '
            f'without MMCV_WITH_OPS=1); run {_mmcv_commands(load)}'
        )
    try:
        _run_operator(load)
    except (ImportError, RuntimeError) as error:
        raise ConfigError(
            'the operators of mmcv were compiled for another torch than the one '
            f'installed; run {_mmcv_commands(load)}'
        ) from error


def _run_operator(load: LoadModule) -> None:
    # A library built for another torch may import and still fail when it runs.
    torch, ops = load('torch'), load('mmcv.ops')
    ops.nms(torch.ones(1, 4), torch.ones(1), iou_threshold=0.5)


def _check_xtcocotools(load: LoadModule) -> None:
    try:
        load('xtcocotools.mask')
    except ValueError as error:
        raise ConfigError(
            'xtcocotools was built for numpy 1 and numpy 2 is installed '
            f'({error}); run `pip install "numpy<2"`'
        ) from error


def _check_pyarrow(load: LoadModule) -> None:
    try:
        load('pyarrow')
    except ImportError as error:
        raise ConfigError(
            f'pyarrow does not import beside this numpy ({error}); '
            'run `pip install "pyarrow<26"`'
        ) from error


def _check_host_versions(load: LoadModule) -> None:
    for module in ('mmdet', 'mmpose'):
        try:
            load(module)
        except AssertionError as error:
            raise ConfigError(
                f'{module} refuses the versions beside it ({error}); '
                f'run {_mmcv_commands(load)}'
            ) from error
