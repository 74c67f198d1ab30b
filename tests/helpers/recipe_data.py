"""Labeled sets of drawn poses, as a recipe is made for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mmdistill.recipes.labeled_set import LabeledSet, read_labeled_set

MOUSE = ('snout', 'leftear', 'rightear', 'tailbase')
MOUSE_POSE = np.array([[0.0, -1.0], [-0.3, -0.7], [0.3, -0.7], [0.0, 1.0]])
"""Seen from above, nose up, in half lengths."""
PERSON = (
    *('right_ankle', 'right_knee', 'right_hip', 'left_hip', 'left_knee'),
    *('left_ankle', 'right_wrist', 'right_elbow', 'right_shoulder', 'left_shoulder'),
    *('left_elbow', 'left_wrist', 'neck', 'head_top'),
)
PERSON_POSE = np.array(
    [
        *([-0.2, 1.0], [-0.2, 0.5], [-0.15, 0.1], [0.15, 0.1], [0.2, 0.5]),
        *([0.2, 1.0], [-0.4, 0.1], [-0.35, -0.2], [-0.2, -0.5], [0.2, -0.5]),
        *([0.35, -0.2], [0.4, 0.1], [0.0, -0.6], [0.0, -0.9]),
    ]
)
SIZE = (160, 120)


def turned(pose: np.ndarray, degrees: float) -> np.ndarray:
    """A pose turned clockwise, as seen with y pointing down."""
    angle = np.radians(degrees)
    matrix = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return pose @ np.array(matrix).T


def write_labels(
    root: Path,
    names: Sequence[str] = MOUSE,
    pose: np.ndarray = MOUSE_POSE,
    angles: Sequence[float] = (0.0, 5.0, -5.0, 10.0, -10.0, 0.0),
    half: float = 25.0,
    size: tuple[int, int] = SIZE,
    files: Sequence[str] | None = None,
    fields: Sequence[Mapping[str, Any]] | None = None,
    category: Mapping[str, Any] | None = None,
    alike: bool = False,
) -> Path:
    """Write an image for each angle, a pose on each, and their json.

    Args:
        root: The folder; images are in its `images/`.
        names: Names of the keypoints.
        pose: Their pose, in half lengths.
        angles: Turn of each image's pose, degrees.
        half: Half the length of a pose, pixels.
        size: Width and height of the images.
        files: Names of the images.
        fields: Further fields of the images.
        category: Entries of the category that differ.
        alike: Whether all images show the same.
    """
    images, annotations = [], []
    files = files or [f'{number:03d}.png' for number in range(len(angles))]
    for number, (angle, file) in enumerate(zip(angles, files, strict=True)):
        path = root / 'images' / file
        path.parent.mkdir(parents=True, exist_ok=True)
        seed = [0 if alike else number, size[0]]
        cells = np.random.default_rng(seed).integers(0, 255, (9, 12, 3), np.uint8)
        cv2.imwrite(str(path), cv2.resize(cells, size, interpolation=cv2.INTER_CUBIC))
        further = fields[number] if fields else {}
        images.append(
            dict(id=number, file_name=file, width=size[0], height=size[1], **further)
        )
        points = turned(pose, angle) * half + np.array(size) / 2
        annotations.append(_annotation(number, points, size))
    content = dict(
        images=images,
        annotations=annotations,
        categories=[
            {**dict(id=1, name='mouse', keypoints=list(names)), **(category or {})}
        ],
    )
    path = root / 'labels.json'
    path.write_text(json.dumps(content))
    return path


def read_labels(root: Path, **options: Any) -> LabeledSet:
    """The labeled set of `write_labels`."""
    return read_labeled_set(write_labels(root, **options), 'labeled')


def _annotation(number: int, points: np.ndarray, size: tuple[int, int]) -> dict:
    low, high = points.min(axis=0) - 4, points.max(axis=0) + 4
    low, high = np.maximum(low, 0), np.minimum(high, np.array(size) - 1)
    shown = np.concatenate([points, np.full((len(points), 1), 2)], axis=1)
    return dict(
        id=number + 1,
        image_id=number,
        category_id=1,
        bbox=[*low.tolist(), *(high - low).tolist()],
        area=float((high - low).prod()),
        iscrowd=0,
        num_keypoints=len(points),
        keypoints=shown.ravel().tolist(),
    )


def change_json(path: Path, **changes: Any) -> None:
    """Replace entries of a json."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
