"""Labels of a store that train a student, as few arrays, and their image files.

The columns that decide are read chunk by chunk, and only the kept rows of the others.
The result holds arrays alone, no objects, so that forked processes share it. Kept
images that stock loaders cannot read are written into the store.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from mmengine.logging import print_log

from mmdistill.config.weight_options import WeightsConfig
from mmdistill.errors import StoreError
from mmdistill.functional.keypoint_weights import (
    keypoint_values,
    keypoint_weights,
    mean_one,
)
from mmdistill.selection.scores import (
    Scores,
    TableCandidates,
    read_scores,
    score_columns,
    table_scores,
)
from mmdistill.selection.selection import Selection
from mmdistill.store.image_keys import SCALED, is_packed, written_name
from mmdistill.store.schema import candidate_counts
from mmdistill.store.store import LabelStore
from mmdistill.utils.files import write_bytes
from mmdistill.utils.growing_array import GrowingArray
from mmdistill.utils.logging import log_progress, warn

COLUMNS = ('path', 'reason', 'width', 'height', 'bboxes')
"""Columns of a label, in addition to those that its selection compares; `keypoints`
besides, where there are any."""


@dataclass(frozen=True)
class TrainingLabels:
    """Labels that train a student, and the paths of their images.

    Attributes:
        paths: Paths of the images that have labels, (J,).
        written: Mask of the images that are read from the store's own folder, since
            they are inside of another file, or stock loaders would read other
            pixels, (J,), bool.
        path_index: Index of each label's path, (N,), int32.
        image_index: Index of each label's image in the store, (N,), int32.
        bboxes: Boxes (x1, y1, x2, y2) in pixels within their image, (N, 4), float32.
        keypoints: Coordinates (x, y) in pixels of the image, (N, K, 2), float32.
        visible: Mask of the keypoints that are labels, (N, K), bool.
        category_ids: Categories, (N,), int32.
        num_candidates: Number of candidates in the store.
        num_seen: Number of those that have a visible keypoint, kept or not; of boxes
            all.
        best_score: Highest instance score of them; -inf without any.
        keypoint_weights: Weights of the keypoints in the loss, 0 where they are no
            labels, (N, K), float32; None where all weigh 1.
        sizes: Width and height of each image that has labels, (J, 2), int32.

    >>> labels = read_training_labels(store, selection)
    >>> len(labels), labels.paths.to_pylist(), labels.written_keys
    (2, ['a.jpg', 'b.jpg'], [])
    """

    paths: pa.Array
    written: np.ndarray
    path_index: np.ndarray
    image_index: np.ndarray
    bboxes: np.ndarray
    keypoints: np.ndarray
    visible: np.ndarray
    category_ids: np.ndarray
    num_candidates: int
    num_seen: int
    best_score: float
    keypoint_weights: np.ndarray | None = None
    sizes: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.int32))

    def __len__(self) -> int:
        return len(self.path_index)

    @property
    def written_keys(self) -> list[str]:
        """Keys of the images that are read from the store's own folder."""
        return self.paths.filter(pa.array(self.written)).to_pylist()


def read_training_labels(
    store: LabelStore, selection: Selection, weights: WeightsConfig | None = None
) -> TrainingLabels:
    """Read the kept candidates of a store as training labels.

    Args:
        store: A complete store.
        selection: The selection. Candidates whose box is empty on its image are left
            out.
        weights: What the keypoints weigh; None where all weigh 1.

    Raises:
        UserError: If a chunk is missing, damaged or of another store, or all kept
            keypoints would weigh 0.

    >>> labels = read_training_labels(store, selection)
    >>> labels.keypoints.shape, labels.num_candidates
    ((2, 2, 2), 3)
    """
    counted_thr = selection.options.counted_thr
    agreement = selection.needs_agreement
    chosen = None
    if selection.needs_all_candidates:
        chosen = selection.above_threshold(
            read_scores(store, counted_thr, agreement).scores
        )
    collected = _LabelCollector(store.num_keypoints, weights)
    read = agreement or (weights is not None and weights.needs_agreement)
    num_keypoints = store.num_keypoints
    columns = [*COLUMNS, *(['keypoints'] if num_keypoints else [])]
    for table in store.scan([*columns, *score_columns(read, num_keypoints)]):
        scores = table_scores(table, num_keypoints, counted_thr, agreement)
        start = collected.num_candidates
        collected.add(
            table,
            scores,
            selection.above_threshold(scores)
            if chosen is None
            else chosen[start : start + len(scores)],
            selection,
        )
    labels = collected.result()
    given = labels.keypoint_weights
    if weights is not None and given is not None and len(given) and not given.any():
        raise StoreError(
            f'all visible keypoints of {store.root} would weigh 0 by '
            f'{weights.criterion}; state weights.floor above 0'
        )
    return labels


def write_kept_images(
    store: LabelStore, selection: Selection, dataset: Callable[[], Any]
) -> int:
    """Write the kept images that stock loaders cannot read below ``frames/``.

    These are frames, members of tars, and images whose pixels were scaled. Existing
    files are kept, so that an interrupted run resumes. Frames of a video are decoded
    in their order.

    Args:
        store: A complete store.
        selection: The selection.
        dataset: Builds the labeled data set; called if an image is missing.

    Returns:
        The number of images written.

    Raises:
        UserError: If the store is damaged or the disk refuses a file.

    >>> write_kept_images(store, selection, dataset=lambda: dataset)
    0
    """
    # Reading the list of images is fast, reading the labels of a million is not.
    if not any(map(is_packed, store.paths())) and not _has_scaled(store):
        return 0
    missing = {
        key
        for key in read_training_labels(store, selection).written_keys
        if not (store.root / written_name(key)).is_file()
    }
    if not missing:
        return 0
    images = dataset()
    wanted = [(n, key) for n, key in enumerate(images.paths) if key in missing]
    lost = len(missing) - len(wanted)
    for number, key in log_progress(wanted, len(wanted), 'kept images are written'):
        data = images.encoded(number)
        if data is None:
            lost += 1
        else:
            write_bytes(store.root / written_name(key), data)
    if lost:
        warn(
            f'{lost} of {len(missing)} kept images of {store.root} cannot be read any '
            'more and are not written'
        )
    print_log(
        f'{len(missing) - lost} kept images are written below {store.root}/frames',
        logger='current',
    )
    return len(missing) - lost


