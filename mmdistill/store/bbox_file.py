"""Boxes of a detection store in MMPose's `bbox_file` format, which is COCO's."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from mmdistill.store.schema import table_to_labels
from mmdistill.store.store import LabelStore
from mmdistill.utils.files import shortest, write_whole, xywh


def write_boxes(store: LabelStore, names: Mapping[str, int | str], path: Path) -> int:
    """Write boxes as a list of {image_id, category_id, bbox (xywh), score}.

    Each box is one line, and is restored to the last bit.

    Args:
        store: A complete detection store.
        names: Id of each image in the file, by its path; other images are left out.
        path: The json to write, whole or not at all.

    Returns:
        The number of boxes written.

    Raises:
        UserError: If the store is not complete or the disk refuses the file.
    """
    count = 0

    def write(temporary: Path) -> None:
        nonlocal count
        with temporary.open('w', encoding='utf-8', errors='backslashreplace') as file:
            for line in _lines(store, names):
                file.write((',' if count else '[') + f'\n{line}')
                count += 1
            file.write('\n]\n' if count else '[]\n')

    write_whole(path, write)
    return count


def _lines(store: LabelStore, names: Mapping[str, int | str]) -> Iterator[str]:
    """Encode each box as a line of JSON."""
    for table in store.scan():
        labels = table_to_labels(table, store.num_keypoints)
        paths, boxes = labels.paths.to_pylist(), labels.candidates
        columns = (
            labels.image_index.tolist(),
            boxes.category_ids.tolist(),
            xywh(boxes.bboxes).tolist(),
            shortest(boxes.bbox_scores).tolist(),
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
