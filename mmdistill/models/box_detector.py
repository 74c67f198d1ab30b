"""A detector of MMDetection that finds boxes on unlabeled images.

Under which category ids a detector's boxes are stored.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.model import BaseTTAModel
from mmengine.model.utils import revert_sync_batchnorm
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData

from mmdistill.errors import ConfigError
from mmdistill.functional.boxes import boxes_on_image, distinct_boxes
from mmdistill.functional.quantization import STEPS_OF_SCORE, rounded
from mmdistill.registry import MODELS


@MODELS.register_module()
class BoxDetector(BaseTTAModel):
    """Wrap a detector so that each image has each of its boxes once.

    Boxes are cut off at the border of the image; of two of one class that overlap by
    more than `nms_thr` the better one stays, since duplicates would bend the count.
    Every class of the detector counts, with its number from 1 as category id, until
    `set_classes` says otherwise. What is found on an image does not depend on the
    images beside it: only those that the network sees in one size share a forward pass,
    so that none is padded for another.

    Args:
        module: Config of the detector, any of MMDetection's.
        scope: The registries in which its parts are looked up.
        tta_model: Config of MMDetection's own test-time augmentation, as `DetTTAModel`;
            samples then have a list of views.
        score_thr: Score from which on a box counts.
        nms_thr: Intersection over union above which two boxes of a class are one.

    Raises:
        UserError: If a threshold is no share, the config is of no detector, or its
            masks rule augmentation out.
    """

    def __init__(
        self,
        module: Mapping[str, Any],
        scope: str = 'mmdet',
        tta_model: Mapping[str, Any] | None = None,
        score_thr: float = 0.05,
        nms_thr: float = 0.5,
    ) -> None:
        for name, value in (('score_thr', score_thr), ('nms_thr', nms_thr)):
            if not 0 <= value <= 1:
                raise ConfigError(
                    f'distill.detector.{name} must be 0 to 1, got {value!r}'
                )
        with DefaultScope.overwrite_default_scope(scope):
            super().__init__(_built(module))
            if tta_model is not None:
                self._check_augmentable()
                merger = {**tta_model, 'module': self.module}
                self._merger = MMENGINE_MODELS.build(merger)
        self.augmented = tta_model is not None
        self.score_thr = score_thr
        self.nms_thr = nms_thr
        self.categories: dict[str, int] = {}
        self._wanted: np.ndarray | None = None
        self._ids = np.zeros(0, dtype=np.int64)

    def set_classes(
        self, classes: Sequence[str], categories: Mapping[str, int]
    ) -> None:
        """Count some of the classes, with ids of their own.

        Args:
            classes: Names of the detector's classes, in the order of its outputs.
            categories: Those that count, with the ids that their boxes get.
        """
        self.categories = dict(categories)
        self._wanted = np.array([name in categories for name in classes])
        self._ids = np.array([categories.get(name, 0) for name in classes])

    def provenance(self) -> dict[str, Any]:
        """What is done with the detector's boxes, as JSON values."""
        return {
            'categories': self.categories,
            'score_thr': self.score_thr,
            'nms_thr': self.nms_thr,
        }

    def merge_preds(self, data_samples_list: list) -> list:
        """Merge the views of each image, as MMDetection does.

        Args:
            data_samples_list: For each image its data samples, one a view.
        """
        return self._merger.merge_preds(data_samples_list)

    @torch.no_grad()
    def test_step(self, data: Sequence[dict[str, Any]]) -> list[Any]:
        """Find the boxes of some images.

        Args:
            data: Samples of a `DetectionDataset`.

        Returns:
            The `image` of each sample, with `pred_instances`: `bboxes` (n, 4), xyxy in
            pixels of the image, `bbox_scores` (n,) and `category_ids` (n,), best first.
        """
        alike = defaultdict(list)
        for sample in data:
            if 'inputs' in sample:
                alike[self._network_size(sample)].append(sample)
            else:
                sample['image'].pred_instances = _instances(*_nothing())
        for samples in alike.values():
            batch = pseudo_collate(
                [{key: s[key] for key in ('inputs', 'data_samples')} for s in samples]
            )
            run = super().test_step if self.augmented else self.module.test_step
            for sample, found in zip(samples, run(batch), strict=True):
                sample['image'].pred_instances = self._counted(sample['image'], found)
        return [sample['image'] for sample in data]

    def _counted(self, image: Any, found: Any) -> InstanceData:
        height, width = image.metainfo['ori_shape']
        instances = found.pred_instances.cpu()
        labels = instances.labels.numpy()
        bboxes = boxes_on_image(instances.bboxes.float().numpy(), width, height)
        scores = instances.scores.float().numpy()
        wanted = np.arange(len(labels))
        if self._wanted is not None:
            wanted = np.flatnonzero(self._wanted[labels])
        stay = wanted[
            distinct_boxes(
                bboxes[wanted],
                scores[wanted],
                labels[wanted],
                self.score_thr,
                self.nms_thr,
            )
        ]
        stored = rounded(scores[stay], STEPS_OF_SCORE)
        ids = labels + 1 if self._wanted is None else self._ids[labels]
        return _instances(bboxes[stay], stored, ids[stay])

    def _network_size(self, sample: Mapping[str, Any]) -> tuple:
        """Height and width of each view, as padding makes them."""
        # Only a preprocessor of images pads at all.
        step = getattr(self.module.data_preprocessor, 'pad_size_divisor', 1)
        views = sample['inputs'] if self.augmented else [sample['inputs']]
        return tuple(-(-side // step) for view in views for side in view.shape[-2:])

    def _check_augmentable(self) -> None:
        if self.module.with_mask:
            raise ConfigError(
                'distill.detector.tta: MMDetection does not augment detectors that '
                f'predict masks, as {type(self.module).__name__} does here'
            )


def _built(module: Mapping[str, Any]) -> torch.nn.Module:
    # Here, because teachers need no detectors, which take seconds to import.
    from mmdet.models.detectors import BaseDetector

    kind = module['type']
    with MMENGINE_MODELS.switch_scope_and_registry(module.get('_scope_')) as registry:
        found = registry.get(kind) if isinstance(kind, str) else kind
    if not (isinstance(found, type) and issubclass(found, BaseDetector)):
        raise ConfigError(
            'distill.detector.config must be of a detector of MMDetection, its model '
            f'is {kind}'
        )
    return revert_sync_batchnorm(MMENGINE_MODELS.build(module))


def _nothing() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.zeros((0, 4)), np.zeros(0), np.zeros(0)


def _instances(
    bboxes: np.ndarray, scores: np.ndarray, category_ids: np.ndarray
) -> InstanceData:
    return InstanceData(
        bboxes=bboxes.astype(np.float32),
        bbox_scores=scores.astype(np.float32),
        category_ids=category_ids.astype(np.int32),
    )


def category_ids(
    classes: Sequence[str],
    wanted: Sequence[str] | Mapping[str, int] | None,
    labeled: Mapping[str, int],
) -> dict[str, int]:
    """The id of each wanted class, as count matching compares it.

    A class that the labeled set has by name has its id there. A single class beside
    a labeled set of a single category is that category, whatever they are called.
    Any other one has its number in the detector's list, from 1, as COCO has it.

    Args:
        classes: Names of the detector's classes, in the order of its outputs.
        wanted: Those that count, or a mapping that states their ids; all by default.
        labeled: Ids of the labeled set's categories by name.

    Raises:
        UserError: If the detector has no such class, or a number stands for another
            category of the labeled set.
    """
    names = list(classes if wanted is None else wanted)
    if isinstance(wanted, str) or not names:
        raise ConfigError(
            f'distill.detector.categories must list names of classes, got {wanted!r}'
        )
    for name in names:
        if name not in classes:
            raise ConfigError(
                f'the detector has no class {name!r} of distill.detector.categories; '
                f'it has {", ".join(classes)}'
            )
    if isinstance(wanted, Mapping):
        return {name: int(number) for name, number in wanted.items()}
    if len(names) == len(labeled) == 1:
        return dict.fromkeys(names, *labeled.values())
    return {name: _id_of(name, list(classes), labeled) for name in names}


def _id_of(name: str, classes: Sequence[str], labeled: Mapping[str, int]) -> int:
    if name in labeled:
        return labeled[name]
    number = classes.index(name) + 1
    taken = [other for other, its_id in labeled.items() if its_id == number]
    if taken:
        raise ConfigError(
            f"the labeled set has no category {name!r}, and the detector's number of "
            f'it, {number}, is its {taken[0]!r}; state the id of each category that '
            f'counts, as distill.detector.categories={{{name!r}: ID}}'
        )
    return number
