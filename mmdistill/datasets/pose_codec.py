"""Codec of one-stage students by which an unseen keypoint is unknown, not invisible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from mmpose.codecs import YOLOXPoseAnnotationProcessor

from mmdistill.datasets.sample_tags import MARK
from mmdistill.registry import KEYPOINT_CODECS


@KEYPOINT_CODECS.register_module()
class PoseAnnotationProcessor(YOLOXPoseAnnotationProcessor):
    """MMPose's codec of YOLOX-Pose and RTMO, with weights of visibilities.

    These heads learn visibilities, each with the weight that comes with it; the host's
    codec drops it. A keypoint that the teacher scored low need not be invisible, so a
    pseudo-labeled one that is not seen has no weight there. Positions are learned of
    visible keypoints alone, as ever. All other samples are encoded as by the host.

    Args:
        expand_bbox: Whether boxes are widened to hold all visible keypoints.
        input_size: Not used, as in the host.
    """

    auxiliary_encode_keys: ClassVar = {
        *YOLOXPoseAnnotationProcessor.auxiliary_encode_keys,
        MARK,
    }
    label_mapping_table: ClassVar = dict(
        YOLOXPoseAnnotationProcessor.label_mapping_table,
        keypoints_visible_weights='keypoints_visible_weights',
    )

    def encode(
        self,
        keypoints: np.ndarray | None = None,
        keypoints_visible: np.ndarray | None = None,
        bbox: np.ndarray | None = None,
        category_id: Sequence[int] | None = None,
        pseudo: bool | None = None,
    ) -> dict[str, np.ndarray]:
        """Encode the annotations of an image with n instances.

        Args:
            keypoints: Coordinates (x, y) in pixels of the input, (n, K, 2).
            keypoints_visible: Visibilities, (n, K).
            bbox: Boxes (x1, y1, x2, y2) in pixels of the input, (n, 4).
            category_id: Categories, (n,), from 1.
            pseudo: Whether they are pseudo-labels, whose weights came with their
                visibilities.
        """
        encoded: dict[str, np.ndarray] = super().encode(
            keypoints, keypoints_visible, bbox, category_id
        )
        if not pseudo and keypoints_visible is not None:
            # A keypoint converter brings weights along, which the host drops.
            encoded['keypoints_visible_weights'] = np.ones_like(keypoints_visible)
        return encoded
