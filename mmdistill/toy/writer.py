"""Writing of the toy data set: images, annotations and a manifest."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mmdistill.errors import ConfigError, DataError
from mmdistill.toy.annotation import coco_document, image_record, instance_record
from mmdistill.toy.scene import sample_scene

# The index of a split in this tuple is part of its images' seed.
SPLITS = ('labeled', 'unlabeled', 'val')

# Incremented when the drawing changes, so that older folders are regenerated.
_VERSION = 1
_MAKER = 'mmdistill toy data'
_CONTENT = {'images', 'annotations', 'manifest.json'}
_JPEG_QUALITY = 92


def write_toy_data(
    root: str | Path,
    labeled: int = 25,
    unlabeled: int = 600,
    val: int = 200,
    seed: int = 0,
) -> bool:
    """Write the data set, unless the folder already holds exactly this one.

    An image depends on seed, split and its own number only: a larger set
    starts with the images of a smaller one. The folder is replaced at once, never
    left incomplete.

    Args:
        root: The folder to write, for example `data/toy`.
        labeled: Number of images in `images/labeled`.
        unlabeled: Number of images in `images/unlabeled`; their ground truth goes
            to `unlabeled_oracle.json` beside `unlabeled.json`.
        val: Number of images in `images/val`.
        seed: Any integer from 0.

    Returns:
        Whether anything was written; False when the folder was reused.

    Raises:
        UserError: If the folder holds files that this function did not write, or
            a number is out of range.
    """
    root = Path(root)
    sizes = {'labeled': labeled, 'unlabeled': unlabeled, 'val': val}
    manifest = _manifest(sizes, seed)
    if _is_toy_data(root) and _read_manifest(root) == manifest:
        return False
    partial = root.with_name(f'.{root.name}.partial')
    shutil.rmtree(partial, ignore_errors=True)
    try:
        (partial / 'annotations').mkdir(parents=True)
    except OSError as error:
        raise DataError(
            f'the toy data cannot be written to {root}: {error.strerror}'
        ) from error
    for split, size in sizes.items():
        _write_split(partial, split, size, seed)
    _write_json(partial / 'manifest.json', manifest)
    shutil.rmtree(root, ignore_errors=True)
    partial.replace(root)
    return True


def _manifest(sizes: dict[str, int], seed: int) -> dict[str, Any]:
    for name, value in {**sizes, 'seed': seed}.items():
        if value < 0:
            raise ConfigError(f'{name} must be 0 or more, got {value}')
    return {'made_by': _MAKER, 'version': _VERSION, 'seed': seed, **sizes}


def _is_toy_data(root: Path) -> bool:
    """Whether a folder is a toy data set; refuse one with any other files."""
    if not root.exists():
        return False
    if not root.is_dir():
        raise ConfigError(f'the toy data needs a folder, but {root} is a file')
    names = {path.name for path in root.iterdir()}
    if names and not (names == _CONTENT and _read_manifest(root)):
        raise ConfigError(
            f'the toy data may only replace a folder that it made, and {root} '
            f'holds other files ({", ".join(sorted(names)[:4])})'
        )
    return bool(names)


def _read_manifest(root: Path) -> dict[str, Any]:
    """Read the manifest of a toy data set; empty for any other file."""
    try:
        content = json.loads((root / 'manifest.json').read_text())
    except (OSError, ValueError):
        return {}
    is_toy_data = isinstance(content, dict) and content.get('made_by') == _MAKER
    return content if is_toy_data else {}


def _write_split(root: Path, split: str, size: int, seed: int) -> None:
    folder = root / 'images' / split
    folder.mkdir(parents=True)
    images, annotations = [], []
    for image_id in range(1, size + 1):
        rng = np.random.default_rng((seed, SPLITS.index(split), image_id))
        image, figures = sample_scene(rng)
        record = image_record(image_id, image.shape)
        _write_jpeg(folder / record['file_name'], image)
        images.append(record)
        annotations += [
            instance_record(image_id, order, figure)
            for order, figure in enumerate(figures)
        ]
    document = coco_document(images, annotations)
    if split == 'unlabeled':
        _write_json(root / 'annotations/unlabeled_oracle.json', document)
        document = coco_document(images, None)
    _write_json(root / f'annotations/{split}.json', document)


def _write_jpeg(path: Path, image: np.ndarray) -> None:
    encoded, data = cv2.imencode(
        '.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    )
    assert encoded
    path.write_bytes(data.tobytes())


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content) + '\n')
