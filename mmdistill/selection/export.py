"""Export of labels as COCO json, for pycocotools, MMPose and annotation tools.

Kept labels are restored from the json without loss: boxes, visible keypoints, scores
and agreement, to the last bit of float32. A json that was corrected by hand is
labeled data like any other: use it as the `ann_file` of MMPose's `CocoDataset`, with
the folder named in the log as its image root.

Rejected candidates are in a json of their own, since many readers take all annotations
of a json as ground truth. There they have ``ignore`` and ``iscrowd`` 1: evaluations do
not count them, and training leaves them out.

Categories are those of the labeled set where it has some.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mmdistill.functional.ranking import instance_agreement
from mmdistill.functional.scoring import AREA_OF_BOX
from mmdistill.selection.selection import Selection
from mmdistill.store.manifest import identity
from mmdistill.store.schema import StoredLabels
from mmdistill.store.store import LabelStore
from mmdistill.utils.files import shortest, write_whole, xywh

BLOCK = 4096
"""Number of candidates that are converted to text at once."""


@dataclass(frozen=True)
class ExportOptions:
    """Options of an export.

    Attributes:
        rejected: Whether rejected candidates are written too, into a second json.
        details: Whether the score and agreement of each keypoint are written.
        most_disagreed: Number of images to export, those whose views disagree most
            about a kept label, the worst first; all images in their order when None.

    >>> ExportOptions(most_disagreed=20)
    ExportOptions(rejected=False, details=True, most_disagreed=20)
    """

    rejected: bool = False
    details: bool = True
    most_disagreed: int | None = None


FilesOf = Callable[[StoredLabels, np.ndarray], Mapping[str, str]]
"""Function that maps the keys of images, given by index, to their files."""


def unchanged(labels: StoredLabels, images: np.ndarray) -> dict[str, str]:
    """Return the files of images whose keys are paths.

    Args:
        labels: All rows of a store.
        images: Indices of the images, (n,).

    >>> unchanged(store.read(), np.array([0, 2]))
    {'a.jpg': 'a.jpg', 'c.jpg': 'c.jpg'}
    """
    keys = labels.paths.combine_chunks().take(pa.array(images)).to_pylist()
    return dict(zip(keys, keys, strict=True))


@dataclass(frozen=True)
class Surroundings:
    """Context of an export: categories, ids and files that it adopts.

    Attributes:
        categories: Categories of the labeled set, as in its COCO json.
        image_ids: Existing ids of images, by their keys.
        files_of: Function that returns the files of images. An image without one is
            left out.

    >>> Surroundings(image_ids={'a.jpg': 17}).categories
    ()
    """

    categories: Sequence[Mapping[str, Any]] = ()
    image_ids: Mapping[str, int] = field(default_factory=dict)
    files_of: FilesOf = unchanged


def rejected_path(path: Path) -> Path:
    """Path of the json of the rejected candidates.

    Args:
        path: Path of the json of the labels.

    >>> rejected_path(Path('out/labels.json')).as_posix()
    'out/labels.rejected.json'
    """
    return path.with_name(f'{path.stem}.rejected{path.suffix}')


def export_coco(
    store: LabelStore,
    selection: Selection,
    path: Path,
    category: str,
    skeleton: Sequence[Sequence[int]] = (),
    options: ExportOptions | None = None,
    surroundings: Surroundings | None = None,
) -> None:
    """Write the selected candidates as COCO annotations, of keypoints or of boxes.

    Images that have no id are numbered in the store's order; those without instances
    are listed, those that could not be read are not. A keypoint is (x, y, 2) when it
    is visible and on its image, else (0, 0, 0). The segmentation is the rectangle of
    the box on the image. The area is that of a person in such a box, as MMPose has it;
    of a box without keypoints its own. Each annotation has its score; `info` holds the
    provenance.

    Args:
        store: A complete store.
        selection: The selection.
        path: The json to write, whole or not at all.
        category: Name of the category where the labeled set has none; where the
            detections have several, each is named by it and its id.
        skeleton: Pairs of keypoints, counted from 1.
        options: Options of the export.
        surroundings: Categories, ids and files that are adopted.

    Raises:
        UserError: If the store is not complete or the disk refuses the file.

    >>> export_coco(store, selection, Path('labels.json'), category='person')
    >>> content = json.loads(Path('labels.json').read_text())
    >>> [(one['image_id'], one['score']) for one in content['annotations']]
    [(1, 0.875), (2, 0.75)]
    """
    options = options or ExportOptions()
    around = surroundings or Surroundings()
    labels = store.read()
    kept = selection.kept(labels.candidates, labels.candidate_sources)
    images = _images(labels, selection, kept, options)
    files = around.files_of(labels, images)
    names = labels.paths.combine_chunks()
    images = images[[names[image].as_py() in files for image in images.tolist()]]
    categories = exported_categories(
        np.unique(labels.candidates.category_ids).tolist(),
        around.categories,
        category,
        store.manifest['keypoints'],
        skeleton,
    )
    export = _Export(labels, selection, options, categories, images, around, files)
    info = _info(store, selection)
    _write_json(path, export, info, kept, ignored=0)
    if options.rejected:
        info = dict(info, description='rejected candidates of mmdistill')
        _write_json(rejected_path(path), export, info, ~kept, ignored=1)


def disagreement(
    labels: StoredLabels, kept: np.ndarray, selection: Selection
) -> np.ndarray:
    """Compute the disagreement of the views on each image's worst kept label, 0 to 1.

    Args:
        labels: All rows of a store.
        kept: Mask of the kept candidates, (M,), bool.
        selection: The selection, which decides their visible keypoints.

    Returns:
        1 minus the mean agreement of the visible keypoints of the label with the
        lowest; -1 for images without a kept label, (I,).

    >>> labels = store.read()
    >>> disagreement(labels, selection.kept(labels.candidates), selection).tolist()
    [0.5, 0.5, -1.0]
    """
    candidates = labels.candidates[np.flatnonzero(kept)]
    agreement = candidates.bbox_agreement
    if not selection.of_boxes:
        visible = selection.visible(candidates.keypoint_scores)
        agreement = instance_agreement(candidates.keypoint_agreement, visible)
    worst = np.full(len(labels.sizes), -1.0)
    np.maximum.at(worst, labels.image_index[kept], 1 - agreement)
    return worst


@dataclass(frozen=True)
class Categories:
    """Categories of an export.

    Attributes:
        entries: Entries of a COCO json, ordered by id.
        numbers: Id in the export of each category of the store.

    >>> Categories([dict(id=3, name='fly')], numbers={1: 3}).numbers[1]
    3
    """

    entries: list[dict[str, Any]]
    numbers: dict[int, int]


def exported_categories(
    stored: Collection[int],
    labeled: Sequence[Mapping[str, Any]],
    name: str,
    keypoints: Sequence[str],
    skeleton: Sequence[Sequence[int]],
) -> Categories:
    """Name the categories of a store as the labeled set does.

    Where the labeled set has one category, all labels have it, as they were counted.
    Of several each keeps its id; one that the labeled set does not have is named by
    its id.

    Args:
        stored: Categories of the candidates.
        labeled: Categories of the labeled set, as in its COCO json; may be empty.
        name: Name of the category where the labeled set has none.
        keypoints: Names of the keypoints.
        skeleton: Pairs of keypoints, counted from 1.

    >>> exported_categories([1], [dict(id=3, name='fly')], '', ['head'], []).numbers
    {1: 3}
    >>> entries = exported_categories([1, 2], [], 'a', [], []).entries
    >>> [entry['name'] for entry in entries]
    ['a 1', 'a 2']
    """
    known = {entry['id']: dict(entry) for entry in labeled}
    numbers = {number: number for number in sorted(stored)}
    if len(known) == 1:
        numbers = dict.fromkeys(numbers, next(iter(known)))
    elif known:
        for number in numbers.keys() - known.keys():
            known[number] = dict(id=number, name=f'category {number}')
    elif len(numbers) > 1:
        known = {n: dict(id=n, name=f'{name} {n}') for n in numbers}
    else:
        number = next(iter(numbers), 1)
        known = {number: dict(id=number, name=name)}
    links = [list(pair) for pair in skeleton]
    entries = []
    for _, entry in sorted(known.items()):
        differs = entry.get('keypoints') != list(keypoints) or 'skeleton' not in entry
        if keypoints and differs:
            entry |= dict(keypoints=list(keypoints), skeleton=links)
        entries.append({'supercategory': entry['name'], **entry})
    return Categories(entries, numbers)


@dataclass(frozen=True)
class _Export:
    """Values shared by the jsons of one export."""

    labels: StoredLabels
    selection: Selection
    options: ExportOptions
    categories: Categories
    images: np.ndarray
    around: Surroundings
    files: Mapping[str, str]


def _write_json(
    path: Path, export: _Export, info: dict[str, Any], wanted: np.ndarray, ignored: int
) -> None:
    ids = _image_ids(export)
    sections: tuple[tuple[str, Any], ...] = (
        ('info', info),
        ('licenses', []),
        ('categories', export.categories.entries),
        ('images', _image_entries(export, ids)),
        ('annotations', _annotations(export, ids, wanted, ignored)),
    )
    write_whole(path, lambda partial: _write(partial, sections))


def _images(
    labels: StoredLabels,
    selection: Selection,
    kept: np.ndarray,
    options: ExportOptions,
) -> np.ndarray:
    """Indices of the images to export, in their order."""
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
        version='1.0',
        contributor='mmdistill',
        store=store.digest(),
        made_by=identity(manifest),
        images=manifest['images']['count'],
        selection=dict(
            rule=selection.rule,
            by=selection.options.criterion,
            thresholds=[asdict(threshold) for threshold in selection.thresholds],
            keypoint_thrs=list(selection.keypoint_thrs),
        ),
    )


def _image_ids(export: _Export) -> dict[int, int]:
    """Id of each exported image, by its index in the store."""
    own = export.around.image_ids
    # Images without an id are numbered after all existing ids.
    first = max(own.values(), default=0) + 1
    names = export.labels.paths.combine_chunks()
    return {
        image: own.get(names[image].as_py(), first + image)
        for image in export.images.tolist()
    }


def _image_entries(export: _Export, ids: Mapping[int, int]) -> Iterator[dict[str, Any]]:
    labels = export.labels
    paths = labels.paths.combine_chunks()
    for number, own in ids.items():
        width, height = labels.sizes[number].tolist()
        key = paths[number].as_py()
        name = export.files[key]
        source = labels.sources.names[labels.sources.index[number]]
        entry = dict(id=own, file_name=name, width=width, height=height, source=source)
        yield entry if name == key else dict(entry, key=key)


def _annotations(
    export: _Export, ids: Mapping[int, int], wanted: np.ndarray, ignored: int
) -> Iterator[dict[str, Any]]:
    """Annotations, image by image; their ids are the candidates', counted from 1."""
    labels = export.labels
    starts = np.searchsorted(labels.image_index, np.arange(len(labels.sizes) + 1))
    rows = [np.arange(starts[image], starts[image + 1]) for image in export.images]
    chosen = np.concatenate([np.zeros(0, dtype=np.int64), *rows])
    chosen = chosen[wanted[chosen]]
    for start in range(0, len(chosen), BLOCK):
        block = chosen[start : start + BLOCK]
        entries = _block(export, block)
        for row, entry in zip(block.tolist(), entries, strict=True):
            yield dict(
                dict(id=row + 1, image_id=ids[int(labels.image_index[row])]),
                iscrowd=ignored,
                ignore=ignored,
                **entry,
            )


