"""Plans of a recipe, and of the detector that is distilled with its poses."""

from __future__ import annotations

from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmdistill.config.detectors import SCOPE, is_joint
from mmdistill.config.recipe import Recipe
from mmdistill.plans import plan
from mmdistill.plans.plan import Plan
from mmdistill.stages.joint import Joint

ROLES = ('detector', 'poses')
"""First words of the rows of both."""


def make_plan(config: Config) -> Plan:
    """Read config and data, and measure a few batches of each stage.

    Nothing is written, see `mmdistill.plans.plan`. A recipe with
    `distill.detector.distill` has the rows of its detector's distillation before those
    of its poses, and the seconds of both.

    Args:
        config: A config with a `distill` section.

    Raises:
        UserError: If the config or the data would stop one of the stages.
    """
    recipe = Recipe.of(config)
    if not is_joint(recipe):
        return plan.make_plan(config)
    with DefaultScope.overwrite_default_scope(SCOPE):
        boxes = plan.make_plan(Joint(recipe).detector)
    poses = plan.make_plan(config)
    rows = [
        (f'{role}: {name}' if name else '', text)
        for role, each in zip(ROLES, (boxes, poses), strict=True)
        for name, text in each.rows
    ]
    keys = {**boxes.seconds, **poses.seconds}
    seconds = {
        key: boxes.seconds.get(key, 0.0) + poses.seconds.get(key, 0.0) for key in keys
    }
    missing = list(dict.fromkeys([*boxes.missing, *poses.missing]))
    return Plan(rows, missing, seconds)
