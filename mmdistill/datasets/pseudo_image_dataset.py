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
    ) -> None:
        if pseudo_weight != 1:
            raise ConfigError(
                'pseudo_weight of a PseudoImageDataset must be 1, since losses over '
                f'whole images weight no single label, got {pseudo_weight!r}'
            )
        self.visibility_weights = visibility_weights
        self.num_classes = num_classes
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
        # Labels come image by image.
        numbers = np.arange(len(self.labels.paths) + 1)
        self._starts = np.searchsorted(self.labels.path_index, numbers)

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
        boxes, visible = labels.bboxes[rows].copy(), labels.visible[rows]
        path, written = labels.paths[idx].as_py(), bool(labels.written[idx])
        areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) * AREA_OF_BOX
        count = len(boxes)
        # Transforms of the host change arrays in place: all are copies.
        info = dict(
            img_id=int(labels.image_index[rows.start]),
            img_path=str(image_file(self.store.root, self._root, path, written)),
            bbox=boxes,
            bbox_score=np.ones(count, dtype=np.float32),
            num_keypoints=visible.sum(axis=1).tolist(),
            keypoints=labels.keypoints[rows].copy(),
            keypoints_visible=self._visibility(visible.astype(np.float32)),
            area=np.maximum(areas, 1).astype(np.float32),
            iscrowd=[0] * count,
            id=[*range(rows.start, rows.stop)],
            sample_idx=int(idx),
            category_id=labels.category_ids[rows].copy(),
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
