"""YOLO pose data sets, in the form of Ultralytics, read and written.

Each image has a text file with a line for each instance: class, center and sides of
the box, then x, y and visibility of each keypoint, coordinates as shares of the
image. `data.yaml` has the folders, names and the mirrored order of the keypoints.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from mmdistill.datasets.coco.images import size_of_image
from mmdistill.errors import DataError, shortened
from mmdistill.functional.boxes import Size
from mmdistill.interchange.project import (
    MISSING,
    VISIBLE,
    LabeledImage,
    LabeledInstance,
    Project,
    relative_keys,
)

SPLITS = ('train', 'val', 'test')
ENDINGS = frozenset(
    {'.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp', '.jp2', '.dng', '.mpo'}
)
IMAGES = 'train/images'
LABELS = 'train/labels'


def is_yolo(path: Path) -> bool:
    """Whether a path is a YOLO data set with keypoints: its yaml or its folder.

    Args:
        path: A file or folder.
    """
    return 'kpt_shape' in _load(_yaml_of(path))


def read_yolo(path: Path, names: tuple[str, ...] = ()) -> Project:
    """Read a YOLO pose data set, all of its splits.

    Args:
        path: Its yaml, or the folder with `data.yaml`.
        names: Names of the keypoints where the yaml has none.

    Raises:
        DataError: If it has no labels, or a line does not fit the yaml.
    """
    config = _load(_yaml_of(path))
    count, dims = config['kpt_shape']
    stated = _names(config, int(count)) or names
    keypoints = stated or tuple(map(str, range(count)))
    if len(keypoints) != count:
        raise DataError(
            f'{path} has {count} keypoints, got {len(keypoints)} names: name as many '
            'with --keypoints'
        )
    root = _root(config, _yaml_of(path).parent)
    listed = (_images(root, config.get(split)) for split in SPLITS)
    files = list(dict.fromkeys(file for split in listed for file in split))
    classes = config.get('names') or {}
    labels = dict(enumerate(classes)) if isinstance(classes, list) else classes
    keys = relative_keys(files)
    images = []
    for file in files:
        text = _label_file(file)
        size = size_of_image(file)
        if text is None or size is None:
            continue
        instances = tuple(_instances(text, labels, (int(count), int(dims)), size))
        images.append(
            LabeledImage(keys[file], file, instances, video=file.parent.name, size=size)
        )
    project = Project(
        keypoints,
        tuple(images),
        skeleton=_links(config.get('skeleton')),
        pairs=_pairs(config.get('flip_idx')),
        category=str(labels.get(0, 'instance')),
    )
    if not project.count:
        raise DataError(
            f'the YOLO data set {path} has no labeled instance in {len(files)} images '
            f'below {root}: labels are text files in folders called labels, beside '
            'those called images'
        )
    lost = len(files) - len(images)
    note = f'{lost} images without a label file are left out' if lost else ''
    unnamed = '' if stated else 'keypoints have no names; --keypoints gives them some'
    return project.with_notes(note, unnamed)


def write_yolo(project: Project, folder: Path, files: Mapping[str, Path]) -> None:
    """Write labels as a YOLO pose data set.

    A keypoint off its image is missing, as Ultralytics refuses coordinates beyond it.
    The validation images are those of training, since Ultralytics wants some.

    Args:
        project: The labels; sizes and boxes must be known.
        folder: Folder of the data set.
        files: File of each image by its key, below `train/images/` of the folder.
    """
    classes = {name: number for number, name in enumerate(project.categories)}
    (folder / LABELS).mkdir(parents=True, exist_ok=True)
    for image in project.images:
        lines = [
            _line(classes[one.category or project.category], one, image)
            for one in image.instances
        ]
        name = files[image.key].with_suffix('.txt').name
        (folder / LABELS / name).write_text(''.join(lines), encoding='utf-8')
    mirrored = np.arange(len(project.keypoints))
    for left, right in project.pairs:
        mirrored[[left, right]] = right, left
    names = list(project.keypoints)
    config = dict(
        path=str(folder.absolute()),
        train=IMAGES,
        val=IMAGES,
        names={number: name for name, number in classes.items()},
        kpt_shape=[len(names), 3],
        flip_idx=mirrored.tolist(),
        # Two keys, of Ultralytics and of sleap-io.
        kpt_names={number: list(names) for number in classes.values()},
        node_names=list(names),
        skeleton=[list(link) for link in project.skeleton],
    )
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    (folder / 'data.yaml').write_text(
        '# val is train: name a folder of validation images of your own.\n' + text,
        encoding='utf-8',
    )


def _yaml_of(path: Path) -> Path:
    return path / 'data.yaml' if path.is_dir() else path


def _load(path: Path) -> dict[str, Any]:
    if path.suffix not in ('.yaml', '.yml') or not path.is_file():
        return {}
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (ValueError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def _names(config: Mapping[str, Any], count: int) -> tuple[str, ...]:
    """Names of the keypoints, which two tools write under two keys."""
    named = config.get('kpt_names') or config.get('node_names') or ()
    if isinstance(named, dict):
        named = next(iter(named.values()), ())
    return tuple(map(str, named)) if len(named) == count else ()


def _root(config: Mapping[str, Any], folder: Path) -> Path:
    stated = Path(str(config.get('path') or '.'))
    places = [stated if stated.is_absolute() else folder / stated, folder]
    return next((place for place in places if place.is_dir()), folder)


def _images(root: Path, split: Any) -> Iterator[Path]:
    """Images of a split: a folder, a list file, or several."""
    for part in split if isinstance(split, list) else [split] if split else ():
        place = root / str(part)
        if not place.exists() and str(part).startswith('../'):
            place = root / str(part)[3:]  # Roboflow names them from a folder deeper
        if place.is_dir():
            yield from sorted(
                p for p in place.rglob('*') if p.suffix.lower() in ENDINGS
            )
        elif place.is_file():
            for line in place.read_text(encoding='utf-8').split():
                yield root / line


def _label_file(image: Path) -> str | None:
    """Text of the labels of an image: in `labels` where the image is in `images`."""
    parts = list(image.with_suffix('.txt').parts)
    for place in range(len(parts) - 1, -1, -1):
        if parts[place] == 'images':
            parts[place] = 'labels'
            break
    path = Path(*parts)
    return path.read_text(encoding='utf-8') if path.is_file() else None


def _instances(
    text: str, classes: Mapping[int, Any], shape: tuple[int, int], size: Size
) -> Iterator[LabeledInstance]:
    count, dims = shape
    for line in text.splitlines():
        try:
            values = [float(value) for value in line.split()]
        except ValueError:
            values = []
        if not line.strip():
            continue
        if len(values) != 5 + count * dims:
            raise DataError(
                f'a line of YOLO pose labels must have 5 + {count} x {dims} numbers, '
                f'as kpt_shape says, got {shortened(line)}'
            )
        rows = np.zeros((count, 3))
        points = np.reshape(values[5:], (count, dims))
        rows[:, :2] = points[:, :2] * size
        rows[:, 2] = points[:, 2] if dims > 2 else VISIBLE * points.any(axis=1)
        rows[rows[:, 2] == MISSING] = 0
        if not rows[:, 2].any():
            continue
        center, sides = np.array(values[1:3]) * size, np.array(values[3:5]) * size
        low = (center - sides / 2).tolist()
        box = (low[0], low[1], *map(float, sides))
        category = str(classes.get(int(values[0]), ''))
        yield LabeledInstance(rows, box, category)


def _links(skeleton: Any) -> tuple[tuple[int, int], ...]:
    return tuple((int(a), int(b)) for a, b in skeleton or ())


def _pairs(flip: Any) -> tuple[tuple[int, int], ...]:
    return tuple((a, b) for a, b in enumerate(flip or ()) if a < b)


def _line(number: int, instance: LabeledInstance, image: LabeledImage) -> str:
    """Line of an instance, with digits that restore a float32 pixel."""
    assert image.size is not None  # read with every image that is exported
    assert instance.bbox is not None
    size = np.array(image.size, dtype=float)
    low = np.clip(instance.bbox[:2], 0, size)
    high = np.clip(np.add(instance.bbox[:2], instance.bbox[2:]), 0, size)
    rows = instance.keypoints.copy()
    inside = ((rows[:, :2] >= 0) & (rows[:, :2] <= size)).all(axis=1)
    rows[~inside | (rows[:, 2] == MISSING)] = 0
    rows[:, :2] /= size
    box = [*((low + high) / 2 / size), *((high - low) / size)]
    points = [f'{x:.10g} {y:.10g} {int(v)}' for x, y, v in rows.tolist()]
    return ' '.join([str(number), *(f'{v:.10g}' for v in box), *points]) + '\n'
