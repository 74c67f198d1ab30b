"""Labels as COCO json: for xtcocotools, pycocotools, MMPose and annotation tools.

What is kept comes back from the json without loss: boxes, visible keypoints, scores
and agreement, to the last bit of float32. A json that was corrected by hand is
labelled data like any other: give it to MMPose's `CocoDataset` as its `ann_file`.
Rejected labels in it have ``ignore`` and ``iscrowd`` 1: evaluations do not count
them, and training leaves them out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmdistill.functional.ranking import instance_agreement
from mmdistill.functional.scoring import AREA_OF_BOX
from mmdistill.labels.columns import Candidates, StoredLabels
from mmdistill.labels.files import write_whole
from mmdistill.labels.json_numbers import shortest, xywh
from mmdistill.labels.manifest import identity
from mmdistill.labels.selection import Selection
from mmdistill.labels.store import LabelStore

BLOCK = 4096
"""Candidates that are turned into text at once."""


@dataclass(frozen=True)
class ExportOptions:
    """What an export holds besides the kept labels.

    Attributes:
        rejected: Whether rejected candidates are in it, to be ignored.
        details: Whether each keypoint's score and agreement are in it.
        most_disagreed: Only so many images, those whose views disagree most about a
            kept label, first the worst; all images in their order when None.
    """

    rejected: bool = False
    details: bool = True
    most_disagreed: int | None = None


def export_coco(
    store: LabelStore,
    selection: Selection,
    path: Path,
    category: str,
    skeleton: Sequence[Sequence[int]] = (),
    options: ExportOptions | None = None,
) -> None:
    """Write the selected candidates as COCO keypoint annotations.

    Images are numbered from 1 in the store's order; those without instances are
    listed, those that could not be read are not. A keypoint is (x, y, 2) when
    visible, else (0, 0, 0). Each annotation has its score, `info` what made it.

    Args:
        store: A complete store.
        selection: What to keep.
        path: The json to write, whole or not at all.
        category: Name of the category; where the detections have several, each is
            named by it and its number.
        skeleton: Pairs of keypoints, counted from 1.
        options: What else it holds.

    Raises:
        UserError: If the store is not complete or the disk refuses the file.
    """
    options = options or ExportOptions()
    manifest = store.manifest
    labels = store.read()
    kept = selection.kept(labels.candidates, labels.candidate_sources)
    images = _images(labels, selection, kept, options)
    links = [list(pair) for pair in skeleton]
    categories = [
        dict(id=number, name=name, keypoints=manifest['keypoints'], skeleton=links)
        for number, name in _categories(labels.candidates, category)
    ]
    parts = (
        ('info', _info(store, selection)),
        ('categories', categories),
        ('images', _image_entries(labels, images)),
        ('annotations', _annotations(labels, images, kept, selection, options)),
    )
    write_whole(path, lambda part: _write(part, parts))


def disagreement(
    labels: StoredLabels, kept: np.ndarray, selection: Selection
) -> np.ndarray:
    """How far the views disagree on each image's worst kept label, 0 to 1.

    Args:
        labels: All rows of a store.
        kept: Which candidates are kept, (M,), bool.
        selection: Which of their keypoints are visible.

    Returns:
        1 minus the mean agreement of the visible keypoints of the label that has the
        lowest; -1 for images without a kept label, (I,).
    """
    candidates = labels.candidates[np.flatnonzero(kept)]
    visible = selection.visible(candidates.keypoint_scores)
    agreement = instance_agreement(candidates.keypoint_agreement, visible)
    worst = np.full(len(labels.sizes), -1.0)
    np.maximum.at(worst, labels.image_index[kept], 1 - agreement)
    return worst


def _images(
    labels: StoredLabels,
    selection: Selection,
    kept: np.ndarray,
    options: ExportOptions,
) -> np.ndarray:
    """Numbers of the images to export, in their order."""
    read = np.array([failure is None for failure in labels.failures], dtype=bool)
    if options.most_disagreed is None:
        return np.flatnonzero(read)
    worst = disagreement(labels, kept, selection)
    order = np.argsort(-worst, kind='stable')
    return order[worst[order] >= 0][: options.most_disagreed]


def _info(store: LabelStore, selection: Selection) -> dict[str, Any]:
    manifest = store.manifest
    return dict(
        description='pseudo-labels of mmdistill',
        store=store.digest(),
        made_by=identity(manifest),
        images=manifest['images']['count'],
        selection=dict(
            rule=selection.rule,
            by=selection.options.by,
            thresholds=[asdict(threshold) for threshold in selection.thresholds],
            keypoint_thrs=list(selection.keypoint_thrs),
        ),
    )


def _categories(candidates: Candidates, name: str) -> list[tuple[int, str]]:
    """Number and name of each category."""
    numbers = np.unique(candidates.category_ids).tolist() or [1]
    if len(numbers) == 1:
        return [(numbers[0], name)]
    return [(number, f'{name} {number}') for number in numbers]


def _image_entries(
    labels: StoredLabels, images: np.ndarray
) -> Iterator[dict[str, Any]]:
    paths = labels.paths.combine_chunks()
    for number in images.tolist():
        width, height = labels.sizes[number].tolist()
        name = paths[number].as_py()
        source = labels.sources.names[labels.sources.index[number]]
        yield dict(
            dict(id=number + 1, file_name=name, width=width, height=height),
            source=source,
        )


def _annotations(
    labels: StoredLabels,
    images: np.ndarray,
    kept: np.ndarray,
    selection: Selection,
    options: ExportOptions,
) -> Iterator[dict[str, Any]]:
    """Annotations, image by image; their ids are the candidates', counted from 1."""
    starts = np.searchsorted(labels.image_index, np.arange(len(labels.sizes) + 1))
    wanted = np.ones_like(kept) if options.rejected else kept
    rows = [np.arange(starts[image], starts[image + 1]) for image in images]
    chosen = np.concatenate([np.zeros(0, dtype=np.int64), *rows])
    chosen = chosen[wanted[chosen]]
    for start in range(0, len(chosen), BLOCK):
        block = chosen[start : start + BLOCK]
        entries = _block(labels.candidates[block], selection, options)
        for row, entry in zip(block.tolist(), entries, strict=True):
            ignored = int(not kept[row])
            image = int(labels.image_index[row]) + 1
            yield dict(
                dict(id=row + 1, image_id=image),
                iscrowd=ignored,
                ignore=ignored,
                **entry,
            )


