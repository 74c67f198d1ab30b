"""Strict reading of COCO jsons with keypoint annotations.

MMPose believes a json: if annotations share an id, all images get the points of the
last one; keypoints in another order than the config's are trained in that order; an
instance whose box has no extent is dropped without a message. Here a file is read
once, before anything else: valid output of labeling tools is normalized to the form
that MMPose reads, contradictions are refused, and annotations that will not train are
counted by reason.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmdistill.datasets.coco.categories import check_categories
from mmdistill.datasets.coco.coordinates import check_coordinates
from mmdistill.datasets.coco.ids import count_without_number, number_ids
from mmdistill.datasets.coco.values import (
    OTHER_NUMBER,
    parse_keypoints,
    plain_numbers,
)
from mmdistill.errors import DataError, shortened
from mmdistill.functional.boxes import (
    Size,
    box_of_points,
    has_extent,
    is_number,
)
from mmdistill.utils.files import read_json

SizeOf = Callable[[str], Size | None]
"""Width and height of an image by its `file_name`; None if it cannot be read."""

MAX_LISTED = 3
"""Maximum number of annotations named for each reason."""
UNKNOWN_SIDE = 2**15
"""Side assumed for an image of unknown size."""
AREA_OF_BOX = 0.53
"""Share of its box that a person covers: MMPose's default for the area."""

RENUMBERED = 'annotations renumbered'


@dataclass
class CocoAnnotations:
    """Content of a COCO json as training reads it.

    Attributes:
        path: The file.
        content: Its normalized content, in the form that MMPose reads.
        total: Annotations in the file.
        trained: Number of annotations that are trained on.
        rejected: Ids of the others, by reason.
        changes: Number of normalizations of each kind, by description.
        doubts: Sentences about values that may be wrong and are used unchanged.
    """

    path: Path
    content: dict[str, Any]
    total: int = 0
    trained: int = 0
    rejected: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    changes: Counter[str] = field(default_factory=Counter)
    doubts: dict[str, None] = field(default_factory=dict)

    def summary(self, verb: str = 'train') -> str:
        """Summarize in one sentence how many annotations train and what was changed.

        Args:
            verb: Verb for the annotations that are used.
        """
        count = f'{self.trained} of {self.total} annotations {verb}'
        return f'{self.path}: {count}{self._reasons}'

    @property
    def notes(self) -> str:
        """One sentence about rejected annotations and normalizations."""
        return f'{self.path}: {self.total} annotations{self._reasons}'

    @property
    def _reasons(self) -> str:
        text = ''
        for reason, ids in self.rejected.items():
            listed = ', '.join(map(str, ids[:MAX_LISTED])) + (
                ', …' * (len(ids) > MAX_LISTED)
            )
            text += f'; {len(ids)} {reason} (id {listed})'
        if self.changes:
            counted = (f'{count} {words}' for words, count in self.changes.items())
            text += f'; normalized: {", ".join(counted)}'
        for doubt in self.doubts:
            text += f'; {doubt}'
        return text


def read_annotations(
    path: Path, keypoint_names: Sequence[str], size_of: SizeOf | None = None
) -> CocoAnnotations:
    """Read a COCO json with keypoints.

    Args:
        path: The file.
        keypoint_names: Keypoint names of the config, in order, (K,).
        size_of: Function that reads the size of an image the json gives none for.

    Raises:
        UserError: If the file is not a COCO json, names an image twice or keypoints
            in another order than the config, or gives all of its annotations another
            number of keypoints.
    """
    json_file = read_structure(path)
    others, doubts = check_categories(path, json_file.content, keypoint_names)
    json_file.doubts.update(dict.fromkeys(doubts))
    _drop_other_categories(json_file, others)
    sizes = _normalize_sizes(json_file, size_of)
    _normalize_annotations(json_file, len(keypoint_names), sizes)
    return json_file


