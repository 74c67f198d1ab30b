"""A COCO json with annotations, read with a strict eye.

MMPose believes what a json says: of annotations that share an id all images get the
last one's points, keypoints in another order than the config's are trained as they
come, and an instance whose box has no extent is dropped without a word. Here a file is
read once, before anything else; what a labeling tool legally writes is brought into
the form that MMPose reads, what contradicts itself is refused, and what will not be
trained on is counted by its reason.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmdistill.datasets.coco.coordinates import check_coordinates
from mmdistill.datasets.coco.ids import numbered, without_numbers
from mmdistill.datasets.coco.keypoint_names import compare_names
from mmdistill.errors import UserError, shortened
from mmdistill.functional.boxes import (
    Size,
    box_of_points,
    has_extent,
    is_number,
    is_real,
)
from mmdistill.utils.files import read_json

SizeOf = Callable[[str], Size | None]
"""Width and height of an image by its `file_name`; None if it cannot be read."""

NAMED = 3
"""Annotations that a sentence names for each reason."""
UNKNOWN_SIDE = 2**15
"""Side of an image whose size nobody states."""
AREA_OF_BOX = 0.53
"""Share of its box that a person covers: what MMPose takes where no area is stated."""

NUMBERED_ANEW = 'annotations numbered anew'


@dataclass
class CocoAnnotations:
    """A COCO json as training reads it.

    Attributes:
        path: The file.
        content: Its content, in the form that MMPose reads.
        total: Annotations in the file.
        trained: Those that are trained on.
        rejected: Ids of the others, by the reason.
        changes: How often each thing was brought into form, by its words.
        doubts: Sentences about what is taken as it is, though it may be wrong.
    """

    path: Path
    content: dict[str, Any]
    total: int = 0
    trained: int = 0
    rejected: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    changes: Counter[str] = field(default_factory=Counter)
    doubts: dict[str, None] = field(default_factory=dict)

    def summary(self, verb: str = 'train') -> str:
        """One sentence: how many annotations train, why others do not, changes.

        Args:
            verb: What those that are in form do.
        """
        count = f'{self.trained} of {self.total} annotations {verb}'
        return f'{self.path}: {count}{self._reasons}'

    @property
    def notes(self) -> str:
        """One sentence about what does not train and what was brought into form."""
        return f'{self.path}: {self.total} annotations{self._reasons}'

    @property
    def _reasons(self) -> str:
        text = ''
        for reason, ids in self.rejected.items():
            named = ', '.join(map(str, ids[:NAMED])) + (', …' * (len(ids) > NAMED))
            text += f'; {len(ids)} {reason} (id {named})'
        if self.changes:
            counted = (f'{count} {words}' for words, count in self.changes.items())
            text += f'; brought into form: {", ".join(counted)}'
        for doubt in self.doubts:
            text += f'; {doubt}'
        return text


def read_annotations(
    path: Path, keypoint_names: Sequence[str], size_of: SizeOf | None = None
) -> CocoAnnotations:
    """Read a COCO json with keypoints.

    Args:
        path: The file.
        keypoint_names: Names of the config's keypoints, in their order, (K,).
        size_of: Reads the size of an image, needed where the json states none.

    Raises:
        UserError: If the file is not a COCO json, names an image twice or keypoints
            in another order than the config, or gives all of its annotations another
            number of keypoints.
    """
    found = read_structure(path)
    for category in found.content['categories']:
        doubt = compare_names(path, category.get('keypoints'), keypoint_names)
        found.doubts.update({doubt: None} if doubt else {})
    sizes = _bring_sizes_into_form(found, size_of)
    _bring_annotations_into_form(found, len(keypoint_names), sizes)
    return found


def read_structure(path: Path) -> CocoAnnotations:
    """Read a COCO json, with ids that are numbers and images that have a name.

    Args:
        path: The file; boxes and keypoints of its annotations stay as they are.

    Raises:
        UserError: If the file is not a COCO json, or names an image twice.
    """
    content = read_json(path, 'the annotations')
    if not isinstance(content, dict):
        raise UserError(
            f'the annotations {path} must be a COCO json, a dict with images and '
            f'annotations, got a {type(content).__name__}'
        )
    found = CocoAnnotations(path, dict(content))
    for key in ('images', 'annotations', 'categories'):
        found.content[key] = _dicts(path, content, key)
    for key in ('images', 'categories'):
        _drop_repeated(found, key)
    found.total = len(found.content['annotations'])
    _bring_ids_into_form(found)
    _check_file_names(found)
    return found


def _dicts(path: Path, content: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """A list of dicts of the json, copied one level deep."""
    if content.get(key) is None and key != 'images':
        return []
    entries = content.get(key)
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise UserError(
            f'{key} of the annotations {path} must be a list of dicts, got '
            f'{shortened(entries)}'
        )
    return [dict(entry) for entry in entries]


def _drop_repeated(found: CocoAnnotations, key: str) -> None:
    """Take entries that say the same twice, as merged files have them, for one."""
    entries, kept = found.content[key], dict[str, dict[str, Any]]()
    if not all(entry.get('file_name') or entry.get('name') for entry in entries):
        return  # What is refused is refused by its own sentence.
    for entry in entries:
        kept.setdefault(json.dumps(entry, sort_keys=True), entry)
    if len(kept) < len(entries):
        found.changes[f'{key} listed twice'] += len(entries) - len(kept)
        found.content[key] = list(kept.values())


def _bring_ids_into_form(found: CocoAnnotations) -> None:
    images, annotations = found.content['images'], found.content['annotations']
    categories = found.content['categories']
    where = f'the annotations {found.path}'
    repeated = without_numbers(annotations)
    if repeated:
        # Nothing refers to an annotation, so a new number does no harm.
        found.changes[f'{NUMBERED_ANEW} (ids absent or repeated)'] += repeated
        for number, annotation in enumerate(annotations, 1):
            annotation['id'] = number
    for images_or_categories, key in ((images, 'image'), (categories, 'category')):
        ids = numbered(f'{where} give', key, images_or_categories)
        changed = sum(
            ids.number(entry['id']) != entry['id'] or type(entry['id']) is not int
            for entry in images_or_categories
        )
        found.changes[f'{key} ids made numbers'] += changed
        for entry in images_or_categories:
            entry['id'] = ids.number(entry['id'])
        _point_to(found, annotations, f'{key}_id', ids)
    found.changes += Counter()  # drops what did not happen


def _point_to(
    found: CocoAnnotations, annotations: list[dict[str, Any]], key: str, ids: Any
) -> None:
    """Let annotations point to images or categories by their numbers."""
    kept = []
    for annotation in annotations:
        number = ids.number(annotation.get(key))
        if number is None and key == 'category_id':
            number = _only_category(found, annotation.get(key))
        if number is None:
            found.rejected['name an image that is not listed'].append(
                annotation.get('id')
            )
            continue
        annotation[key] = number
        kept.append(annotation)
    annotations[:] = kept


def _only_category(found: CocoAnnotations, stated: Any) -> int:
    """The category of an annotation that states none of those that are listed."""
    categories = found.content['categories']
    if type(stated) is int:
        return stated
    if len(categories) > 1:
        raise UserError(
            f'an annotation of {found.path} has category_id {shortened(stated)}, which '
            f'is none of {[category["id"] for category in categories]}'
        )
    found.changes['annotations given the only category'] += 1
    return categories[0]['id'] if categories else 1


def _check_file_names(found: CocoAnnotations) -> None:
    counts: Counter[str] = Counter()
    for image in found.content['images']:
        name = image.get('file_name')
        if not isinstance(name, str) or not name or '\0' in name:
            raise UserError(
                f'image {image["id"]} of the annotations {found.path} must have a '
                f'file_name, got {shortened(name)}'
            )
        counts[name] += 1
    repeated = sum(count > 1 for count in counts.values())
    if repeated:
        found.changes['files listed as several images, each counted'] += repeated


def _bring_sizes_into_form(
    found: CocoAnnotations, size_of: SizeOf | None
) -> dict[int, Size]:
    """Take sizes that are not stated from the images; returns all sizes by id."""
    sizes, unknown = {}, []
    for image in found.content['images']:
        size = _stated_size(image)
        if size is None:
            size = size_of(image['file_name']) if size_of else None
            found.changes['image sizes read from the images'] += 1
        if size is None:
            unknown.append(image['file_name'])
            continue
        if (image.get('width'), image.get('height')) != size:
            image['width'], image['height'] = size
        sizes[image['id']] = size
    if unknown:
        raise UserError(
            f'the annotations {found.path} state no width and height for '
            f'{len(unknown)} images that cannot be read either, the first is '
            f'{unknown[0]}'
        )
    return sizes


def _stated_size(image: Mapping[str, Any]) -> Size | None:
    """Width and height that the json states; None where it states none."""
    width, height = _side(image.get('width')), _side(image.get('height'))
    return None if width is None or height is None else (width, height)


def _side(value: Any) -> int | None:
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if not is_number(value) or value < 1 or value != int(value):
        return None
    return int(value)


def _bring_annotations_into_form(
    found: CocoAnnotations, num_keypoints: int, sizes: Mapping[int, Size]
) -> None:
    kept, others, trained = [], Counter[int](), []
    for annotation in found.content['annotations']:
        reason = _bring_into_form(found, annotation, num_keypoints, sizes)
        if reason is None:
            found.trained += 1
            trained.append(annotation)
        else:
            found.rejected[reason].append(annotation['id'])
        if reason in (None, CROWD, NONE_VISIBLE, NO_KEYPOINTS):
            kept.append(annotation)
        elif reason == OTHER_NUMBER:
            others[len(annotation['keypoints'])] += 1
    if others and not found.trained:
        length, count = others.most_common(1)[0]
        raise UserError(
            f'{count} annotations of {found.path} have {length} numbers as keypoints; '
            f'the {num_keypoints} keypoints of the config need {3 * num_keypoints}, '
            'x, y and visibility of each'
        )
    found.content['annotations'] = kept
    found.doubts.update(dict.fromkeys(check_coordinates(found.path, trained, sizes)))


CROWD = 'are crowds'
NO_KEYPOINTS = 'have no keypoints'
NONE_VISIBLE = 'have no visible keypoint'
OTHER_NUMBER = 'have another number of keypoints than the config'
AT_CORNER = 'lie at or beyond the corner of the image'
ONE_PIXEL = 'lie on images of one row or column of pixels'
NOT_NUMBERS = 'have keypoints that are no numbers'


def _bring_into_form(
    found: CocoAnnotations,
    annotation: dict[str, Any],
    num_keypoints: int,
    sizes: Mapping[int, Size],
) -> str | None:
    """Bring an annotation into form; returns why it is not trained on, or None."""
    crowd = _is_crowd(annotation)
    if 'iscrowd' in annotation and type(annotation['iscrowd']) is not int:
        annotation['iscrowd'] = int(crowd)
    given = annotation.get('keypoints')
    if not given:
        _drop_broken_box(annotation)
        return CROWD if crowd else NO_KEYPOINTS
    points, reason = _points(found, given, num_keypoints)
    if points is None:
        return reason
    annotation['keypoints'] = [number for point in points for number in point]
    visible = [(x, y) for x, y, shown in points if shown > 0]
    if annotation.get('num_keypoints') != len(visible):
        if 'num_keypoints' in annotation:
            found.changes['num_keypoints that were not the visible ones'] += 1
        annotation['num_keypoints'] = len(visible)
    if crowd or not visible:
        _drop_broken_box(annotation)
        return CROWD if crowd else NONE_VISIBLE
    if max(max(point[:2]) for point in points) <= 0:
        # MMPose takes such an instance for one without points.
        _drop_broken_box(annotation)
        return AT_CORNER
    size = sizes[annotation['image_id']]
    if min(size) < 2:
        # Clipped as MMPose clips it, no box on it has an extent.
        _drop_broken_box(annotation)
        return ONE_PIXEL
    _bring_box_into_form(found, annotation, visible, size)
    return None


def _is_crowd(annotation: Mapping[str, Any]) -> bool:
    """Whether an annotation is a crowd; CSV tools write '0' and 'false'."""
    stated = annotation.get('iscrowd')
    if isinstance(stated, str):
        return stated.strip().casefold() not in ('', '0', '0.0', 'false', 'no', 'none')
    return bool(stated)


def _points(
    found: CocoAnnotations, given: Any, num_keypoints: int | None
) -> tuple[list[list[float]] | None, str]:
    """Keypoints as x, y and visibility, each a finite number, (K, 3)."""
    if isinstance(given, list) and all(isinstance(each, list) for each in given):
        given = [number for point in given for number in point]
        found.changes['nested keypoints made flat'] += 1
    if not isinstance(given, list):
        return None, NOT_NUMBERS
    if num_keypoints is None:
        num_keypoints = len(given) // 3
    if len(given) != 3 * num_keypoints:
        return None, OTHER_NUMBER
    if not all(each is None or is_real(each) for each in given):
        return None, NOT_NUMBERS
    points = []
    for start in range(0, len(given), 3):
        x, y, shown = given[start : start + 3]
        if not all(map(is_number, (x, y, shown))):
            x, y, shown = 0, 0, 0
            found.changes['keypoints without finite numbers made invisible'] += 1
        elif shown < 0 or 0 < shown < 1:
            # What is hardly visible would train towards an empty heatmap.
            shown = int(shown >= 0.5)
            found.changes['visibilities rounded'] += 1
        points.append([x, y, min(shown, 2)])
    return points, ''


def _bring_box_into_form(
    found: CocoAnnotations,
    annotation: dict[str, Any],
    visible: Sequence[tuple[float, float]],
    size: Size,
) -> None:
    box = annotation.get('bbox')
    if not has_extent(box, size):
        annotation['bbox'] = box_of_points(visible, size)
        annotation.pop('area', None)
        found.changes['boxes made of the points'] += 1
    area: Any = annotation.get('area')
    if not is_number(area) or area <= 0:
        width, height = annotation['bbox'][2:]
        annotation['area'] = max(1.0, AREA_OF_BOX * width * height)
        if area is not None:
            found.changes['areas that were none'] += 1


def boxes_of(found: CocoAnnotations) -> list[tuple[dict[str, Any], list[float]]]:
    """Boxes (x, y, width, height) of annotations that are no crowd.

    One without a box of its own, or without an extent, has that of its visible points;
    one without either is left out.

    Args:
        found: The json.
    """
    sizes = {image['id']: _stated_size(image) for image in found.content['images']}
    boxes = []
    for annotation in found.content['annotations']:
        size = sizes[annotation['image_id']] or (UNKNOWN_SIDE, UNKNOWN_SIDE)
        box = annotation.get('bbox')
        if not has_extent(box, size):
            points, _ = _points(found, annotation.get('keypoints'), None)
            visible = [(x, y) for x, y, shown in points or () if shown > 0]
            box = box_of_points(visible, size) if visible and min(size) > 1 else None
        if box is not None and not _is_crowd(annotation):
            boxes.append((annotation, box))
    return boxes


def _drop_broken_box(annotation: dict[str, Any]) -> None:
    box = annotation.get('bbox')
    whole = isinstance(box, list) and len(box) == 4 and all(map(is_number, box))
    if not whole or not annotation.get('keypoints', True):
        # MMPose would stop at it, though it trains on none of these.
        annotation.pop('bbox', None)
        annotation.pop('keypoints', None)
