"""Finders of bottom-up heads, without boxes: DEKR, CID, associative embedding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.structures import InstanceData
from mmpose.models.utils.tta import aggregate_heatmaps
from mmpose.structures import PoseDataSample

from mmdistill.models.finders.base import OF_KEYPOINTS, Finder


class CenterFinder(Finder):
    """Finder of heads that find the middles of instances first: DEKR and CID.

    The scores of an instance's keypoints are multiplied by that of its middle, so its
    own score is their mean. Both heads predict one image at a time.
    """

    score_mode = OF_KEYPOINTS
    has_boxes = False
    most_images = 1

    def _predict(
        self, feats: Any, samples: Sequence[PoseDataSample]
    ) -> list[InstanceData]:
        predicted: list[InstanceData] = self._module.head.predict(
            feats, list(samples), test_cfg=self._test_cfg
        )
        return predicted


class TagFinder(Finder):
    """Finder of associative embedding, which groups keypoints by their tags.

    MMPose's `predict` works with its flip test alone, so one view is what that does,
    without the mirror image: maps are brought to the size of the input and decoded.
    """

    has_boxes = False

    def _predict(
        self, feats: Any, samples: Sequence[PoseDataSample]
    ) -> list[InstanceData]:
        heatmaps, tags = self._module.head.forward(feats)
        if self._test_cfg.get('restore_heatmap_size', False):
            options = dict(
                size=samples[0].metainfo['input_size'],
                align_corners=self._test_cfg.get('align_corners', False),
            )
            heatmaps = aggregate_heatmaps([heatmaps], mode='average', **options)
            tags = aggregate_heatmaps([tags], mode='concat', **options)
        predicted: list[InstanceData] = self._module.head.decode((heatmaps, tags))
        return predicted