def _block(
    candidates: Candidates, selection: Selection, options: ExportOptions
) -> Iterator[dict[str, Any]]:
    visible = selection.visible(candidates.keypoint_scores)
    bbox = xywh(candidates.bboxes)
    points = shortest(candidates.keypoints)
    keypoints = np.concatenate([points, np.full((*visible.shape, 1), 2.0)], axis=2)
    keypoints[~visible] = 0
    columns = dict(
        category_id=candidates.category_ids,
        bbox=bbox,
        area=(bbox[:, 2:].prod(axis=1) * AREA_OF_BOX).round(4),
        num_keypoints=visible.sum(axis=1),
        keypoints=keypoints.reshape(len(visible), -1),
        score=shortest(candidates.instance_scores),
    )
    if options.details:
        columns.update(
            bbox_score=shortest(candidates.bbox_scores),
            keypoint_scores=shortest(candidates.keypoint_scores),
            keypoint_agreement=shortest(candidates.keypoint_agreement),
        )
    values = [column.tolist() for column in columns.values()]
    return (dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True))


def _write(path: Path, parts: Sequence[tuple[str, Any]]) -> None:
    """An object whose lists are written line by line as they come."""
    with path.open('w', encoding='utf-8', errors='backslashreplace') as file:
        for number, (name, content) in enumerate(parts):
            file.write(f'{"," if number else "{"}\n"{name}": ')
            if isinstance(content, dict):
                file.write(_text(content))
                continue
            separator = '['
            for entry in content:
                file.write(f'{separator}\n{_text(entry)}')
                separator = ','
            file.write('[]' if separator == '[' else '\n]')
        file.write('\n}\n')


def _text(content: dict[str, Any]) -> str:
    return json.dumps(
        content, ensure_ascii=False, allow_nan=False, separators=(',', ':')
    )
