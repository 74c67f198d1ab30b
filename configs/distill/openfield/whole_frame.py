"""The whole frame as the box of the one animal on it, as where a video begins."""

from __future__ import annotations

import numpy as np
from mmcv.transforms import BaseTransform
from mmpose.registry import TRANSFORMS


@TRANSFORMS.register_module()
class WholeFrameBox(BaseTransform):
    """Replace the box by the whole frame, now and then.

    Args:
        prob: How often.
    """

    def __init__(self, prob: float) -> None:
        self.prob = prob

    def transform(self, results: dict) -> dict:
        """Set `bbox` (1, 4) to the corners of the loaded image, or leave it.

        Args:
            results: A sample with `img`.
        """
        # The state that the host's transforms draw from, and that a run's seed sets.
        if np.random.rand() >= self.prob:  # noqa: NPY002
            return results
        height, width = results['img'].shape[:2]
        results['bbox'] = np.array([[0, 0, width, height]], dtype=np.float32)
        return results
