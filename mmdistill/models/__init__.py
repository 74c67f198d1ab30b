"""The fusing model wrapper with its adapters, one per family of heads; the detector."""

from mmdistill.models.box_detector import BoxDetector
from mmdistill.models.fused_poses import FusedPoses
from mmdistill.models.heatmap_fusion_tta import HeatmapFusionTTA

__all__ = ['BoxDetector', 'FusedPoses', 'HeatmapFusionTTA']
