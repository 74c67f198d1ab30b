"""Data Distillation (Radosavovic et al., CVPR 2018) as an MMPose plug-in."""

__version__ = '0.1.0'
