"""Decoding of heatmaps of which some are too flat for the codec to refine.

DARK's refinement divides by the curvature around a peak. MMPose's UDP codec inverts it
for all keypoints of an instance at once, so a single heatmap without curvature, as of
an untrained or uncertain network, makes the decoding of all of them fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.logging import print_log
from mmpose.codecs.utils import get_heatmap_maximum
from torch import Tensor

from mmdistill.functional.inverse_views import Axis
from mmdistill.models.adapters.base import DecodedPoses, decode_with


class HeatmapDecoder:
    """Decoder of a head, with the peak cell for keypoints that cannot be refined.

    Args:
        head: A head of MMPose whose `decode` takes heatmaps.
        axes: The x and y axis of the heatmaps, as the codec decodes them.
    """

    def __init__(self, head: Any, axes: Sequence[Axis]) -> None:
        self._head = head
        self._strides = np.array([axis.stride for axis in axes])
        self._offsets = np.array([axis.offset for axis in axes])
        self._unrefined = 0

    def __call__(self, heatmaps: Tensor) -> DecodedPoses:
        """Decode heatmaps, (N, K, h, w)."""
        try:
            return decode_with(self._head, heatmaps)
        except np.linalg.LinAlgError:
            before = self._unrefined
            poses = [self._one_instance(one[None]) for one in heatmaps]
            self._log_unrefined(before)
            return _joined(poses, axis=0)

    def _one_instance(self, heatmaps: Tensor) -> DecodedPoses:
        """Decode the heatmaps of an instance, (1, K, h, w)."""
        try:
            return decode_with(self._head, heatmaps)
        except np.linalg.LinAlgError:
            count = heatmaps.shape[1]
            poses = [self._one_keypoint(heatmaps[:, k : k + 1]) for k in range(count)]
            return _joined(poses, axis=1)

    def _one_keypoint(self, heatmap: Tensor) -> DecodedPoses:
        """Decode one heatmap, (1, 1, h, w), which codecs treat independently."""
        try:
            return decode_with(self._head, heatmap)
        except np.linalg.LinAlgError:
            self._unrefined += 1
            cells, scores = get_heatmap_maximum(heatmap[0].cpu().numpy())
            keypoints = (self._offsets + self._strides * cells)[None]
            return DecodedPoses(keypoints, scores[None], scores[None])

    def _log_unrefined(self, before: int) -> None:
        """Log their number at the first one, and whenever it has another digit."""
        if len(str(self._unrefined)) > len(str(before)) or before == 0:
            print_log(
                f'{self._unrefined} keypoints so far have a heatmap too flat to be '
                'refined and are placed at its highest cell',
                logger='current',
            )


def _joined(poses: Sequence[DecodedPoses], axis: int) -> DecodedPoses:
    """Concatenate poses of instances (axis 0) or of keypoints (axis 1)."""
    return DecodedPoses(
        keypoints=np.concatenate([one.keypoints for one in poses], axis),
        keypoint_scores=np.concatenate([one.keypoint_scores for one in poses], axis),
        keypoints_visible=np.concatenate(
            [one.keypoints_visible for one in poses], axis
        ),
    )
