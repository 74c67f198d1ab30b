"""Detectors of MMDetection on unlabeled images, and the category ids of their boxes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.model import BaseTTAModel
from mmengine.model.utils import revert_sync_batchnorm
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData

from mmdistill.config.detector_options import BoxViewsConfig, DetectorConfig
from mmdistill.errors import ConfigError
from mmdistill.functional.box_voting import ViewBoxes, vote_boxes
from mmdistill.functional.boxes import boxes_on_image, distinct_boxes, mirrored_boxes
from mmdistill.functional.quantization import STEPS_OF_SCORE, rounded
from mmdistill.registry import MODELS


@MODELS.register_module()
class BoxDetector(BaseTTAModel):
    """Wrap a detector so that each image has each of its boxes once.

    Boxes are clipped to the image; of two of one class that overlap by more than
    `nms_thr` the better one is kept, since duplicates would bias the counts.
    Every class of the detector counts, with its number from 1 as category id, until
    `set_classes` says otherwise. The boxes of an image do not depend on
    the other images of its batch: only images of equal size at the network share a
    forward pass, so that none is padded for another.

    With `views` a sample has a list of views, whose boxes are merged by voting, see
    `mmdistill.functional.box_voting`; how far the views agree on a box is its
    `bbox_agreement`. Each view is the detector's own prediction, so the boxes of one
    view alone are those of MMDetection.

    Args:
        module: Config of the detector, any of MMDetection's.
        scope: Scope of the registries in which its modules are looked up.
        tta_model: Config of MMDetection's own test-time augmentation, as `DetTTAModel`;
            samples then have a list of views.
        score_thr: Minimum score of a box.
        nms_thr: Intersection over union above which two boxes of a class are one.
        views: Fields of `BoxViewsConfig`, by which the views of the samples were made;
            instead of `tta_model`.

    Raises:
        UserError: If a threshold is not in [0, 1], the config is not of a detector, or
            it predicts masks, which cannot be augmented.
    """

    def __init__(
        self,
        module: Mapping[str, Any],
        scope: str = 'mmdet',
        tta_model: Mapping[str, Any] | None = None,
        score_thr: float = DetectorConfig.score_thr,
        nms_thr: float = DetectorConfig.nms_thr,
        views: Mapping[str, Any] | None = None,
    ) -> None:
        for name, value in (('score_thr', score_thr), ('nms_thr', nms_thr)):
            if not 0 <= value <= 1:
                raise ConfigError(
                    f'distill.detector.{name} must be 0 to 1, got {value!r}'
                )
        with DefaultScope.overwrite_default_scope(scope):
            super().__init__(_build_detector(module))
            if tta_model is not None:
                self._check_augmentable()
                merger = {**tta_model, 'module': self.module}
                self._merger = MMENGINE_MODELS.build(merger)
        self.views = None if views is None else BoxViewsConfig(**views)
        if self.views is not None and tta_model is not None:
            raise ConfigError(
                'distill.detector has views or tta, each a way to merge several looks '
                'at an image, got both'
            )
        self.augmented = tta_model is not None or self.views is not None
        self.score_thr = score_thr
        self.nms_thr = nms_thr
        self.categories: dict[str, int] = {}
        self._is_counted: np.ndarray | None = None
        self._ids = np.zeros(0, dtype=np.int64)

    def set_classes(
        self, classes: Sequence[str], categories: Mapping[str, int]
    ) -> None:
        """Set the classes that count.

        Args:
            classes: Names of the detector's classes, in the order of its outputs.
            categories: Classes that count, with the category ids of their boxes.
        """
        self.categories = dict(categories)
        self._is_counted = np.array([name in categories for name in classes])
        self._ids = np.array([categories.get(name, 0) for name in classes])

    def provenance(self) -> dict[str, Any]:
        """Settings that decide the boxes besides the detector, as JSON values."""
        provenance: dict[str, Any] = {
            'categories': self.categories,
            'score_thr': self.score_thr,
            'nms_thr': self.nms_thr,
        }
        if self.views is not None:
            views = asdict(self.views)
            provenance['views'] = {**views, 'scales': list(self.views.scales)}
        return provenance

    def merge_preds(self, data_samples_list: list) -> list:
        """Merge the views of each image, as MMDetection does, or by voting.

        Args:
            data_samples_list: For each image its data samples, one a view.

        Returns:
            The first data sample of each image with the merged boxes; after voting,
            its `pred_instances` have `agreement`, (n,).
        """
        if self.views is None:
            return self._merger.merge_preds(data_samples_list)
        return [self._voted(samples, self.views) for samples in data_samples_list]

    def _voted(self, samples: Sequence[Any], views: BoxViewsConfig) -> Any:
        """The first sample of an image, with the boxes that all views vote for."""
        merged = vote_boxes(
            _union(samples), len(samples), self.score_thr, self.nms_thr, views.vote_thr
        )
        sample = samples[0]
        sample.pred_instances = InstanceData(
            bboxes=torch.from_numpy(merged.bboxes),
            scores=torch.from_numpy(merged.scores),
            labels=torch.from_numpy(merged.classes),
            agreement=torch.from_numpy(merged.agreement),
        )
        return sample

    @torch.no_grad()
    def test_step(
        self, data: Sequence[dict[str, Any]] | Mapping[str, Any]
    ) -> list[Any]:
        """Find the boxes of some images.

        Args:
            data: Samples of a `DetectionDataset`; or a batch of MMDetection's own data
                sets in its form, to evaluate the merged views.

        Returns:
            The `image` of each sample, with `pred_instances`: `bboxes` (n, 4), xyxy in
            pixels of the image, `bbox_scores` (n,) and `category_ids` (n,), best first;
            with `views` also `bbox_agreement` (n,). Of a batch, its data samples as
            `merge_preds` returns them.
        """
        if isinstance(data, Mapping):
            return super().test_step(data)
        same_size = defaultdict(list)
        for sample in data:
            if 'inputs' in sample:
                same_size[self._network_size(sample)].append(sample)
            else:
                sample['image'].pred_instances = self._no_instances()
        for samples in same_size.values():
            batch = pseudo_collate(
                [{key: s[key] for key in ('inputs', 'data_samples')} for s in samples]
            )
            run = super().test_step if self.augmented else self.module.test_step
            for sample, detected in zip(samples, run(batch), strict=True):
                image = sample['image']
                image.pred_instances = self._counted(image, detected)
        return [sample['image'] for sample in data]

    def _counted(self, image: Any, detected: Any) -> InstanceData:
        """Distinct boxes of the classes that count, in pixels of the image."""
        height, width = image.metainfo['ori_shape']
        instances = detected.pred_instances.cpu()
        labels = instances.labels.numpy()
        bboxes = boxes_on_image(instances.bboxes.float().numpy(), width, height)
        scores = instances.scores.float().numpy()
        counted = np.arange(len(labels))
        if self._is_counted is not None:
            counted = np.flatnonzero(self._is_counted[labels])
        kept = counted[
            distinct_boxes(
                bboxes[counted],
                scores[counted],
                labels[counted],
                self.score_thr,
                self.nms_thr,
            )
        ]
        stored = rounded(scores[kept], STEPS_OF_SCORE)
        ids = labels + 1 if self._is_counted is None else self._ids[labels]
        found = _instances(bboxes[kept], stored, ids[kept])
        if self.views is not None:
            agreement = instances.agreement.numpy()[kept]
            found.bbox_agreement = rounded(agreement, STEPS_OF_SCORE)
        return found

    def _no_instances(self) -> InstanceData:
        """What is found on an image that could not be read."""
        none = _instances(np.zeros((0, 4)), np.zeros(0), np.zeros(0))
        if self.views is not None:
            none.bbox_agreement = np.zeros(0, dtype=np.float32)
        return none

    def _network_size(self, sample: Mapping[str, Any]) -> tuple:
        """Height and width of each view after padding, in steps of the divisor."""
        step = getattr(self.module.data_preprocessor, 'pad_size_divisor', 1)
        views = sample['inputs'] if self.augmented else [sample['inputs']]
        return tuple(-(-side // step) for view in views for side in view.shape[-2:])

    def _check_augmentable(self) -> None:
        if self.module.with_mask:
            raise ConfigError(
                'distill.detector.tta: MMDetection does not augment detectors that '
                f'predict masks, as {type(self.module).__name__} does here; set '
                'distill.detector.tta=False'
            )


def category_ids(
    classes: Sequence[str],
    wanted: Sequence[str] | Mapping[str, int] | None,
    labeled: Mapping[str, int],
) -> dict[str, int]:
    """Map the classes of a detector to the category ids of the labeled set.

    A class whose name the labeled set has gets the id there. A single class and a
    labeled set of a single category are the same, whatever their names. Any other
    class gets its number in the detector's list, from 1, as in COCO.

    Args:
        classes: Names of the detector's classes, in the order of its outputs.
        wanted: Classes that count, or a mapping to their ids; all by default.
        labeled: Ids of the labeled set's categories by name.

    Raises:
        UserError: If the detector has no such class, or its number is the id of another
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


