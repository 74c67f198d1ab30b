"""Errors of each tested instance, beside the metrics of all: to compare two models.

A metric says how good a model is on a set; whether another is better, or was lucky with
its images, only the results of each image say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric

from mmdistill.errors import ConfigError
from mmdistill.functional.oks import instance_similarity
from mmdistill.functional.scoring import AREA_OF_BOX, known_sigmas
from mmdistill.registry import METRICS
from mmdistill.utils.files import spelled_name, write_json

FORMAT = 1
FARTHEST = 1e6
"""Error of a keypoint that is not finite, or farther away."""


@METRICS.register_module()
class InstanceResults(BaseMetric):
    """Write the error of each keypoint and the OKS of each instance to a file.

    Errors are in units of the longer side of the true box, as those of MMPose's
    `PCKAccuracy`. Instances are in the order of the data set, and those without an
    annotated keypoint are left out. A model of one pose in each box, top-down ones, is
    compared with that box's true pose. The file is JSON:

        {"format": 1, "images": [path of the image of each instance],
         "oks": [...], "errors": [[error of each keypoint, null if not annotated]]}

    Args:
        out_file: The file.
        collect_device: As MMEngine's metrics have it.

    Raises:
        UserError: If the boxes are detections, so that they have no true pose.
    """

    def __init__(self, out_file: str, collect_device: str = 'cpu') -> None:
        super().__init__(collect_device=collect_device, prefix='instances')
        self.out_file = Path(out_file)

    def process(
        self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]
    ) -> None:
        """Take the poses of a batch.

        Args:
            data_batch: Not used.
            data_samples: The samples, with predicted and true instances.

        Raises:
            UserError: If a sample has no pose, or several, for its true one.
        """
        for sample in data_samples:
            self.results.append(_compared(sample))

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        """Write the file.

        Args:
            results: What `process` kept of each instance.

        Returns:
            Nothing that is a metric.

        Raises:
            UserError: If the file cannot be written.
        """
        rows = [row for row in results if row['labeled'].any()]
        labeled = np.array([row['labeled'] for row in rows], dtype=bool)
        distances = np.array([row['distances'] for row in rows], dtype=np.float64)
        oks, errors = np.zeros(0), np.zeros((0, 0))
        if rows:
            sigmas = known_sigmas(self._sigmas(), labeled.shape[1])
            areas = np.array([row['area'] for row in rows])
            oks = instance_similarity(distances, labeled, areas, sigmas)
            sides = np.array([row['side'] for row in rows])[:, None]
            errors = np.minimum(distances / sides, FARTHEST)
        write_json(
            self.out_file,
            dict(
                format=FORMAT,
                images=[row['image'] for row in rows],
                oks=oks.round(6).tolist(),
                errors=[
                    [
                        round(value, 6) if known else None
                        for value, known in zip(*pair, strict=True)
                    ]
                    for pair in zip(errors.tolist(), labeled.tolist(), strict=True)
                ],
            ),
        )
        return {}

    def _sigmas(self) -> Any:
        return (self.dataset_meta or {}).get('sigmas')


def _compared(sample: Mapping[str, Any]) -> dict[str, Any]:
    """One predicted pose and the true one of its box."""
    true, predicted = sample['gt_instances'], sample['pred_instances']
    image = spelled_name(str(sample.get('img_path') or sample.get('img_id')))
    points = np.asarray(predicted['keypoints'], dtype=np.float64)
    if 'keypoints' not in true or len(true['keypoints']) != 1 or len(points) != 1:
        raise ConfigError(
            f'results of each instance need one pose for each true one, got '
            f'{len(points)} for {len(true.get("keypoints", ()))} of {image}; test a '
            'top-down model in true boxes (test_dataloader.dataset.bbox_file=None)'
        )
    visible = np.asarray(true['keypoints_visible'])
    visible = visible[..., 0] if visible.ndim == 3 else visible
    low, high = np.asarray(true['bboxes'], dtype=np.float64)[0].reshape(2, 2)
    width, height = high - low
    area = (sample.get('raw_ann_info') or {}).get('area')
    truth = np.asarray(true['keypoints'], dtype=np.float64)[..., :2]
    distances = np.linalg.norm(points[0, :, :2] - truth[0], axis=-1)
    return dict(
        image=image,
        labeled=visible[0].astype(bool),
        distances=np.nan_to_num(distances, nan=np.inf, posinf=np.inf),
        area=float(area) if area else AREA_OF_BOX * width * height,
        side=max(width, height, np.spacing(1)),
    )
