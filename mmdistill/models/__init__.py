"""The fusing model wrapper and its adapters, one per family of heads."""

from mmdistill.models.fused_poses import FusedPoses
from mmdistill.models.heatmap_fusion_tta import HeatmapFusionTTA

__all__ = ['FusedPoses', 'HeatmapFusionTTA']