def _build_detector(module: Mapping[str, Any]) -> torch.nn.Module:
    """Build a detector from its config."""
    # A local import, since detectors take seconds to import and teachers need none.
    from mmdet.models.detectors import BaseDetector

    kind = module['type']
    with MMENGINE_MODELS.switch_scope_and_registry(module.get('_scope_')) as registry:
        detector = registry.get(kind) if isinstance(kind, str) else kind
    if not (isinstance(detector, type) and issubclass(detector, BaseDetector)):
        raise ConfigError(
            'distill.detector.config must be of a detector of MMDetection, its model '
            f'is {kind}'
        )
    return revert_sync_batchnorm(MMENGINE_MODELS.build(module))


def _union(samples: Sequence[Any]) -> ViewBoxes:
    """The boxes of all views of an image, in its pixels, on it and not mirrored."""
    boxes, scores, classes = [], [], []
    for sample in samples:
        found = sample.pred_instances.cpu()
        height, width = sample.metainfo['ori_shape']
        of_view = found.bboxes.float().numpy()
        if sample.metainfo.get('flip'):
            of_view = mirrored_boxes(of_view, width)
        # What lies beside the image would count in overlaps.
        boxes.append(boxes_on_image(of_view, width, height))
        scores.append(found.scores.float().numpy())
        classes.append(found.labels.numpy())
    return ViewBoxes(
        np.concatenate(boxes),
        np.concatenate(scores),
        np.concatenate(classes),
        np.repeat(np.arange(len(samples)), [len(each) for each in scores]),
    )


def _instances(
    bboxes: np.ndarray, scores: np.ndarray, category_ids: np.ndarray
) -> InstanceData:
    return InstanceData(
        bboxes=bboxes.astype(np.float32),
        bbox_scores=scores.astype(np.float32),
        category_ids=category_ids.astype(np.int32),
    )


def _id_of(name: str, classes: Sequence[str], labeled: Mapping[str, int]) -> int:
    """Category id of one class."""
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
