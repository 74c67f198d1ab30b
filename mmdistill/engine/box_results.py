"""Average precision of each tested image: to compare two detectors.

It is to detectors what `InstanceResults` is to models of poses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric

from mmdistill.datasets.coco.ground_truth import read_truth
from mmdistill.engine.instance_results import FORMAT
from mmdistill.errors import ConfigError
from mmdistill.functional.label_quality import average_precision
from mmdistill.functional.oks import TrueInstances, box_similarity, match
from mmdistill.registry import METRICS
from mmdistill.utils.files import listed_key, write_json

IOU_THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


@METRICS.register_module()
class BoxResults(BaseMetric):
    """Write the average precision of the boxes of each image to a file.

    It is COCO's, the mean over ten thresholds of the overlap, on one image alone, whose
    boxes of all classes are ranked together; a box is right for its own class only.
    Images without a true box that counts are left out. The file is JSON:

        {"format": 1, "images": [path of each image], "instances": [true boxes of it],
         "ap": [...]}

    Args:
        out_file: The file.
        ann_file: COCO json of the tested images.
        img_root: Folder that its file names are relative to.
        collect_device: As MMEngine's metrics have it.
    """

    def __init__(
        self, out_file: str, ann_file: str, img_root: str, collect_device: str = 'cpu'
    ) -> None:
        super().__init__(collect_device=collect_device, prefix='images')
        self.out_file = Path(out_file)
        self.ann_file = Path(ann_file)
        self.img_root = Path(img_root)
        self._truths: dict[str, TrueInstances] | None = None

    def process(
        self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]
    ) -> None:
        """Compare the boxes of a batch with the true ones.

        Args:
            data_batch: Not used.
            data_samples: The samples, with predicted instances.

        Raises:
            UserError: If the json is none of these images.
        """
        if self._truths is None:
            classes = list((self.dataset_meta or {}).get('classes') or ())
            numbers = {name: label for label, name in enumerate(classes)}
            self._truths = read_truth(self.ann_file, 0, numbers)
        for sample in data_samples:
            key = self._key(str(sample['img_path']))
            truth = self._truths[key]
            count = int((~truth.ignored).sum())
            if count:
                ap = image_precision(sample['pred_instances'], truth)
                self.results.append(dict(image=key, instances=count, ap=ap))

    def _key(self, path: str) -> str:
        """Key of an image in the json."""
        assert self._truths is not None
        file = Path(path)
        is_below = file.is_relative_to(self.img_root)
        key = listed_key(str(file.relative_to(self.img_root) if is_below else file))
        if key not in self._truths:
            raise ConfigError(
                f'{path} is no image of {self.ann_file} below {self.img_root}, whose '
                'true boxes its results are compared with'
            )
        return key

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        """Write the file.

        Args:
            results: What `process` kept of each image.

        Returns:
            Nothing that is a metric.

        Raises:
            UserError: If the file cannot be written.
        """
        write_json(
            self.out_file,
            dict(
                format=FORMAT,
                images=[row['image'] for row in results],
                instances=[row['instances'] for row in results],
                ap=[round(row['ap'], 6) for row in results],
            ),
        )
        return {}


def image_precision(predicted: Mapping[str, Any], truth: TrueInstances) -> float:
    """Average precision of one image, over `IOU_THRESHOLDS`.

    Args:
        predicted: Predicted `bboxes` (n, 4), `scores` and `labels`, (n,).
        truth: Its true boxes, one at least that counts; their categories are labels.
    """
    scores = np.asarray(predicted['scores'], dtype=np.float64)
    order = np.argsort(-scores, kind='stable')
    bboxes = np.asarray(predicted['bboxes'], dtype=np.float64)[order]
    labels = np.asarray(predicted['labels'])[order]
    similar = box_similarity(bboxes, truth)
    similar[labels[:, None] != truth.category_ids] = 0
    num_true = int((~truth.ignored).sum())
    precisions = []
    for threshold in IOU_THRESHOLDS:
        matches = match(similar, truth, threshold)
        # The last element is that of boxes without a true one.
        ignored = np.append(truth.ignored, False)[matches]
        right = (matches >= 0) & ~ignored
        precisions.append(average_precision(scores[order], right, ~ignored, num_true))
    return float(np.mean(precisions))