def read_structure(path: Path) -> CocoAnnotations:
    """Read a COCO json and normalize its ids and file names.

    Args:
        path: The file; boxes and keypoints of its annotations are not changed.

    Raises:
        UserError: If the file is not a COCO json, or names an image twice.
    """
    content = read_json(path, 'the annotations')
    if not isinstance(content, dict):
        raise DataError(
            f'the annotations {path} must be a COCO json, a dict with images and '
            f'annotations, got a {type(content).__name__}'
        )
    json_file = CocoAnnotations(path, dict(content))
    for key in ('images', 'annotations', 'categories'):
        json_file.content[key] = _dicts(path, content, key)
    for key in ('images', 'categories'):
        _drop_repeated(json_file, key)
    json_file.total = len(json_file.content['annotations'])
    _normalize_ids(json_file)
    _check_file_names(json_file)
    return json_file


def _dicts(path: Path, content: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """Copy a list of dicts of the json, one level deep."""
    if content.get(key) is None and key != 'images':
        return []
    entries = content.get(key)
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise DataError(
            f'{key} of the annotations {path} must be a list of dicts, got '
            f'{shortened(entries)}'
        )
    return [dict(entry) for entry in entries]


def _drop_repeated(json_file: CocoAnnotations, key: str) -> None:
    """Drop repeated identical entries, as merged files have them."""
    entries, kept = json_file.content[key], dict[str, dict[str, Any]]()
    if not all(entry.get('file_name') or entry.get('name') for entry in entries):
        return  # Missing names are refused later.
    for entry in entries:
        kept.setdefault(json.dumps(entry, sort_keys=True), entry)
    if len(kept) < len(entries):
        json_file.changes[f'{key} listed twice'] += len(entries) - len(kept)
        json_file.content[key] = list(kept.values())


def _normalize_ids(json_file: CocoAnnotations) -> None:
    images, annotations = json_file.content['images'], json_file.content['annotations']
    categories = json_file.content['categories']
    where = f'the annotations {json_file.path}'
    repeated = count_without_number(annotations)
    if repeated:
        # Nothing refers to an annotation, so a new number does no harm.
        json_file.changes[f'{RENUMBERED} (ids absent or repeated)'] += repeated
        for number, annotation in enumerate(annotations, 1):
            annotation['id'] = number
    for images_or_categories, key in ((images, 'image'), (categories, 'category')):
        ids = number_ids(f'{where} give', key, images_or_categories)
        changed = sum(
            ids.number(entry['id']) != entry['id'] or type(entry['id']) is not int
            for entry in images_or_categories
        )
        json_file.changes[f'{key} ids made numbers'] += changed
        for entry in images_or_categories:
            entry['id'] = ids.number(entry['id'])
        _replace_ids(json_file, annotations, f'{key}_id', ids)
    json_file.changes += Counter()  # drops zero counts


def _replace_ids(
    json_file: CocoAnnotations, annotations: list[dict[str, Any]], key: str, ids: Any
) -> None:
    """Replace image or category ids of annotations by their numbers."""
    kept = []
    for annotation in annotations:
        number = ids.number(annotation.get(key))
        if number is None and key == 'category_id':
            number = _only_category(json_file, annotation.get(key))
        if number is None:
            json_file.rejected['name an image that is not listed'].append(
                annotation.get('id')
            )
            continue
        annotation[key] = number
        kept.append(annotation)
    annotations[:] = kept


def _only_category(json_file: CocoAnnotations, category_id: Any) -> int:
    """Category of an annotation whose `category_id` is not listed."""
    categories = json_file.content['categories']
    if type(category_id) is int:
        return category_id
    if len(categories) > 1:
        raise DataError(
            f'an annotation of {json_file.path} has category_id '
            f'{shortened(category_id)}, which is none of '
            f'{[category["id"] for category in categories]}'
        )
    json_file.changes['annotations given the only category'] += 1
    return categories[0]['id'] if categories else 1


def _drop_other_categories(json_file: CocoAnnotations, others: frozenset[int]) -> None:
    """Drop instances of categories that have other keypoints than the config."""
    kept = []
    for annotation in json_file.content['annotations']:
        if annotation['category_id'] in others:
            json_file.rejected[OTHER_KEYPOINTS].append(annotation['id'])
        else:
            kept.append(annotation)
    json_file.content['annotations'] = kept


def _check_file_names(json_file: CocoAnnotations) -> None:
    counts: Counter[str] = Counter()
    for image in json_file.content['images']:
        name = image.get('file_name')
        if not isinstance(name, str) or not name or '\0' in name:
            raise DataError(
                f'image {image["id"]} of the annotations {json_file.path} must have a '
                f'file_name, got {shortened(name)}'
            )
        counts[name] += 1
    repeated = sum(count > 1 for count in counts.values())
    if repeated:
        json_file.changes['files listed as several images, each counted'] += repeated


def _normalize_sizes(
    json_file: CocoAnnotations, size_of: SizeOf | None
) -> dict[int, Size]:
    """Complete missing image sizes from the images; return all sizes by id."""
    sizes, unknown = {}, []
    for image in json_file.content['images']:
        size = _listed_size(image)
        if size is None:
            size = size_of(image['file_name']) if size_of else None
            json_file.changes['image sizes read from the images'] += 1
        if size is None:
            unknown.append(image['file_name'])
            continue
        if (image.get('width'), image.get('height')) != size:
            image['width'], image['height'] = size
        sizes[image['id']] = size
    if unknown:
        raise DataError(
            f'the annotations {json_file.path} state no width and height for '
            f'{len(unknown)} images that cannot be read either, the first is '
            f'{unknown[0]}'
        )
    return sizes


def _listed_size(image: Mapping[str, Any]) -> Size | None:
    """Width and height in the json; None if it has none."""
    width, height = _side(image.get('width')), _side(image.get('height'))
    return None if width is None or height is None else (width, height)


def _side(value: Any) -> int | None:
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if not is_number(value) or value < 1 or value != int(value):
        return None
    return int(value)


def _normalize_annotations(
    json_file: CocoAnnotations, num_keypoints: int, sizes: Mapping[int, Size]
) -> None:
    kept, others, trained = [], Counter[int](), []
    for annotation in json_file.content['annotations']:
        reason = _normalize_annotation(json_file, annotation, num_keypoints, sizes)
        if reason is None:
            json_file.trained += 1
            trained.append(annotation)
        else:
            json_file.rejected[reason].append(annotation['id'])
        if reason in (None, CROWD, NONE_VISIBLE, NO_KEYPOINTS):
            kept.append(annotation)
        elif reason == OTHER_NUMBER:
            others[len(annotation['keypoints'])] += 1
    if others and not json_file.trained:
        length, count = others.most_common(1)[0]
        raise DataError(
            f'{count} annotations of {json_file.path} have {length} numbers as '
            f'keypoints; the {num_keypoints} keypoints of the config need '
            f'{3 * num_keypoints}, x, y and visibility of each'
        )
    json_file.content['annotations'] = kept
    json_file.doubts.update(
        dict.fromkeys(check_coordinates(json_file.path, trained, sizes))
    )


CROWD = 'are crowds'
NO_KEYPOINTS = 'have no keypoints'
NONE_VISIBLE = 'have no visible keypoint'
OTHER_KEYPOINTS = 'are of a category with other keypoints than the config'
AT_CORNER = 'lie at or beyond the corner of the image'
ONE_PIXEL = 'lie on images of one row or column of pixels'


def _normalize_annotation(
    json_file: CocoAnnotations,
    annotation: dict[str, Any],
    num_keypoints: int,
    sizes: Mapping[int, Size],
) -> str | None:
    """Normalize an annotation; return why it is not trained on, or None."""
    crowd = _is_crowd(annotation)
    if 'iscrowd' in annotation and type(annotation['iscrowd']) is not int:
        annotation['iscrowd'] = int(crowd)
    keypoints = annotation.get('keypoints')
    if not keypoints:
        _drop_broken_box(annotation)
        return CROWD if crowd else NO_KEYPOINTS
    points, reason = parse_keypoints(keypoints, num_keypoints, json_file.changes)
    if points is None:
        return reason
    annotation['keypoints'] = [number for point in points for number in point]
    visible = [(x, y) for x, y, shown in points if shown > 0]
    if annotation.get('num_keypoints') != len(visible):
        if 'num_keypoints' in annotation:
            json_file.changes['num_keypoints that differed from the visible ones'] += 1
        annotation['num_keypoints'] = len(visible)
    if crowd or not visible:
        _drop_broken_box(annotation)
        return CROWD if crowd else NONE_VISIBLE
    if max(max(point[:2]) for point in points) <= 0:
        # MMPose treats such an instance as one without points.
        _drop_broken_box(annotation)
        return AT_CORNER
    size = sizes[annotation['image_id']]
    if min(size) < 2:
        # After clipping by MMPose, no box on it has an extent.
        _drop_broken_box(annotation)
        return ONE_PIXEL
    _normalize_box(json_file, annotation, visible, size)
    return None


def _is_crowd(annotation: Mapping[str, Any]) -> bool:
    """Whether an annotation is a crowd; CSV tools write '0' and 'false'."""
    value = annotation.get('iscrowd')
    if isinstance(value, str):
        return value.strip().casefold() not in ('', '0', '0.0', 'false', 'no', 'none')
    return bool(value)


def _normalize_box(
    json_file: CocoAnnotations,
    annotation: dict[str, Any],
    visible: Sequence[tuple[float, float]],
    size: Size,
) -> None:
    box = annotation.get('bbox')
    if isinstance(box, list):
        box = annotation['bbox'] = plain_numbers(box, json_file.changes)
    if not has_extent(box, size):
        annotation['bbox'] = box_of_points(visible, size)
        annotation.pop('area', None)
        json_file.changes['boxes computed from the points'] += 1
    area: Any = plain_numbers([annotation.get('area')], json_file.changes)[0]
    if 'area' in annotation:
        annotation['area'] = area
    if not is_number(area) or area <= 0:
        width, height = annotation['bbox'][2:]
        annotation['area'] = max(1.0, AREA_OF_BOX * width * height)
        if area is not None:
            json_file.changes['areas that were not positive'] += 1


def boxes_of(json_file: CocoAnnotations) -> list[tuple[dict[str, Any], list[float]]]:
    """Return the annotations that are no crowd with their boxes (x, y, width, height).

    A missing or empty box is replaced by that of the visible points; annotations with
    neither are left out.

    Args:
        json_file: The json.
    """
    sizes = {image['id']: _listed_size(image) for image in json_file.content['images']}
    boxes = []
    for annotation in json_file.content['annotations']:
        size = sizes[annotation['image_id']] or (UNKNOWN_SIDE, UNKNOWN_SIDE)
        box = annotation.get('bbox')
        if not has_extent(box, size):
            points, _ = parse_keypoints(
                annotation.get('keypoints'), None, json_file.changes
            )
            visible = [(x, y) for x, y, shown in points or () if shown > 0]
            box = box_of_points(visible, size) if visible and min(size) > 1 else None
        if box is not None and not _is_crowd(annotation):
            boxes.append((annotation, box))
    return boxes


def _drop_broken_box(annotation: dict[str, Any]) -> None:
    box = annotation.get('bbox')
    is_valid = isinstance(box, list) and len(box) == 4 and all(map(is_number, box))
    if not is_valid or not annotation.get('keypoints', True):
        # MMPose would raise an error on it, though it trains on none of these.
        annotation.pop('bbox', None)
        annotation.pop('keypoints', None)
