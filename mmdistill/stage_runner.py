"""The runner of a stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmengine.config import Config
from mmengine.logging import print_log

from mmdistill.engine.cpu_launch import leave_process_group_at_exit, prepare_cpu_launch
from mmdistill.engine.cpu_precision import use_single_precision
from mmdistill.loader_configs import check_loaders

if TYPE_CHECKING:
    from mmengine.runner import Runner


def stage_runner(config: Config) -> Runner:
    """Build MMEngine's runner, ready for processes without CUDA and safe loading.

    Args:
        config: Config of the stage.

    Raises:
        UserError: If a loader of the config can not be built.
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
