"""Selected boxes of a detection store as training images of MMDetection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.dataset import BaseDataset

from mmdistill.config.schema import MixingConfig
from mmdistill.datasets.sample_tags import tag_pseudo
from mmdistill.errors import DataError, StoreError
from mmdistill.registry import DATASETS
from mmdistill.selection.ignored_boxes import read_ignored_boxes
from mmdistill.selection.selection import read_selection
from mmdistill.selection.threshold_groups import format_range
from mmdistill.selection.training_labels import read_training_labels
from mmdistill.store.image_keys import image_file, written_name
from mmdistill.store.manifest import BOX_LABELS
from mmdistill.store.store import LabelStore


@DATASETS.register_module()
class PseudoBoxDataset(BaseDataset):
    """Pseudo-labeled boxes for MMDetection's pipelines, read from a detection store.

    A sample is an image with all its kept boxes. An image without a kept box is none:
    that the teacher is sure of nothing on it does not make it empty. A label is the
    position of the box's class among those of `metainfo`, as in the labeled set.

    Args:
        store: Folder of the detection store.
        metainfo: Metainfo of the labeled set, with its `classes`; it must be the same,
            or a concatenation of both has none.
        pipeline: Training transforms, as the labeled set has them.
        img_root: Folder of the images, if it is not the one of labeling.
        score_thr: Score to keep a box at, instead of the selection's.
        max_refetch: Maximum number of replacements of a sample that the pipeline
            rejects.
        ignore_rejected: Whether the best rejected boxes, as many of a category as are
            kept, are in the samples too, with `ignore_flag` 1: neither objects nor
            background to losses that ignore such boxes.

    Raises:
        UserError: If the store is not complete, holds poses or other classes, has no
            selection, or nothing is kept.
    """

    def __init__(
        self,
        store: str,
        metainfo: dict,
        pipeline: Sequence[Any] = (),
        img_root: str | None = None,
        score_thr: float | None = None,
        max_refetch: int = 1000,
        ignore_rejected: bool = MixingConfig.ignore_rejected,
    ) -> None:
        self._ignore_rejected = ignore_rejected
        self.store = LabelStore(store, BOX_LABELS)
        self._img_root = img_root
        self._score_thr = score_thr
        super().__init__(
            metainfo=metainfo, pipeline=list(pipeline), max_refetch=max_refetch
        )

    def full_init(self) -> None:
        """Read the kept boxes from the store, once.

        Raises:
            StoreError: If the store holds poses, boxes of other classes or no current
                selection, keeps nothing, or frames and members that were not written
                are trained on.
        """
        if self._fully_initialized:  # type: ignore[has-type]
            return
        manifest = self.store.manifest
        if manifest['keypoints']:
            raise StoreError(
                f'the label store {self.store.root} holds poses, and a detector is '
                'trained on the boxes of a detection store; label with a detector as '
                'teacher into another folder in distill.store'
            )
        labels = self._labels_of_ids(manifest)
        self.selection = read_selection(self.store)
        selection = self.selection.overridden(self._score_thr, None)
        self.labels = read_training_labels(self.store, selection)
        if len(self.labels) == 0:
            raise StoreError(
                f'the selection of {self.store.root} keeps none of '
                f'{self.labels.num_candidates} boxes at a threshold of '
                f'{format_range(selection.score_thrs)}; '
                + self._advice(self.labels.best_score)
            )
        self._bbox_labels = self._labels(labels, self.labels.category_ids)
        self._starts = _starts(self.labels.path_index, len(self))
        if self._ignore_rejected:
            self.ignored = read_ignored_boxes(self.store, selection, self.labels)
            self._ignored_labels = self._labels(labels, self.ignored.category_ids)
            self._ignored_starts = _starts(self.ignored.path_index, len(self))
        self._root = Path(self._img_root or manifest['about']['img_root'])
        self._check_written()
        self._fully_initialized = True

    @property
    def num_labels(self) -> int:
        """Number of kept boxes."""
        return len(self.labels)

    def __len__(self) -> int:
        return len(self.labels.paths)

    def get_data_info(self, idx: int) -> dict:
        """Return one image with its boxes, with the keys of MMDetection's data sets.

        Args:
            idx: Number of the image among those with a kept box.
        """
        labels = self.labels
        rows = slice(self._starts[idx], self._starts[idx + 1])
        width, height = labels.sizes[idx].tolist()
        path, written = labels.paths[idx].as_py(), bool(labels.written[idx])
        instances = _instances(labels.bboxes[rows], self._bbox_labels[rows], 0)
        if self._ignore_rejected:
            others = slice(self._ignored_starts[idx], self._ignored_starts[idx + 1])
            bboxes, numbers = self.ignored.bboxes[others], self._ignored_labels[others]
            instances += _instances(bboxes, numbers, 1)
        return dict(
            img_id=int(labels.image_index[rows.start]),
            img_path=str(image_file(self.store.root, self._root, path, written)),
            height=height,
            width=width,
            instances=instances,
            sample_idx=int(idx),
        )

    def prepare_data(self, idx: int) -> Any:
        """Return one sample of the pipeline, tagged if it is packed.

        Args:
            idx: Number of the image.

        Raises:
            DataError: If its image cannot be read any more.
        """
        try:
            return tag_pseudo(super().prepare_data(idx))
        except Exception as error:
            path = self.get_data_info(idx)['img_path']
            if cv2.imread(path) is not None:
                raise
            problem = 'cannot be read' if Path(path).exists() else 'does not exist'
            raise DataError(
                f'the image {path}, which is labeled in {self.store.root}, {problem} '
                'any more; bring it back, name the folder it was moved to in img_root '
                'of the PseudoBoxDataset, or label anew into another distill.store'
            ) from error

    def _labels_of_ids(self, manifest: Mapping[str, Any]) -> dict[int, int]:
        """Label of each category of the store, by the names of the classes."""
        stored = manifest['detector']['categories']
        classes = list(self._metainfo.get('classes') or ())
        if len(stored) == len(classes) == 1:
            return dict.fromkeys(stored.values(), 0)
        lacking = [name for name in classes if name not in stored]
        if lacking or not classes:
            raise StoreError(
                f'the detection store {self.store.root} has boxes of '
                f'{", ".join(stored) or "no class"}, and the data set trains '
                f'{", ".join(lacking) or "no class"}; label with a teacher that has '
                'all classes of the labeled set'
            )
        return {stored[name]: label for label, name in enumerate(classes)}

    def _labels(self, labels: Mapping[int, int], categories: np.ndarray) -> np.ndarray:
        """Label of each box by its category, (N,), int32."""
        ids, index = np.unique(categories, return_inverse=True)
        unknown = sorted(set(ids.tolist()) - labels.keys())
        if unknown:
            raise StoreError(
                f'the selection of {self.store.root} keeps boxes of the categories '
                f'{unknown}, which the labeled set does not train; select with '
                "categories='each', which keeps nothing of those"
            )
        numbers = [labels[number] for number in ids.tolist()]
        of_rows: np.ndarray = np.array(numbers, dtype=np.int32)[index]
        return of_rows

    def _advice(self, best: float) -> str:
        """How to keep something."""
        if self._score_thr is not None:
            return (
                f'the data set itself states score_thr={self._score_thr}: leave that '
                f'out or lower it (best score: {best:.4g})'
            )
        return 'choose others with tools/select_labels.py, which says what keeps some'

    def _check_written(self) -> None:
        """Check that packed images of labels were written as files."""
        keys = self.labels.written_keys
        missing = [k for k in keys if not (self.store.root / written_name(k)).is_file()]
        if missing:
            raise StoreError(
                f'{len(missing)} of the {len(self)} images with labels are not '
                f'written below {self.store.root}/frames, the first is {missing[0]}; '
                'write them with tools/select_labels.py'
            )


def _starts(path_index: np.ndarray, num_images: int) -> np.ndarray:
    """Number of the first box of each image, and that of all boxes, (J + 1,)."""
    starts: np.ndarray = np.searchsorted(path_index, np.arange(num_images + 1))
    return starts


def _instances(bboxes: np.ndarray, labels: np.ndarray, ignored: int) -> list[dict]:
    """Boxes as MMDetection's data sets list them."""
    return [
        dict(bbox=bbox, bbox_label=label, ignore_flag=ignored)
        for bbox, label in zip(bboxes.tolist(), labels.tolist(), strict=True)
    ]
