"""Interface of a finder: the prediction of one view of whole images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from mmengine.structures import InstanceData
from mmpose.structures import PoseDataSample

OF_BOXES, OF_KEYPOINTS = 'bbox', 'keypoint'
"""Rules for the score of an instance, as MMPose's `CocoMetric(score_mode=...)`."""


@dataclass(frozen=True)
class Found:
    """Instances that a view of one image shows, coordinates in pixels of the input.

    Attributes:
        keypoints: Coordinates (x, y), (n, K, 2).
        keypoint_scores: Score of each keypoint, (n, K).
        bboxes: Boxes (x1, y1, x2, y2), (n, 4); None where the model predicts none.
        scores: Score of each instance, (n,).
        category_ids: Categories, (n,).
    """

    keypoints: np.ndarray
    keypoint_scores: np.ndarray
    bboxes: np.ndarray | None
    scores: np.ndarray
    category_ids: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)


class Finder(ABC):
    """Prediction of a model that finds instances, by the family of its head.

    A view is predicted by the model's own head and codec, so one view alone is
    MMPose's own prediction. Its flip test is not run: mirrored views are views.

    Args:
        module: The pose estimator.
        score_floor: Score of an instance down to which it is returned, where the head
            has a threshold of its own; None leaves that as it is.

    Attributes:
        score_mode: Rule for the score of an instance, see `OF_BOXES`.
        has_boxes: Whether the model predicts boxes.
        most_images: Maximum number of images in a pass of the head; None for any.
    """

    score_mode: ClassVar[str] = OF_BOXES
    has_boxes: ClassVar[bool] = True
    most_images: ClassVar[int | None] = None

    def __init__(self, module: Any, score_floor: float | None = None) -> None:
        self._module = module
        self._test_cfg = {**module.test_cfg, 'flip_test': False}
        self._test_cfg['multiscale_test'] = False
        self._test_cfg['output_heatmaps'] = False

    def find(self, feats: Any, samples: Sequence[PoseDataSample]) -> list[Found]:
        """Predict the instances of some images of one input size.

        Args:
            feats: Features of the images, as of `extract_feat`.
            samples: Their data samples; metainfo has `input_size`, `img_shape` and
                the keypoints' links.
        """
        return [self._found(instances) for instances in self._predict(feats, samples)]

    @abstractmethod
    def _predict(
        self, feats: Any, samples: Sequence[PoseDataSample]
    ) -> list[InstanceData]:
        """Predictions of the head, one of each image."""

    def _found(self, instances: InstanceData) -> Found:
        keypoints = np.asarray(instances.keypoints, dtype=np.float32)
        scores = np.asarray(instances.keypoint_scores, dtype=np.float32)
        bboxes = instances.get('bboxes') if self.has_boxes else None
        labels = instances.get('labels')
        categories = np.zeros(len(keypoints)) if labels is None else np.asarray(labels)
        if self.score_mode == OF_BOXES:
            of_instances = np.asarray(instances.bbox_scores, dtype=np.float32)
        else:
            of_instances = scores.mean(axis=1)
        return Found(
            keypoints,
            scores,
            None if bboxes is None else np.asarray(bboxes, dtype=np.float32),
            of_instances,
            # MMPose's processor of annotations counts labels from 0, categories from 1.
            categories.astype(np.int32) + 1,
        )
