"""Unlabeled: un-120, for models whose output does not grow with their input (SimCC).

The crop is magnified by the paper's scales, and its input keeps its size.
"""

_base_ = 'coco_un-120.py'

distill = dict(views=dict(scales=_base_.distill.views.resolutions, resolutions=(1.0,)))
