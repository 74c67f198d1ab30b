"""The whole frame as the box of the one animal on it, as for frames of a video."""

from __future__ import annotations

import numpy as np
from mmcv.transforms import BaseTransform
from mmpose.registry import TRANSFORMS


@TRANSFORMS.register_module()
class WholeFrameBox(BaseTransform):
    """Put the frame in the place of the annotated box."""

    def transform(self, results: dict) -> dict:
        """Set `bbox` (1, 4) to the corners of the loaded image.

        Args:
            results: A sample with `img`.
        """
        height, width = results['img'].shape[:2]
        results['bbox'] = np.array([[0, 0, width, height]], dtype=np.float32)
        return results
