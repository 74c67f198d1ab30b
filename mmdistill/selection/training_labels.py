"""What training needs of a store, and no more: labels that are kept, as few arrays.

Chunk by chunk the columns that decide are read, and of the others the rows that are
kept. The result is arrays alone, no objects: processes that are forked share it.

Images that train and are not files by themselves: written into the store.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from mmengine.logging import print_log

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
from mmdistill.utils.logging import log_progress

COLUMNS = ('path', 'reason', 'width', 'height', 'bboxes', 'keypoints')
"""Columns that labels are made of, beside those that they are chosen by."""


@dataclass(frozen=True)
class TrainingLabels:
    """Labels that train something, and where their images are.

    Attributes:
        paths: Paths of the images that have labels, (J,).
        written: Which of these images train from the store's own folder: they are
            inside of another file, or stock loaders would read other pixels, (J,),
            bool.
        path_index: For each label the position of its path, (N,), int32.
        image_index: For each label the number of its image in the store, (N,), int32.
        bboxes: Boxes (x1, y1, x2, y2) in pixels within their image, (N, 4), float32.
        keypoints: Coordinates (x, y) in pixels of the image, (N, K, 2), float32.
        visible: Which keypoints are labels, (N, K), bool.
        category_ids: Categories, (N,), int32.
        num_candidates: Candidates in the store.
        num_seen: Those that have a visible keypoint, kept or not.
        best_score: Highest instance score of them; -inf without any.
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

    def __len__(self) -> int:
        return len(self.path_index)

    @property
    def written_keys(self) -> list[str]:
        """Keys of the images that train from the store's own folder."""
        return self.paths.filter(pa.array(self.written)).to_pylist()


def read_training_labels(store: LabelStore, selection: Selection) -> TrainingLabels:
    """Read the candidates that train something.

    Args:
        store: A complete store.
        selection: Which candidates are kept, with which keypoints. Those whose box is
            empty on its image are left out.

    Raises:
        UserError: If a chunk is missing, damaged or of another store.
    """
    counted_thr = selection.options.counted_thr
    agreement = selection.needs_agreement
    chosen = None
    if selection.needs_all_candidates:
        chosen = selection.above_threshold(
            read_scores(store, counted_thr, agreement).scores
        )
    collected = _Collected(store.num_keypoints)
    for table in store.scan([*COLUMNS, *score_columns(agreement)]):
        scores = table_scores(table, store.num_keypoints, counted_thr, agreement)
        start = collected.num_candidates
        collected.add(
            table,
            scores,
            selection.above_threshold(scores)
            if chosen is None
            else chosen[start : start + len(scores)],
            selection,
        )
    return collected.result()


class _Collected:
    def __init__(self, num_keypoints: int) -> None:
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

    def add(
        self, table: pa.Table, scores: Scores, chosen: np.ndarray, selection: Selection
    ) -> None:
        found = TableCandidates(table, self.num_keypoints)
        counts = candidate_counts(table)
        images = np.repeat(np.arange(len(counts)), counts)
        sizes = np.stack([table[name].to_numpy() for name in ('width', 'height')], 1)
        visible = selection.visible(found.keypoint_scores)
        boxes = _clipped(found.bboxes, sizes[images])
        kept = chosen & visible.any(axis=1)
        rows = np.flatnonzero(kept & (boxes[:, 2:] > boxes[:, :2]).all(axis=1))
        used, position = np.unique(images[rows], return_inverse=True)
        paths = table['path'].combine_chunks().take(pa.array(used))
        notes = table['reason'].combine_chunks().take(pa.array(used))
        scaled = pc.starts_with(notes, SCALED).to_numpy(zero_copy_only=False)
        packed = [is_packed(key) for key in paths.to_pylist()]
        self.paths.append(paths)
        self.written.append(scaled | np.array(packed, dtype=np.bool_))
        self.path_index.append(self.num_paths + position)
        self.image_index.append(self.num_images + images[rows])
        self.bboxes.append(boxes[rows])
        self.keypoints.append(found.keypoints[rows])
        self.visible.append(visible[rows])
        self.category_ids.append(scores.category_ids[rows])
        self.num_paths += len(used)
        self.num_images += len(counts)
        self.num_candidates += len(images)
        self.num_seen += int(visible.any(axis=1).sum())
        self.best = scores.instances.max(initial=self.best)

    def result(self) -> TrainingLabels:
        paths = pa.chunked_array(self.paths, pa.string()).cast(pa.large_string())
        return TrainingLabels(
            paths=paths.combine_chunks(),
            written=self.written.finish(),
            path_index=self.path_index.finish(),
            image_index=self.image_index.finish(),
            bboxes=self.bboxes.finish(),
            keypoints=self.keypoints.finish(),
            visible=self.visible.finish(),
            category_ids=self.category_ids.finish(),
            num_candidates=self.num_candidates,
            num_seen=self.num_seen,
            best_score=float(self.best),
        )


def _clipped(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Boxes (N, 4) within images of sizes (N, 2), as MMPose clips annotated ones."""
    return np.clip(boxes, 0, np.tile(sizes, 2) - 1).astype(np.float32)


def write_kept_images(
    store: LabelStore, selection: Selection, dataset: Callable[[], Any]
) -> int:
    """Write the kept images that stock loaders cannot read below ``frames/``.

    These are frames, members of tars, and images whose pixels were scaled. Those that
    are there stay; an interrupted run goes on. Frames of a video are decoded in their
    order.

    Args:
        store: A complete store.
        selection: Which candidates are kept.
        dataset: Gives the data set that was labeled; called if anything is missing.

    Returns:
        How many were written.

    Raises:
        UserError: If the store is damaged or the disk refuses a file.
    """
    # The list of images is read in no time, the labels of a million are not.
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
        print_log(
            f'{lost} of {len(missing)} kept images of {store.root} cannot be read any '
            'more and are not written',
            logger='current',
            level=logging.WARNING,
        )
    print_log(
        f'{len(missing) - lost} kept images are written below {store.root}/frames',
        logger='current',
    )
    return len(missing) - lost


def _has_scaled(store: LabelStore) -> bool:
    tables = store.scan(['reason'])
    return any(pc.any(pc.starts_with(t['reason'], SCALED)).as_py() for t in tables)
