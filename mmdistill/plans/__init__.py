"""Plans: the estimated cost of a distillation, before it starts."""

from mmdistill.plans.plan import Plan, make_plan

__all__ = ['Plan', 'make_plan']
