"""The fusing model wrapper and its adapters, one per family of heads."""

from mmdistill.models.heatmap_fusion_tta import FusedPoses, HeatmapFusionTTA

__all__ = ['FusedPoses', 'HeatmapFusionTTA']
