"""Several processes: joined without CUDA too, left before the interpreter ends.

MMEngine's launchers set a CUDA device before anything else, and its default model
wrapper names one. Both steps are skipped when they are already done.
"""

from __future__ import annotations

import atexit

import torch
from mmengine.config import Config
from torch import distributed


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
