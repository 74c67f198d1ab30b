"""Hook that keeps the order of dicts in a run's written config.

MMPose's own tools build the runner from the config alone, so this is a hook.
"""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdistill.config.text import TextConfig
from mmdistill.registry import HOOKS


@HOOKS.register_module()
class ConfigTextHook(Hook):
    """Keep the order of keypoints in every text that a run writes of its config.

    MMEngine sorts keys as text: keypoint 10 before keypoint 2. A config read back
    from the work folder or a checkpoint would mirror the wrong keypoints.
    """

    # Before the hook that puts the config's text into the message hub.
    priority = 'HIGHEST'

    def before_run(self, runner: Runner) -> None:
        """Replace the runner's config by one that keeps order, and write it again.

        Args:
            runner: The runner; it has written its config once.
        """
        if isinstance(runner.cfg, TextConfig):
            return
        runner.cfg = TextConfig.of(runner.cfg)
        runner.dump_config()
        runner.visualizer.add_config(runner.cfg)
