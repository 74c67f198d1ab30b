"""Selected labels as COCO json, for xtcocotools and for annotation tools."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmdistill.functional.scoring import AREA_OF_BOX
from mmdistill.labels.columns import Candidates
from mmdistill.labels.files import write_json
from mmdistill.labels.selection import Selection
from mmdistill.labels.store import LabelStore


def export_coco(
    store: LabelStore,
    selection: Selection,
    path: Path,
    category: str,
    skeleton: Sequence[Sequence[int]] = (),
) -> None:
    """Write the selected candidates as COCO keypoint annotations.

    Images keep their order and are numbered from 1; those without instances are
    listed, those that could not be read are not. A keypoint is (x, y, 2) when
    visible, else (0, 0, 0). Each annotation keeps its score.

    Args:
        store: A complete store.
        selection: What to keep.
        path: The json to write, whole or not at all.
        category: Name of the one category.
        skeleton: Pairs of keypoints, counted from 1.

    Raises:
        UserError: If the store is not complete or the disk refuses the file.
    """
    labels = store.read()
    rows = np.flatnonzero(selection.kept(labels.candidates))
    images = [
        dict(id=i + 1, file_name=name, width=int(width), height=int(height))
        for i, (name, (width, height), failure) in enumerate(
            zip(labels.paths.to_pylist(), labels.sizes, labels.failures, strict=True)
        )
        if failure is None
    ]
    annotations = [
        _annotation(number + 1, int(labels.image_index[row]) + 1, candidate, selection)
        for number, row in enumerate(rows)
        for candidate in [labels.candidates[row]]
    ]
    names = store.manifest['keypoints']
    categories = [
        dict(id=1, name=category, keypoints=names, skeleton=[list(s) for s in skeleton])
    ]
    write_json(
        path, dict(images=images, annotations=annotations, categories=categories)
    )


def _annotation(
    number: int, image: int, candidate: Candidates, selection: Selection
) -> dict[str, Any]:
    x1, y1, x2, y2 = (float(side) for side in candidate.bboxes)
    visible = candidate.keypoint_scores > selection.keypoint_thr
    keypoints = np.column_stack([candidate.keypoints, np.full(len(visible), 2.0)])
    keypoints[~visible] = 0
    return dict(
        id=number,
        image_id=image,
        category_id=1,
        bbox=[x1, y1, x2 - x1, y2 - y1],
        area=(x2 - x1) * (y2 - y1) * AREA_OF_BOX,
        iscrowd=0,
        num_keypoints=int(visible.sum()),
        keypoints=keypoints.reshape(-1).round(4).tolist(),
        score=float(candidate.instance_scores),
    )
