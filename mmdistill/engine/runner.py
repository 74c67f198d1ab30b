"""Runner of a stage, for any number of processes with or without an accelerator.

MMEngine's launchers set a CUDA device first, and its default model wrapper names one;
both steps are skipped when they are already done, so processes without CUDA join by
gloo, and leave the group before the interpreter ends. `AmpOptimWrapper` stops with an
assertion on a machine without an accelerator; the same config trains there in single
precision.
"""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from torch import distributed

from mmdistill.config.loops import check_loaders
from mmdistill.config.schema import is_type
from mmdistill.errors import ConfigError
from mmdistill.utils.files import folder_problem

if TYPE_CHECKING:
    from mmengine.runner import Runner

AMP_WRAPPER = 'AmpOptimWrapper'
DEVICES_WITHOUT_AMP = ('cpu', 'mps')
"""Devices for which MMEngine has no mixed precision."""
AMP_ARGUMENTS = ('loss_scale', 'dtype', 'use_fsdp')
"""Arguments that the plain `OptimWrapper` does not take."""


def stage_runner(config: Config) -> Runner:
    """Build MMEngine's runner, ready for processes without CUDA and safe loading.

    Args:
        config: Config of the stage.

    Raises:
        UserError: If a loader of the config cannot be built, or nothing can be written
            into its work folder.
    """
    # Imported here: selecting needs no runner, which takes long to import.
    from mmdistill.engine import checkpoint  # noqa: F401  (registers the safe loaders)
    from mmdistill.engine.quiet_runner import QuietRunner

    check_loaders(config)
    check_work_dir(config)
    prepare_cpu_launch(config)
    note = use_single_precision(config)
    runner = QuietRunner.from_cfg(config)
    leave_process_group_at_exit()
    if note:
        # The log file exists only now.
        print_log(note, logger='current')
    return runner


def check_work_dir(config: Config) -> None:
    """Make the work folder, or say why it cannot be made.

    Args:
        config: The runner's config.

    Raises:
        ConfigError: If the folder cannot be made or written to.
    """
    folder = Path(config.get('work_dir') or '.')
    problem = folder_problem(folder)
    if not problem:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            problem = error.strerror or str(error)
    if problem:
        raise ConfigError(
            f'work_dir {folder} cannot hold logs and checkpoints: {problem}; name '
            'another folder with --work-dir'
        )


def unwrap_model(model: Any) -> Any:
    """Return a model without the wrapper of several processes.

    Args:
        model: The model of a runner.
    """
    return model.module if is_model_wrapper(model) else model


def release_memory() -> None:
    """Free the models of a stage that has ended, before the next one needs the memory.

    A runner and its loops refer to each other, so its model stays until Python collects
    cycles, which a training may not do for long.
    """
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def prepare_cpu_launch(config: Config) -> None:
    """Join the process group by gloo in processes launched without CUDA.

    Args:
        config: The runner's config; its model wrapper is set if it states none.
    """
    if config.get('launcher', 'none') != 'pytorch' or torch.cuda.is_available():
        return
    if not distributed.is_initialized():
        distributed.init_process_group('gloo')
    wrapper = dict(type='MMDistributedDataParallel', device_ids=None)
    config.setdefault('model_wrapper_cfg', wrapper)


def leave_process_group_at_exit() -> None:
    """Destroy the process group at exit, before the interpreter is torn down.

    Threads of gloo that still hold tensors then sometimes end the process by SIGABRT
    after its work is done, and the launcher reports the run as failed.
    """
    atexit.unregister(_leave_process_group)
    atexit.register(_leave_process_group)


def _leave_process_group() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()


def use_single_precision(config: Config, device: str | None = None) -> str | None:
    """Train in single precision where the machine has no accelerator.

    Args:
        config: The runner's config; its optimizer wrapper is changed.
        device: The device; this machine's by default.

    Returns:
        The line for the log; None where the config is unchanged.
    """
    device = device or get_device()
    if device not in DEVICES_WITHOUT_AMP:
        return None
    wrappers = [*_amp_wrappers(config.get('optim_wrapper'))]
    for wrapper in wrappers:
        wrapper['type'] = 'OptimWrapper'
        for name in AMP_ARGUMENTS:
            wrapper.pop(name, None)
    if not wrappers:
        return None
    return (
        f'{AMP_WRAPPER} needs an accelerator: on this machine ({device}) the training '
        'runs in single precision'
    )


def _amp_wrappers(wrapper: Any) -> Iterator[dict[str, Any]]:
    """Iterate over mixed-precision wrappers; a model may have one for each module."""
    if isinstance(wrapper, dict):
        if is_type(wrapper, AMP_WRAPPER):
            yield wrapper
        for value in wrapper.values():
            yield from _amp_wrappers(value)
