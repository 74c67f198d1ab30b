"""MMEngine's runner with a short terminal output.

A module of its own, since MMEngine's runner takes seconds to import and selecting
needs none.
"""

from __future__ import annotations

from typing import Any

from mmengine.logging import MMLogger
from mmengine.runner import Runner

from mmdistill.engine.console import START_LINES, START_TEXTS, console_filters


class QuietRunner(Runner):
    """Runner that logs environment, config, hooks and parameters to the file alone."""

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Build the logger; its terminal shows events, not settings.

        Args:
            args: Positional arguments of `Runner.build_logger`.
            kwargs: Keyword arguments of `Runner.build_logger`.
        """
        logger = super().build_logger(*args, **kwargs)
        for console in console_filters(logger):
            console.hide(START_LINES, START_TEXTS)
        return logger
