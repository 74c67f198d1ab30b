"""Selected candidates of a label store as MMPose training instances."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmpose.datasets.datasets.base import BaseCocoStyleDataset

from mmdistill.config.metainfo import keypoint_names, ordered_metainfo
from mmdistill.config.schema import MixingConfig
from mmdistill.config.weight_options import WeightsConfig
from mmdistill.datasets.pseudo_targets import PseudoTargets
from mmdistill.datasets.sample_tags import MARK, scale_keypoint_weights, tag_pseudo
from mmdistill.datasets.transforms import warn_if_unrotated
from mmdistill.errors import ConfigError, DataError, StoreError
from mmdistill.functional.scoring import AREA_OF_BOX
from mmdistill.registry import DATASETS
from mmdistill.selection.selection import Selection, read_selection
from mmdistill.selection.threshold_groups import format_range
from mmdistill.selection.training_labels import TrainingLabels, read_training_labels
from mmdistill.store.image_keys import image_file, written_name
from mmdistill.store.store import LabelStore


@DATASETS.register_module()
class PseudoLabelDataset(BaseCocoStyleDataset):
    """Pseudo-labels for MMPose's top-down pipelines, read from a label store.

    A kept candidate without a visible keypoint, or whose box is empty on its image, is
    left out, because it would not contribute to the loss. Visibility is 0 or 1, never
    between: codecs give a keypoint with a visibility below one half an empty target
    that still has weight.

    Args:
        store: Folder of the label store.
        metainfo: Keypoints, in MMPose's form; they must be the teacher's.
        pipeline: Training transforms.
        img_root: Folder of the images, if it is not the one of labeling.
        score_thr: Instance score to keep a candidate at, instead of the
            selection's.
        keypoint_thr: Keypoint score above which a keypoint is visible, instead
            of the selection's.
        max_refetch: Maximum number of replacements of a sample that the pipeline
            rejects.
        pseudo_weight: Loss weight of a keypoint; labeled ones have 1. The paper
            weights both equally (section 3.3); 0 disables the loss.
        weights: Settings of `distill.weights`: what each keypoint weighs, and the sigma
            of its target. Its `keypoints_visible` then has two channels, visibility and
            weight, as behind the host's keypoint converters.
        loss_power: Power of a keypoint weight that the student's loss counts, or one
            for each level of targets: 2 where it multiplies prediction and target by
            the weight before it squares their difference, so that it must be given the
            root. `tools/train.py` states it by the model's losses.

    Raises:
        UserError: If the store is not complete, has no selection, has other
            keypoints, nothing is kept, or the weight is not a number of at least 0.
    """

    pseudo_weight: float = MixingConfig.pseudo_weight
    weights: WeightsConfig | None = None
    loss_power: float | Sequence[float] = 1

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
        weights: Mapping[str, Any] | WeightsConfig | None = None,
        loss_power: float | Sequence[float] = 1,
    ) -> None:
        if not (isinstance(pseudo_weight, (int, float)) and 0 <= pseudo_weight < inf):
            raise ConfigError(
                f'pseudo_weight must be a number of at least 0, got {pseudo_weight!r}'
            )
        self.pseudo_weight = pseudo_weight
        self.weights = WeightsConfig.of(weights)
        self.loss_power = _checked_power(loss_power)
        self.targets = None
        if self.weights is not None:
            self.targets = PseudoTargets(self.weights.sigma, self.loss_power)
        self.store = LabelStore(store)
        self._img_root = img_root
        self._score_thr = score_thr
        self._keypoint_thr = keypoint_thr
        warn_if_unrotated(pipeline)
        super().__init__(
            metainfo=ordered_metainfo(metainfo),
            pipeline=list(pipeline),
            max_refetch=max_refetch,
        )

    def full_init(self) -> None:
        """Read the kept candidates from the store, once.

        Raises:
            StoreError: If the store has other keypoints or no current selection, keeps
                nothing, or frames and members that were not written are trained on.
        """
        if self._fully_initialized:  # type: ignore[has-type]
            return
        self._check_keypoints()
        self.selection = read_selection(self.store)
        selection = self.selection.overridden(self._score_thr, self._keypoint_thr)
        self.labels = read_training_labels(self.store, selection, self.weights)
        if len(self.labels) == 0:
            overrides = dict(score_thr=self._score_thr, keypoint_thr=self._keypoint_thr)
            raise StoreError(
                _nothing_kept_sentence(self.store, self.labels, selection, overrides)
            )
        self._root = Path(self._img_root or self.store.manifest['about']['img_root'])
        _check_written(self.store, self.labels)
        self._fully_initialized = True

    @property
    def num_labels(self) -> int:
        """Number of kept instances."""
        return len(self)

    @property
    def num_visible_keypoints(self) -> int:
        """Number of visible keypoints of all kept candidates."""
        return int(self.labels.visible.sum())

    @property
    def is_weighted(self) -> bool:
        """Whether keypoints weigh, or are encoded, other than those of labels."""
        return self.weights is not None or self.pseudo_weight != 1

    @property
    def visible_weights(self) -> np.ndarray:
        """Weights of all visible keypoints, (n,), before `pseudo_weight`."""
        weights = self.labels.keypoint_weights
        if weights is None:
            weights = np.ones_like(self.labels.visible, dtype=np.float32)
        visible: np.ndarray = weights[self.labels.visible]
        return visible

    def __len__(self) -> int:
        return len(self.labels)

    def get_data_info(self, idx: int) -> dict:
        """Return one instance, with the keys of MMPose's data sets.

        Args:
            idx: Number of the instance.
        """
        labels = self.labels
        box, visible = labels.bboxes[idx], labels.visible[idx]
        number = int(labels.path_index[idx])
        path = labels.paths[number].as_py()
        written = bool(labels.written[number])
        area = np.prod(box[2:] - box[:2]) * AREA_OF_BOX
        info = dict(
            img_id=int(labels.image_index[idx]),
            img_path=str(image_file(self.store.root, self._root, path, written)),
            bbox=box[None].copy(),
            bbox_score=np.ones(1, dtype=np.float32),
            num_keypoints=int(visible.sum()),
            keypoints=labels.keypoints[idx][None].copy(),
            keypoints_visible=self._visible(idx),
            area=np.array(max(area, 1), dtype=np.float32),
            iscrowd=0,
            segmentation=None,
            id=int(idx),
            sample_idx=int(idx),
            category_id=np.array(int(labels.category_ids[idx])),
        )
        # For transforms that several sources share, which noise one of them alone.
        info[MARK] = True
        # The property `metainfo` makes a deep copy on each access.
        for key in METAINFO_KEYS:
            info[key] = copy.deepcopy(self._metainfo[key])
        return info

    def prepare_data(self, idx: int) -> Any:
        """Return one sample of the pipeline, tagged and weighted if it is packed.

        Args:
            idx: Number of the instance.

        Raises:
            DataError: If its image cannot be read any more.
        """
        try:
            sample = self._run(idx)
        except Exception as error:
            self._check_image(idx, error)
            raise
        return self.finished(sample)

    def finished(self, sample: Any) -> Any:
        """Tag and weight a sample of this set, if it is packed.

        Args:
            sample: Output of the last pipeline, its own or that of a `CombinedDataset`.
        """
        weighted = scale_keypoint_weights(sample, self.pseudo_weight, self.loss_power)
        return tag_pseudo(weighted)

    def _run(self, idx: int) -> Any:
        if self.targets is None:
            return super().prepare_data(idx)
        return self.targets.run(self.pipeline, self.get_data_info(idx))

    def _visible(self, idx: int) -> np.ndarray:
        """Visibilities of an instance, (1, K), or with its weights, (1, K, 2)."""
        visible = self.labels.visible[idx].astype(np.float32)
        if self.labels.keypoint_weights is None:
            return visible[None]
        return np.stack([visible, self.labels.keypoint_weights[idx]], axis=1)[None]

    def _check_image(self, idx: int, error: Exception) -> None:
        """Blame an image that cannot be read for the failure of a pipeline."""
        path = self.get_data_info(idx)['img_path']
        if cv2.imread(path) is None:
            problem = 'cannot be read' if Path(path).exists() else 'does not exist'
            raise DataError(
                f'the image {path}, which is labeled in {self.store.root}, {problem} '
                'any more; bring it back, name the folder it was moved to in img_root '
                'of the PseudoLabelDataset, or label anew into another distill.store'
            ) from error

    def _check_keypoints(self) -> None:
        stored = self.store.manifest['keypoints']
        if not stored:
            raise StoreError(
                f'{self.store.root} is a detection store, whose boxes have no '
                'keypoints to train a pose model on; label with a pose model as '
                'teacher into another folder in distill.store'
            )
        expected = keypoint_names(self.metainfo)
        if stored != expected:
            raise StoreError(
                f'the label store {self.store.root} has the keypoints {stored}, the '
                f'data set wants {expected}'
            )


METAINFO_KEYS = (
    'dataset_name',
    'upper_body_ids',
    'lower_body_ids',
    'flip_pairs',
    'dataset_keypoint_weights',
    'flip_indices',
    'skeleton_links',
)
"""Metainfo that MMPose's data sets copy into every sample."""


