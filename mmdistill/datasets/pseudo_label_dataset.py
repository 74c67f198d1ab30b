"""The selected candidates of a label store as MMPose training instances."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from mmpose.datasets.datasets.base import BaseCocoStyleDataset

from mmdistill.errors import UserError
from mmdistill.functional.scoring import AREA_OF_BOX
from mmdistill.labels.columns import Candidates
from mmdistill.labels.selection import read_selection
from mmdistill.labels.store import LabelStore
from mmdistill.registry import DATASETS


@DATASETS.register_module()
class PseudoLabelDataset(BaseCocoStyleDataset):
    """Pseudo-labels for MMPose's top-down pipelines, straight from the store.

    A kept candidate whose keypoints all score too low, or whose box is empty on
    its image, is left out: it would train nothing. Visibility is 0 or 1, never
    between: codecs give a keypoint with a visibility below one half an empty
    target that still has weight.

    Args:
        labels: Folder of the label store.
        metainfo: Keypoints, in MMPose's form; they must be the teacher's.
        pipeline: Training transforms.
        img_root: Folder of the images, if it is not where the teacher saw them.
        score_thr: Instance score to keep a candidate at, instead of the
            selection's.
        keypoint_thr: Keypoint score above which a keypoint is visible, instead
            of the selection's.
        max_refetch: Tries to replace a sample that the pipeline gives up.

    Raises:
        UserError: If the store is not complete, has no selection, has other
            keypoints, or nothing is kept.
    """

    def __init__(
        self,
        labels: str,
        metainfo: dict,
        pipeline: list | tuple = (),
        img_root: str | None = None,
        score_thr: float | None = None,
        keypoint_thr: float | None = None,
        max_refetch: int = 1000,
    ) -> None:
        self.store = LabelStore(labels)
        self._img_root = img_root
        self._score_thr = score_thr
        self._keypoint_thr = keypoint_thr
        super().__init__(
            metainfo=metainfo,
            pipeline=list(pipeline),
            max_refetch=max_refetch,
        )

    def full_init(self) -> None:
        """Read the kept candidates from the store, once."""
        if getattr(self, '_fully_initialized', False):
            return
        self._check_keypoints()
        labels = self.store.read()
        self.selection = read_selection(self.store)
        score_thr = self._override(self._score_thr, self.selection.score_thr)
        scores = labels.candidates.instance_scores
        keypoint_thr = self._override(self._keypoint_thr, self.selection.keypoint_thr)
        visible = labels.candidates.keypoint_scores > keypoint_thr
        boxes = _clipped(labels.candidates.bboxes, labels.sizes[labels.image_index])
        kept = (scores >= np.float32(score_thr)) & visible.any(axis=1)
        rows = np.flatnonzero(kept & (boxes[:, 2:] > boxes[:, :2]).all(axis=1))
        if len(rows) == 0:
            raise UserError(_nothing_kept(self.store, scores, score_thr, keypoint_thr))
        root = self._img_root or self.store.manifest['about']['img_root']
        self._paths = [
            str(Path(root, path))
            for path in labels.paths.take(labels.image_index[rows]).to_pylist()
        ]
        self._image_index = labels.image_index[rows]
        self._boxes = boxes[rows]
        self._candidates = labels.candidates[rows]
        self._visible = visible[rows]
        self._fully_initialized = True

    @property
    def candidates(self) -> Candidates:
        """The kept candidates."""
        return self._candidates

    @property
    def num_visible_keypoints(self) -> int:
        """Keypoints of all kept candidates that train the student."""
        return int(self._visible.sum())

    def __len__(self) -> int:
        return len(self._image_index)

    def get_data_info(self, idx: int) -> dict:
        """One instance, with the keys that MMPose's datasets give.

        Args:
            idx: Number of the instance.
        """
        candidate, visible = self._candidates[idx], self._visible[idx]
        box = self._boxes[idx]
        area = np.prod(box[2:] - box[:2]) * AREA_OF_BOX
        info = dict(
            img_id=int(self._image_index[idx]),
            img_path=self._paths[idx],
            bbox=box[None].copy(),
            bbox_score=np.ones(1, dtype=np.float32),
            num_keypoints=int(visible.sum()),
            keypoints=candidate.keypoints[None].copy(),
            keypoints_visible=visible[None].astype(np.float32),
            area=np.array(max(area, 1), dtype=np.float32),
            iscrowd=0,
            segmentation=None,
            id=int(idx),
            sample_idx=int(idx),
            category_id=np.array(1),
        )
        for key in METAINFO_KEYS:
            info[key] = self.metainfo[key]
        return info

    def _check_keypoints(self) -> None:
        stored = self.store.manifest['keypoints']
        wanted = [
            self.metainfo['keypoint_id2name'][i]
            for i in range(self.metainfo['num_keypoints'])
        ]
        if stored != wanted:
            raise UserError(
                f'the label store {self.store.root} has the keypoints {stored}, the '
                f'data set wants {wanted}'
            )

    @staticmethod
    def _override(given: float | None, selected: float) -> float:
        return selected if given is None else given


METAINFO_KEYS = (
    'dataset_name',
    'upper_body_ids',
    'lower_body_ids',
    'flip_pairs',
    'dataset_keypoint_weights',
    'flip_indices',
    'skeleton_links',
)
"""Metainfo that MMPose's datasets put into every sample."""


def _clipped(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Boxes (N, 4) within images of sizes (N, 2), as MMPose clips annotated ones."""
    return np.clip(boxes, 0, np.tile(sizes, 2) - 1).astype(np.float32)


def _nothing_kept(
    store: LabelStore, scores: np.ndarray, score_thr: float, keypoint_thr: float
) -> str:
    best = f'{scores.max():.4g}' if len(scores) else 'none'
    return (
        f'the selection of {store.root} keeps none of {len(scores)} candidates at '
        f'score_thr {score_thr:.4g} and keypoint_thr {keypoint_thr:.4g} (best score: '
        f'{best}); choose others with tools/select_labels.py'
    )
