"""Images with all their selected candidates, as samples of students of whole images."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from mmdistill.config.schema import MixingConfig
from mmdistill.datasets.pseudo_label_dataset import METAINFO_KEYS, PseudoLabelDataset
from mmdistill.datasets.sample_tags import MARK
from mmdistill.errors import ConfigError, StoreError
from mmdistill.functional.scoring import AREA_OF_BOX
from mmdistill.registry import DATASETS
from mmdistill.selection.ignored_boxes import read_ignored_boxes
from mmdistill.store.image_keys import image_file


@DATASETS.register_module()
class PseudoImageDataset(PseudoLabelDataset):
    """Pseudo-labels for MMPose's bottom-up and one-stage pipelines.

    The labels of `PseudoLabelDataset`, one sample an image with all its kept instances,
    as MMPose's data sets give them with `data_mode='bottomup'`. An image of which none
    is kept does not train: it would teach that its rejected candidates are background.
    Neither does one that its pipeline leaves without an instance; another one takes its
    place. Transforms that mix images, as `Mosaic`, take theirs from this set.

    Args:
        store: Folder of the label store.
        metainfo: Keypoints, in MMPose's form; they must be the teacher's.
        pipeline: Training transforms.
        img_root: Folder of the images, if it is not the one of labeling.
        score_thr: Instance score to keep a candidate at, instead of the selection's.
        keypoint_thr: Keypoint score above which a keypoint is visible, instead of the
            selection's.
        max_refetch: Maximum number of replacements of a sample that the pipeline
            rejects.
        pseudo_weight: 1; the losses of these students know no weights.
        visibility_weights: Whether a keypoint that was not seen by the teacher is
            unknown instead of invisible, for the codec
            `mmdistill.PoseAnnotationProcessor`: `keypoints_visible` then has two
            channels, visibility and the weight with which it is learned.
        num_classes: Number of classes of the student's head, where the category of an
            instance is what it learns.
        ignore_rejected: Whether the best rejected candidates, as many as are kept, are
            instances without a visible keypoint, for `mmdistill.MaskIgnored` in the
            pipeline; of images with labels.

    Raises:
        UserError: As `PseudoLabelDataset`, and if the weight is not 1 or a category is
            none of the head's.
    """

    def __init__(
        self,
        store: str,
        metainfo: dict,
        pipeline: list | tuple = (),
        img_root: str | None = None,
        score_thr: float | None = None,
        keypoint_thr: float | None = None,
        max_refetch: int = 1000,
        pseudo_weight: float = MixingConfig.pseudo_weight,
        visibility_weights: bool = False,
        num_classes: int | None = None,
        ignore_rejected: bool = MixingConfig.ignore_rejected,
    ) -> None:
        if pseudo_weight != 1:
            raise ConfigError(
                'pseudo_weight of a PseudoImageDataset must be 1, since losses over '
                f'whole images weight no single label, got {pseudo_weight!r}'
            )
        self.visibility_weights = visibility_weights
        self.num_classes = num_classes
        self.ignore_rejected = ignore_rejected
        super().__init__(
            *(store, metainfo, pipeline, img_root),
            *(score_thr, keypoint_thr, max_refetch),
        )

    def full_init(self) -> None:
        """Read the kept candidates from the store, once.

        Raises:
            StoreError: As `PseudoLabelDataset`, or if a category is none of the head's.
        """
        if self._fully_initialized:
            return
        super().full_init()
        self._check_categories()
        self._starts = self._first_rows(self.labels.path_index)
        if self.ignore_rejected:
            selection = self.selection.overridden(self._score_thr, self._keypoint_thr)
            self.ignored = read_ignored_boxes(self.store, selection, self.labels)
            self._ignored_starts = self._first_rows(self.ignored.path_index)

    @property
    def num_labels(self) -> int:
        """Number of kept instances of all images."""
        return len(self.labels)

    def __len__(self) -> int:
        return len(self.labels.paths)

    def get_data_info(self, idx: int) -> dict:
        """Return one image with its instances, with the keys of MMPose's data sets.

        Args:
            idx: Number of the image among those with labels.
        """
        labels = self.labels
        rows = slice(*self._starts[idx : idx + 2].tolist())
        boxes, keypoints, visible, categories = self._instances(idx, rows)
        path, written = labels.paths[idx].as_py(), bool(labels.written[idx])
        areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) * AREA_OF_BOX
        count, numbers = len(boxes), range(rows.start, rows.stop)
        # Transforms of the host change arrays in place: all are copies.
        info = dict(
            img_id=int(labels.image_index[rows.start]),
            img_path=str(image_file(self.store.root, self._root, path, written)),
            bbox=boxes,
            bbox_score=np.ones(count, dtype=np.float32),
            num_keypoints=visible.sum(axis=1).tolist(),
            keypoints=keypoints,
            keypoints_visible=self._visibility(visible.astype(np.float32)),
            area=np.maximum(areas, 1).astype(np.float32),
            iscrowd=[0] * count,
            id=[*numbers, *[-1] * (count - len(numbers))],
            sample_idx=int(idx),
            category_id=categories,
            invalid_segs=[],
        )
        info[MARK] = True
        # The property `metainfo` makes a deep copy on each access.
        for key in METAINFO_KEYS:
            info[key] = copy.deepcopy(self._metainfo[key])
        return info

    def finished(self, sample: Any) -> Any:
        """Tag a sample of this set, if it is packed; None if no instance is left in it.

        Args:
            sample: Output of the last pipeline.
        """
        packed = isinstance(sample, dict) and 'data_samples' in sample
        if packed and len(sample['data_samples'].gt_instances) == 0:
            return None
        return super().finished(sample)

    def _first_rows(self, path_index: np.ndarray) -> np.ndarray:
        """Row of the first instance of each image, and their number, (J + 1,)."""
        # They come image by image.
        numbers = np.arange(len(self.labels.paths) + 1)
        starts: np.ndarray = np.searchsorted(path_index, numbers)
        return starts

    def _instances(self, idx: int, rows: slice) -> tuple[np.ndarray, ...]:
        """Boxes, keypoints, visibilities and categories of an image, as copies."""
        labels = self.labels
        parts = (labels.bboxes, labels.keypoints, labels.visible, labels.category_ids)
        kept = [part[rows].copy() for part in parts]
        if not self.ignore_rejected:
            return tuple(kept)
        others = slice(*self._ignored_starts[idx : idx + 2].tolist())
        boxes = self.ignored.bboxes[others]
        unseen = [np.zeros((len(boxes), *part.shape[1:]), part.dtype) for part in kept]
        unseen[0], unseen[3] = boxes, self.ignored.category_ids[others]
        return tuple(map(np.concatenate, zip(kept, unseen, strict=True)))

    def _visibility(self, visible: np.ndarray) -> np.ndarray:
        """Visibilities (n, K), or with the weights that they are learned with."""
        if not self.visibility_weights:
            return visible
        # What leaves the image later on is invisible, and known to be.
        return np.stack([visible, visible], axis=2)

    def _check_categories(self) -> None:
        """Refuse categories that a head of `num_classes` would take for others."""
        found = np.unique(self.labels.category_ids).tolist()
        last = self.num_classes
        others = [] if last is None else [i for i in found if not 1 <= i <= last]
        if others:
            raise StoreError(
                f'the student learns categories 1 to {last}, and the kept candidates '
                f'of {self.store.root} are of {others}; label with boxes of other '
                'categories (distill.unlabeled.category_ids), or train a head of more '
                'classes'
            )
