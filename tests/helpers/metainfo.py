"""Metainfo of the 17 COCO keypoints."""

from __future__ import annotations

import numpy as np

COCO = dict(from_file='configs/_base_/datasets/coco.py')
SIGMAS = np.full(17, 0.05)
"""Equal sigmas, by which every keypoint counts alike."""
