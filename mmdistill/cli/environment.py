"""Find a missing or wrong piece of the host before it fails in the middle of imports.

MMPose imports MMDetection, the compiled operators of mmcv and xtcocotools as soon as
it is imported; where one of them is wrong, what a user sees is a traceback through
files nobody here wrote. Every tool therefore calls ``check_environment`` first. It
imports only what MMPose is about to import anyway.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

from mmdistill.errors import UserError

Find = Callable[[str], bool]
Load = Callable[[str], Any]

# From 2.14 on torch needs C++20, and mmcv 2.1 asks its compiler for C++17.
TORCH = 'pip install "torch>=2.6,<2.14" torchvision'
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

# From source it takes the OpenCV that is there; its wheel would install a second one.
TRANSFORM_COMMANDS = {
    'albumentations': 'pip install --no-build-isolation --no-binary '
    'albumentations,qudida "albumentations==1.3.1" "numpy<2"',
}
PACKAGE_OF_TRANSFORM = {'Albumentation': 'albumentations'}
"""Transforms of MMPose that need a package of their own, of a version that fits."""


def has_module(name: str) -> bool:
    """Tell whether a module could be imported, without importing it."""
    return importlib.util.find_spec(name) is not None


def check_environment(
    find: Find = has_module,
    load: Load = importlib.import_module,
    network: bool = True,
) -> None:
    """Make sure that MMPose and what it needs can be imported.

    Args:
        find: Tells whether a module is there.
        load: Imports a module.
        network: Whether a network is going to run. What only reads labels needs
            none of mmcv's operators, which take a second to import.

    Raises:
        UserError: A piece is missing or does not fit the others; the sentence ends
            in the command that mends it.
    """
    _check_installed(find, load)
    _check_torch(load)
    _check_opencv(load)
    if network:
        _check_mmcv_ops(find, load)
    _check_xtcocotools(load)
    _check_pyarrow(load)
    _check_host_versions(load)


def _check_installed(find: Find, load: Load) -> None:
    # The set-up of mmcv imports it as well, so it comes first.
    if not find('pkg_resources'):
        raise UserError(
            'this setuptools has no pkg_resources, which MMEngine imports; '
            f'run `{PKG_RESOURCES}`'
        )
    for module, command in COMMANDS.items():
        if not find(module):
            mend = _compile_mmcv(load) if module == 'mmcv' else f'`{command}`'
            raise UserError(f'{module} is not installed; run {mend}')


def _compile_mmcv(load: Load) -> str:
    """Commands that compile mmcv, and before them a torch beside which it compiles."""
    version = _torch_version(load)
    if version is None or (2, 6) <= version < (2, 14):
        return f'`{COMPILE_MMCV}`'
    return f'`{TORCH}`, then `{COMPILE_MMCV}`'


def _torch_version(load: Load) -> tuple[int, ...] | None:
    """Major and minor version of torch, where it says so."""
    parts = str(getattr(load('torch'), '__version__', '')).split('.')[:2]
    return tuple(map(int, parts)) if all(p.isdecimal() for p in parts) else None


def _check_torch(load: Load) -> None:
    # Older ones have no list of objects that a checkpoint may hold beside weights.
    version = _torch_version(load)
    if version is not None and version < (2, 6):
        raise UserError(
            'torch must be at least 2.6 to load checkpoints safely, this is '
            f'{load("torch").__version__}; run {_compile_mmcv(load)}'
        )


def _check_opencv(load: Load) -> None:
    try:
        load('cv2')
    except ImportError as error:
        # Without a display, the system library is the piece that is missing.
        mend = (
            'apt-get install libgl1 libglib2.0-0'
            if '.so' in str(error)
            else 'pip install "opencv-python<4.12"'
        )
        raise UserError(f'OpenCV does not import ({error}); run `{mend}`') from error


def _check_mmcv_ops(find: Find, load: Load) -> None:
    if not find('mmcv._ext'):
        raise UserError(
            'mmcv is installed without its compiled operators (mmcv-lite, or a build '
            f'without MMCV_WITH_OPS=1); run {_compile_mmcv(load)}'
        )
    try:
        _run_operator(load)
    except (ImportError, RuntimeError) as error:
        raise UserError(
            'the operators of mmcv were compiled for another torch than the one '
            f'installed; run {_compile_mmcv(load)}'
        ) from error


def _run_operator(load: Load) -> None:
    # A library built for another torch may import and still fail when it runs.
    torch, ops = load('torch'), load('mmcv.ops')
    ops.nms(torch.ones(1, 4), torch.ones(1), iou_threshold=0.5)


def _check_xtcocotools(load: Load) -> None:
    try:
        load('xtcocotools.mask')
    except ValueError as error:
        raise UserError(
            'xtcocotools was built for numpy 1 and numpy 2 is installed '
            f'({error}); run `pip install "numpy<2"`'
        ) from error


def _check_pyarrow(load: Load) -> None:
    try:
        load('pyarrow')
    except ImportError as error:
        raise UserError(
            f'pyarrow does not import beside this numpy ({error}); '
            'run `pip install "pyarrow<26"`'
        ) from error


def _check_host_versions(load: Load) -> None:
    for module in ('mmdet', 'mmpose'):
        try:
            load(module)
        except AssertionError as error:
            raise UserError(
                f'{module} refuses the versions beside it ({error}); '
                f'run {_compile_mmcv(load)}'
            ) from error
