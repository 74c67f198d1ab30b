"""Decoding of heatmaps of which some are too flat for the codec to refine.

DARK's refinement divides by the curvature around a peak. MMPose's UDP codec inverts it
for all keypoints of an instance at once, so a single heatmap without curvature, as of
an untrained or uncertain network, makes the decoding of all of them fail. Codecs that
blur also divide by the peak of the blurred heatmap, which gives NaN for one of zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.logging import print_log
from mmpose.codecs.utils import get_heatmap_maximum
from torch import Tensor

from mmdistill.functional.finite import known_keypoints
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
        """Decode heatmaps, (N, K, h, w).

        What an instance gets does not depend on the others.
        """
        return self._without_nan(self._decoded(heatmaps), heatmaps)

    def _decoded(self, heatmaps: Tensor) -> DecodedPoses:
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
            keypoints, scores = self._peaks(heatmap[0].cpu().numpy())
            return DecodedPoses(keypoints[None], scores[None], scores[None])

    def _without_nan(self, poses: DecodedPoses, heatmaps: Tensor) -> DecodedPoses:
        """Replace what is not finite by the highest cells of the heatmaps."""
        known = known_keypoints(poses.keypoints, poses.keypoint_scores)
        if known.all():
            return poses
        peaks, scores = self._peaks(heatmaps.cpu().numpy()[~known])
        keypoints, keypoint_scores = (
            poses.keypoints.copy(),
            poses.keypoint_scores.copy(),
        )
        keypoints[~known], keypoint_scores[~known] = peaks, scores
        return DecodedPoses(keypoints, keypoint_scores, keypoint_scores)

    def _peaks(self, heatmaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions and values of the highest cells, (M, 2) and (M,)."""
        cells, scores = get_heatmap_maximum(heatmaps)
        return self._offsets + self._strides * cells, scores

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
