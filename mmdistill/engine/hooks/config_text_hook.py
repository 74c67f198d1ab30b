"""Texts of a run's config in the order of its dicts, also under MMPose's own tools."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdistill.config.text import TextConfig
from mmdistill.registry import HOOKS


@HOOKS.register_module()
class ConfigTextHook(Hook):
    """Keep the order of keypoints in the texts that a run writes of its config.

    The host writes keys sorted as text: keypoint 10 before keypoint 2. A config that
    is read back from the work folder or a checkpoint would mirror the wrong ones.
    """

    # Before the hook that puts the config's text into the message hub.
    priority = 'HIGHEST'

    def before_run(self, runner: Runner) -> None:
        """Give the runner a config that keeps order, and write it again.

        Args:
            runner: The runner, which has written its config once by now.
        """
        if isinstance(runner.cfg, TextConfig):
            return
        runner.cfg = TextConfig.of(runner.cfg)
        runner.dump_config()
        runner.visualizer.add_config(runner.cfg)
