"""Plans: the estimated cost of a distillation, before it starts."""

from mmdistill.plans.joint import make_plan
from mmdistill.plans.plan import Plan

__all__ = ['Plan', 'make_plan']