class _LabelCollector:
    """Accumulator of `TrainingLabels` over the tables of a store."""

    def __init__(self, num_keypoints: int, weights: WeightsConfig | None) -> None:
        self.options = weights
        self.weights = GrowingArray((num_keypoints,), np.float32)
        self.paths: list[pa.Array] = []
        self.num_keypoints = num_keypoints
        self.num_images = self.num_paths = self.num_candidates = self.num_seen = 0
        self.best = float('-inf')
        self.written = GrowingArray((), np.bool_)
        self.path_index = GrowingArray((), np.int32)
        self.image_index = GrowingArray((), np.int32)
        self.bboxes = GrowingArray((4,), np.float32)
        self.keypoints = GrowingArray((num_keypoints, 2), np.float32)
        self.visible = GrowingArray((num_keypoints,), np.bool_)
        self.category_ids = GrowingArray((), np.int32)
        self.sizes = GrowingArray((2,), np.int32)

    def add(
        self, table: pa.Table, scores: Scores, chosen: np.ndarray, selection: Selection
    ) -> None:
        candidates = TableCandidates(table, self.num_keypoints)
        counts = candidate_counts(table)
        images = np.repeat(np.arange(len(counts)), counts)
        sizes = np.stack([table[name].to_numpy() for name in ('width', 'height')], 1)
        visible = selection.visible(candidates.keypoint_scores)
        boxes = candidates.bboxes
        if not selection.of_boxes:
            boxes = clipped_boxes(boxes, sizes[images])
        seen = selection.trains(candidates.keypoint_scores)
        kept = chosen & seen
        rows = np.flatnonzero(kept & (boxes[:, 2:] > boxes[:, :2]).all(axis=1))
        used, position = np.unique(images[rows], return_inverse=True)
        paths = table['path'].combine_chunks().take(pa.array(used))
        notes = table['reason'].combine_chunks().take(pa.array(used))
        scaled = pc.starts_with(notes, SCALED).to_numpy(zero_copy_only=False)
        packed = [is_packed(key) for key in paths.to_pylist()]
        self.paths.append(paths)
        self.written.append(scaled | np.array(packed, dtype=np.bool_))
        self.sizes.append(sizes[used])
        self.path_index.append(self.num_paths + position)
        self.image_index.append(self.num_images + images[rows])
        self.bboxes.append(boxes[rows])
        self.keypoints.append(candidates.keypoints[rows])
        self.visible.append(visible[rows])
        if self.options is not None:
            self.weights.append(_weights(candidates, rows, self.options))
        self.category_ids.append(scores.category_ids[rows])
        self.num_paths += len(used)
        self.num_images += len(counts)
        self.num_candidates += len(images)
        self.num_seen += int(seen.sum())
        self.best = scores.instances.max(initial=self.best)

    def result(self) -> TrainingLabels:
        paths = pa.chunked_array(self.paths, pa.string()).cast(pa.large_string())
        visible = self.visible.finish()
        return TrainingLabels(
            paths=paths.combine_chunks(),
            written=self.written.finish(),
            path_index=self.path_index.finish(),
            image_index=self.image_index.finish(),
            bboxes=self.bboxes.finish(),
            keypoints=self.keypoints.finish(),
            visible=visible,
            category_ids=self.category_ids.finish(),
            num_candidates=self.num_candidates,
            num_seen=self.num_seen,
            best_score=float(self.best),
            keypoint_weights=self._finished_weights(visible),
            sizes=self.sizes.finish(),
        )

    def _finished_weights(self, visible: np.ndarray) -> np.ndarray | None:
        if self.options is None:
            return None
        weights: np.ndarray = np.where(visible, self.weights.finish(), np.float32(0))
        return mean_one(weights, visible) if self.options.normalize else weights


def _weights(
    candidates: TableCandidates, rows: np.ndarray, options: WeightsConfig
) -> np.ndarray:
    """Weigh the keypoints of rows of a table, (N, K); each column is read if needed."""
    scores = candidates.keypoint_scores[rows]
    if not options.needs_agreement:
        values = keypoint_values('score', scores)
    else:
        agreement = candidates.keypoint_agreement[rows]
        values = keypoint_values(options.criterion, scores, agreement)
    return keypoint_weights(values, options.power, options.floor)


def clipped_boxes(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Clip boxes to their images, as MMPose clips annotated ones.

    Args:
        boxes: Boxes (x1, y1, x2, y2), (N, 4).
        sizes: Width and height of the image of each, (N, 2).

    >>> boxes = np.array([[-1.0, 0.0, 30.0, 8.0]])
    >>> clipped_boxes(boxes, np.array([[20, 10]])).tolist()
    [[0.0, 0.0, 19.0, 8.0]]
    """
    return np.clip(boxes, 0, np.tile(sizes, 2) - 1).astype(np.float32)


def _has_scaled(store: LabelStore) -> bool:
    """Whether the pixels of any image were scaled."""
    tables = store.scan(['reason'])
    return any(pc.any(pc.starts_with(t['reason'], SCALED)).as_py() for t in tables)
