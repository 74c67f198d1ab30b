"""Finder of one-stage heads: RTMO and YOLOX-Pose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.structures import InstanceData
from mmpose.models.heads import RTMOHead
from mmpose.structures import PoseDataSample

from mmdistill.errors import ConfigError
from mmdistill.models.finders.base import Finder

OWN_THRESHOLD = 0.01
"""Score threshold of both heads where their test config states none."""


class OneStageFinder(Finder):
    """Finder of a head that predicts boxes, their scores and keypoints at once.

    The score of an instance is that of its box, which RTMO trains to be the OKS; the
    score of a keypoint is its predicted visibility.

    Args:
        module: The pose estimator.
        score_floor: Score down to which boxes are returned; None for the head's own
            threshold.

    Raises:
        ConfigError: If the head would fail without suppression of its boxes.
    """

    def __init__(self, module: Any, score_floor: float | None = None) -> None:
        super().__init__(module, score_floor)
        if score_floor is not None:
            own = self._test_cfg.get('score_thr', OWN_THRESHOLD)
            self._test_cfg['score_thr'] = min(own, score_floor)
        nms_thr = self._test_cfg.get('nms_thr', 1.0)
        if isinstance(module.head, RTMOHead) and nms_thr >= 1:
            raise ConfigError(
                'RTMOHead needs model.test_cfg.nms_thr below 1, got '
                f'{nms_thr}; MMPose states 0.65'
            )

    def _predict(
        self, feats: Any, samples: Sequence[PoseDataSample]
    ) -> list[InstanceData]:
        predicted: list[InstanceData] = self._module.head.predict(
            feats, list(samples), test_cfg=self._test_cfg
        )
        return predicted
