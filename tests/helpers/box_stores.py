"""Detection stores with random boxes of two categories."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mmdistill.store import ImageRow, LabelStore
from mmdistill.store.manifest import BOX_LABELS
from mmdistill.store.schema import OK, Candidates
from tests.helpers.named_images import NamedImages

COUNTS = (5, 0, 4, 6, 3, 7)
"""Boxes of each image."""
IMAGES = len(COUNTS)
SIZE = 64
CATEGORIES = dict(square=7, bar=3)
CHUNK = 4


def drawn_boxes(rng: np.random.Generator, count: int) -> Candidates:
    """Random boxes with scores and agreement, best first."""
    low = rng.uniform(0, 40, (count, 2))
    bboxes = np.concatenate([low, low + rng.uniform(4, 24, (count, 2))], axis=1)
    scores = np.sort(rng.uniform(0.05, 1, count))[::-1].astype(np.float32)
    none = np.zeros((count, 0), np.float32)
    return Candidates(
        bboxes=np.minimum(bboxes, SIZE).astype(np.float32),
        bbox_scores=scores,
        keypoints=np.zeros((count, 0, 2), np.float32),
        keypoint_scores=none,
        keypoint_agreement=none,
        instance_scores=scores,
        category_ids=rng.choice([3, 7], count).astype(np.int32),
        bbox_agreement=rng.uniform(0, 1, count).astype(np.float32),
    )


def write_box_store(
    root: Path,
    counts: Sequence[int] = COUNTS,
    views: bool = True,
    images: bool = False,
    **detector: Any,
) -> LabelStore:
    """Write a store, made of several views or not, with images beside it or without."""
    rng = np.random.default_rng(0)
    paths = [f'{number}.png' for number in range(len(counts))]
    rows = [
        ImageRow(path, SIZE, SIZE, OK, '', drawn_boxes(rng, count))
        for path, count in zip(paths, counts, strict=True)
    ]
    detector = {'categories': CATEGORIES, **detector}
    if views:
        detector['views'] = dict(flip=True)
    about = dict(img_root=str(root.parent))
    made = dict(about=about, detector=detector, keypoints=[], chunk_size=CHUNK)
    store = LabelStore(root, BOX_LABELS)
    store.claim(made, NamedImages(paths))
    for chunk, start in enumerate(range(0, len(rows), CHUNK)):
        store.write_chunk(chunk, rows[start : start + CHUNK])
    for path in paths if images else ():
        pixels = rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8)
        cv2.imwrite(str(root.parent / path), pixels)
    return store