def _checked_power(power: Any) -> float | Sequence[float]:
    powers = power if isinstance(power, (list, tuple)) else [power]
    if not powers or any(each not in (1, 2) for each in powers):
        raise ConfigError(
            f'loss_power must be 1 or 2, or a list of those, got {power!r}'
        )
    checked: float | Sequence[float] = power
    return checked


def _nothing_kept_sentence(
    store: LabelStore,
    labels: TrainingLabels,
    selection: Selection,
    overrides: Mapping[str, float | None],
) -> str:
    given_options = {
        name: value for name, value in overrides.items() if value is not None
    }
    words = ' and '.join(f'{name}={value}' for name, value in given_options.items())
    if given_options:
        # Options of the data set override any selection.
        advice = f'the data set itself states {words}: leave that out or lower it'
    else:
        advice = 'choose others with tools/select_labels.py, which says what keeps some'
    keypoint_thr = format_range(selection.keypoint_thrs)
    if labels.num_candidates and not labels.num_seen:
        return (
            f'none of {labels.num_candidates} candidates of {store.root} has a '
            f'keypoint that is visible at keypoint_thr {keypoint_thr}, so they would '
            f'train nothing; {advice}'
        )
    best = f'{labels.best_score:.4g}' if labels.num_candidates else 'none'
    return (
        f'the selection of {store.root} keeps none of {labels.num_candidates} '
        f'candidates at a threshold of {format_range(selection.score_thrs)} by '
        f'{selection.options.criterion} and keypoint_thr {keypoint_thr} '
        f'(best score: {best}); {advice}'
    )


def _check_written(store: LabelStore, labels: TrainingLabels) -> None:
    """Check that packed images of labels were written as files."""
    missing = [
        key
        for key in labels.written_keys
        if not (store.root / written_name(key)).is_file()
    ]
    if missing:
        raise StoreError(
            f'{len(missing)} of the {len(labels.paths)} images with labels are not '
            f'written below {store.root}/frames, the first is {missing[0]}; write them '
            'with tools/select_labels.py'
        )
