"""The whole of a distillation as one work: its steps, its evaluation, its verdict."""

from mmdistill.pipeline.run import distill
from mmdistill.pipeline.steps import Distillation

__all__ = ['Distillation', 'distill']
