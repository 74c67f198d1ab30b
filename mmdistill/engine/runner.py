"""The runner of a stage.

Several processes: joined without CUDA too, left before the interpreter ends.

MMEngine's launchers set a CUDA device before anything else, and its default model
wrapper names one. Both steps are skipped when they are already done.

Mixed precision in a config, on a machine without an accelerator.

MMEngine's `AmpOptimWrapper` is for accelerators alone and stops with an assertion on
others. The config is right all the same: in single precision it trains the same model.
"""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from torch import distributed

from mmdistill.config.loops import check_loaders
from mmdistill.config.schema import is_type

if TYPE_CHECKING:
    from mmengine.runner import Runner


def stage_runner(config: Config) -> Runner:
    """Build MMEngine's runner, ready for processes without CUDA and safe loading.

    Args:
        config: Config of the stage.

    Raises:
        UserError: If a loader of the config cannot be built.
    """
    # Here, because choosing labels anew needs no runner, which takes long to import.
    from mmdistill.engine import checkpoint  # noqa: F401  (registers the safe loaders)
    from mmdistill.engine.quiet_runner import QuietRunner

    check_loaders(config)
    prepare_cpu_launch(config)
    note = use_single_precision(config)
    runner = QuietRunner.from_cfg(config)
    leave_process_group_at_exit()
    if note:
        # Only now there is a log file to say it in.
        print_log(note, logger='current')
    return runner


def prepare_cpu_launch(config: Config) -> None:
    """Join the process group by gloo where a launcher started us without CUDA.

    Args:
        config: The runner's config; its model wrapper is set where it is needed.
    """
    if config.get('launcher', 'none') != 'pytorch' or torch.cuda.is_available():
        return
    if not distributed.is_initialized():
        distributed.init_process_group('gloo')
    wrapper = dict(type='MMDistributedDataParallel', device_ids=None)
    config.setdefault('model_wrapper_cfg', wrapper)


def leave_process_group_at_exit() -> None:
    """Have the process group destroyed while the interpreter is whole.

    Threads of gloo that still hold tensors when the interpreter is taken down end the
    process by SIGABRT now and then, after its work is done, and the launcher then
    takes the run for a failed one.
    """
    atexit.unregister(_leave_process_group)
    atexit.register(_leave_process_group)


def _leave_process_group() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()


MIXED = 'AmpOptimWrapper'
WITHOUT = ('cpu', 'mps')
"""Devices for which MMEngine has no mixed precision."""
OF_MIXED = ('loss_scale', 'dtype', 'use_fsdp')
"""Arguments that its plain `OptimWrapper` does not take."""


def use_single_precision(config: Config, device: str | None = None) -> str | None:
    """Train in single precision where the machine has no accelerator.

    Args:
        config: The runner's config; its optimizer wrapper is changed.
        device: The device; this machine's by default.

    Returns:
        The line for the log; None where the config stays.
    """
    device = device or get_device()
    if device not in WITHOUT:
        return None
    mixed = [*_mixed(config.get('optim_wrapper'))]
    for wrapper in mixed:
        wrapper['type'] = 'OptimWrapper'
        for name in OF_MIXED:
            wrapper.pop(name, None)
    if not mixed:
        return None
    return (
        f'{MIXED} needs an accelerator: on this machine ({device}) the training runs '
        'in single precision'
    )


def _mixed(wrapper: Any) -> Iterator[dict[str, Any]]:
    """Wrappers of mixed precision; a config may have one for each part of a model."""
    if isinstance(wrapper, dict):
        if is_type(wrapper, MIXED):
            yield wrapper
        for part in wrapper.values():
            yield from _mixed(part)
