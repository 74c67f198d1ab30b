"""What a distillation will take, told before it starts."""

from mmdistill.plans.plan import Plan, make_plan

__all__ = ['Plan', 'make_plan']
