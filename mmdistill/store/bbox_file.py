"""Boxes of a detection store in MMPose's `bbox_file` form, which COCO's tools read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from mmdistill.store.schema import table_to_labels
from mmdistill.store.store import LabelStore
from mmdistill.utils.files import shortest, write_whole, xywh


def write_boxes(store: LabelStore, names: Mapping[str, int | str], path: Path) -> int:
    """Write a list of {image_id, category_id, bbox (xywh), score}, a line each.

    Read again, it is the boxes of the store to the last bit.

    Args:
        store: A complete detection store.
        names: What the file calls each image, by its path; others are left out.
        path: The json to write, whole or not at all.

    Returns:
        How many boxes were written.

    Raises:
        UserError: If the store is not complete or the disk refuses the file.
    """
    count = 0

    def write(part: Path) -> None:
        nonlocal count
        with part.open('w', encoding='utf-8', errors='backslashreplace') as file:
            for line in _lines(store, names):
                file.write((',' if count else '[') + f'\n{line}')
                count += 1
            file.write('\n]\n' if count else '[]\n')

    write_whole(path, write)
    return count


def _lines(store: LabelStore, names: Mapping[str, int | str]) -> Iterator[str]:
    for table in store.scan():
        labels = table_to_labels(table, store.num_keypoints)
        paths, found = labels.paths.to_pylist(), labels.candidates
        columns = (
            labels.image_index.tolist(),
            found.category_ids.tolist(),
            xywh(found.bboxes).tolist(),
            shortest(found.bbox_scores).tolist(),
        )
        for image, category, bbox, score in zip(*columns, strict=True):
            if paths[image] in names:
                entry = dict(
                    image_id=names[paths[image]],
                    category_id=category,
                    bbox=bbox,
                    score=score,
                )
                yield json.dumps(entry, ensure_ascii=False)
