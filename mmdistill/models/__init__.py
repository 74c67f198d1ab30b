"""Model wrappers: fusion of views, with adapters of head families, and detection."""

from mmdistill.models.box_detector import BoxDetector
from mmdistill.models.heatmap_fusion_tta import HeatmapFusionTTA
from mmdistill.models.pose_finder import PoseFinder
from mmdistill.models.view_fuser import FusedPoses

__all__ = ['BoxDetector', 'FusedPoses', 'HeatmapFusionTTA', 'PoseFinder']
