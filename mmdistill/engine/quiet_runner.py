"""MMEngine's runner with a terminal that a user can read."""

from __future__ import annotations

from typing import Any

from mmengine.logging import MMLogger
from mmengine.runner import Runner

from mmdistill.engine.console import START_LINES, console_filters


class QuietRunner(Runner):
    """Runner that logs environment, config and hooks to the log file alone."""

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Build the logger; its terminal shows what happens, and not what is set.

        Args:
            args: Those of `Runner.build_logger`.
            kwargs: Likewise.
        """
        logger = super().build_logger(*args, **kwargs)
        for console in console_filters(logger):
            console.hide(START_LINES)
        return logger