def _block(export: _Export, rows: np.ndarray) -> Iterator[dict[str, Any]]:
    if export.selection.of_boxes:
        return _box_block(export, rows)
    labels, candidates = export.labels, export.labels.candidates[rows]
    sizes = labels.sizes[labels.image_index[rows]]
    points = shortest(candidates.keypoints)
    # Annotators do not label points outside of the image.
    visible = export.selection.visible(candidates.keypoint_scores)
    visible &= ((points >= 0) & (points < sizes[:, None])).all(axis=2)
    bbox = xywh(candidates.bboxes)
    keypoints = np.concatenate([points, np.full((*visible.shape, 1), 2.0)], axis=2)
    keypoints[~visible] = 0
    numbers = export.categories.numbers
    columns = dict(
        category_id=np.array([numbers[n] for n in candidates.category_ids.tolist()]),
        bbox=bbox,
        area=(bbox[:, 2:].prod(axis=1) * AREA_OF_BOX).round(4),
        segmentation=_rectangles(candidates.bboxes, sizes),
        num_keypoints=visible.sum(axis=1),
        keypoints=keypoints.reshape(len(visible), -1),
        score=shortest(candidates.instance_scores),
    )
    if export.options.details:
        columns.update(
            bbox_score=shortest(candidates.bbox_scores),
            keypoint_scores=shortest(candidates.keypoint_scores),
            keypoint_agreement=shortest(candidates.keypoint_agreement),
        )
    return _entries(columns)


