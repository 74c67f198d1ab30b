"""Finder of heads whose queries are instances: EDPose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.structures import InstanceData
from mmpose.structures import PoseDataSample

from mmdistill.models.finders.base import OF_KEYPOINTS, Finder


class QueryFinder(Finder):
    """Finder of EDPose, whose keypoints all have the score of their instance.

    Its head takes the size of an input as (height, width), and the size of the batch.
    """

    score_mode = OF_KEYPOINTS

    def _predict(
        self, feats: Any, samples: Sequence[PoseDataSample]
    ) -> list[InstanceData]:
        shown = []
        for sample in samples:
            height, width = sample.metainfo['img_shape']
            about = dict(
                sample.metainfo,
                input_size=(height, width),
                batch_input_shape=(height, width),
            )
            shown.append(PoseDataSample(metainfo=about))
        predicted: list[InstanceData] = self._module.head.predict(
            feats, shown, test_cfg=self._test_cfg
        )
        return predicted