def _box_block(export: _Export, rows: np.ndarray) -> Iterator[dict[str, Any]]:
    """Annotations of boxes, which have no keypoints."""
    labels, candidates = export.labels, export.labels.candidates[rows]
    bbox, numbers = xywh(candidates.bboxes), export.categories.numbers
    columns = dict(
        category_id=np.array([numbers[n] for n in candidates.category_ids.tolist()]),
        bbox=bbox,
        area=bbox[:, 2:].prod(axis=1).round(4),
        segmentation=_rectangles(
            candidates.bboxes, labels.sizes[labels.image_index[rows]]
        ),
        score=shortest(candidates.instance_scores),
    )
    if export.options.details:
        columns['bbox_agreement'] = shortest(candidates.bbox_agreement)
    return _entries(columns)


def _entries(columns: Mapping[str, np.ndarray]) -> Iterator[dict[str, Any]]:
    values = [column.tolist() for column in columns.values()]
    return (dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True))


def _rectangles(bboxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Convert boxes, clipped to their images, to polygons, (N, 1, 8)."""
    corners = np.clip(shortest(bboxes), 0, np.tile(sizes, 2))
    return corners[:, [0, 1, 2, 1, 2, 3, 0, 3]][:, None]


def _write(path: Path, sections: Sequence[tuple[str, Any]]) -> None:
    """Write a JSON object whose lists are streamed line by line."""
    with path.open('w', encoding='utf-8', errors='backslashreplace') as file:
        for number, (name, content) in enumerate(sections):
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
