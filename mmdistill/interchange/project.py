"""Labels of one project, whatever tool they come from or go to.

Every reader makes a `Project` and every writer takes one, so each tool is read and
written in one place, and any can be converted to any other. Keypoints are known by
their names: readers may have them in any order, and `in_order` changes it for all.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from mmdistill.errors import ConfigError, DataError
from mmdistill.functional.boxes import Size, box_of_points, has_extent
from mmdistill.functional.keypoint_pairs import find_pairs

MISSING, OCCLUDED, VISIBLE = 0, 1, 2
"""Visibilities of a keypoint, as COCO numbers them."""
INSTALL = 'pip install "mmdistill[import]"'

Pixels = Callable[[], np.ndarray]
"""Function that decodes an image, (H, W, 3), BGR, uint8."""


@dataclass(frozen=True)
class LabeledInstance:
    """A labeled instance.

    Attributes:
        keypoints: x, y in pixels and visibility of each, (K, 3), float64; a missing
            keypoint is 0, 0, 0.
        bbox: Its box (x, y, width, height), pixels; None where the tool has none.
        category: Name of its category; empty where the tool has none.
        attributes: What else the tool says of it, as a score.
    """

    keypoints: np.ndarray
    bbox: tuple[float, float, float, float] | None = None
    category: str = ''
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def visible(self) -> np.ndarray:
        """Mask of the keypoints that have a position, (K,), bool."""
        return self.keypoints[:, 2] > MISSING


@dataclass(frozen=True)
class LabeledImage:
    """An image with its instances.

    Attributes:
        key: Its path within the project, with forward slashes, unique.
        content: Its file, or a function that decodes it.
        instances: Its instances; none where the image is known to show none.
        video: Name of the video or folder that it comes from.
        frame: Its number in the video, from 0; None where it is a single file.
        size: Width and height in pixels, where they are known.
    """

    key: str
    content: Path | Pixels
    instances: tuple[LabeledInstance, ...]
    video: str = ''
    frame: int | None = None
    size: Size | None = None


@dataclass(frozen=True)
class Project:
    """Labels of a project.

    Attributes:
        keypoints: Names of the keypoints, K.
        images: Its labeled images.
        skeleton: Pairs of keypoints that are linked, counted from 0.
        pairs: Pairs (left, right) that a mirror exchanges, counted from 0.
        category: Name of its only category, or of that of instances without one.
        notes: Sentences about what was left out or assumed.
    """

    keypoints: tuple[str, ...]
    images: tuple[LabeledImage, ...]
    skeleton: tuple[tuple[int, int], ...] = ()
    pairs: tuple[tuple[int, int], ...] = ()
    category: str = 'instance'
    notes: tuple[str, ...] = ()

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the categories of its instances, in order of appearance."""
        names = dict.fromkeys(
            instance.category or self.category
            for image in self.images
            for instance in image.instances
        )
        return tuple(names) or (self.category,)

    @property
    def count(self) -> int:
        """Number of instances."""
        return sum(len(image.instances) for image in self.images)

    def with_notes(self, *notes: str) -> Project:
        """Add sentences; empty ones are left out.

        Args:
            notes: The sentences.
        """
        return replace(self, notes=(*self.notes, *filter(None, notes)))

    def in_order(self, names: Sequence[str]) -> Project:
        """Put the keypoints in another order, by their names.

        Keypoints of the project that are not named are left out, and so are instances
        that have none of the others.

        Args:
            names: Names of keypoints of the project, each once.

        Raises:
            DataError: If the project has no keypoint of a name, or a name comes twice.
        """
        unknown = [name for name in names if name not in self.keypoints]
        if unknown or len(set(names)) < len(names) or not names:
            raise DataError(
                f'keypoints must be names of the project, each once, got '
                f'{list(names)}; it has {", ".join(self.keypoints)}'
            )
        order = [self.keypoints.index(name) for name in names]
        new = {old: place for place, old in enumerate(order)}
        images = []
        for image in self.images:
            instances = tuple(
                replace(instance, keypoints=instance.keypoints[order])
                for instance in image.instances
            )
            kept = tuple(i for i in instances if i.visible.any())
            if kept or not image.instances:
                images.append(replace(image, instances=kept))
        return replace(
            self,
            keypoints=tuple(names),
            images=tuple(images),
            skeleton=_renumbered(self.skeleton, new),
            pairs=_renumbered(self.pairs, new),
        )

    def with_boxes(self, sizes: Mapping[str, Size], margin: float | None) -> Project:
        """Give each instance a box: its own, or one around its keypoints.

        Args:
            sizes: Width and height of each image by its key.
            margin: Pixels around the keypoints; a tenth of their longer side and at
                least a twentieth of the image's when None.
        """
        images = [
            replace(
                image,
                size=sizes[image.key],
                instances=tuple(
                    replace(one, bbox=_box(one, sizes[image.key], margin))
                    for one in image.instances
                ),
            )
            for image in self.images
        ]
        return replace(self, images=tuple(images))

    def with_pairs(self) -> Project:
        """Find the pairs of left and right by name, where the tool states none."""
        if self.pairs:
            return self
        pairs = tuple(find_pairs(self.keypoints))
        listed = ', '.join(
            f'{self.keypoints[left]} and {self.keypoints[right]}'
            for left, right in pairs
        )
        note = f'left and right were found by their names: {listed}' if pairs else ''
        return replace(self, pairs=pairs).with_notes(note)


def _box(
    instance: LabeledInstance, size: Size, margin: float | None
) -> tuple[float, float, float, float]:
    if instance.bbox is not None and min(instance.bbox[2:]) > 0:
        return instance.bbox
    points = instance.keypoints[instance.visible, :2]
    if margin is not None:
        low = np.clip(points.min(axis=0) - margin, 0, size)
        high = np.clip(points.max(axis=0) + margin, 0, size)
        # The sums of decimals that labels are, without the noise of their binary form.
        left, top, right, bottom = np.concatenate([low, high]).round(8).tolist()
        box = left, top, round(right - left, 8), round(bottom - top, 8)
        if has_extent(list(box), size):
            return box
    x, y, width, height = box_of_points([(a, b) for a, b in points.tolist()], size)
    return x, y, width, height


def _renumbered(
    links: Sequence[tuple[int, int]], new: Mapping[int, int]
) -> tuple[tuple[int, int], ...]:
    return tuple((new[a], new[b]) for a, b in links if a in new and b in new)


def keypoint_rows(
    points: Mapping[str, tuple[float, float, int]], names: Sequence[str]
) -> np.ndarray:
    """Arrange named keypoints as rows, (K, 3), float64.

    Args:
        points: x, y and visibility by name; names that are not asked for are ignored.
        names: Names of the keypoints, K.

    >>> keypoint_rows({'tail': (3.0, 4.0, 2)}, ['nose', 'tail']).tolist()
    [[0.0, 0.0, 0.0], [3.0, 4.0, 2.0]]
    """
    rows = np.zeros((len(names), 3))
    for place, name in enumerate(names):
        x, y, visibility = points.get(name, (0.0, 0.0, MISSING))
        if visibility > MISSING and np.isfinite([x, y]).all():
            rows[place] = x, y, visibility
    return rows


def check_files(
    role: str, files: Mapping[str, Path], skip_missing: bool
) -> tuple[set[str], str]:
    """Check that the images of a project exist.

    Args:
        role: The project, for messages.
        files: Files by the keys of the images.
        skip_missing: Whether images without a file are left out.

    Returns:
        Keys of the images that exist, and a sentence about the others.

    Raises:
        DataError: If one is missing and none may be left out.
    """
    missing = [key for key, path in files.items() if not path.is_file()]
    if not missing:
        return set(files), ''
    count = f'{len(missing)} of {len(files)} labeled images of {role}'
    if len(missing) == len(files) or not skip_missing:
        raise DataError(
            f'{count} do not exist, the first is {files[missing[0]]}: put them there, '
            'name the folder that they are in with --images'
            + ('' if len(missing) == len(files) else ', or add --skip-missing')
        )
    note = f'{count} do not exist and are left out, the first is {files[missing[0]]}'
    return set(files) - set(missing), note


def relative_keys(files: Sequence[Path]) -> dict[Path, str]:
    """Name files by their paths below the folder that holds them all.

    Args:
        files: The files.

    >>> relative_keys([Path('a/x/1.jpg'), Path('a/y/1.jpg')])[Path('a/y/1.jpg')]
    'y/1.jpg'
    """
    if not files:
        return {}
    absolute = {file: file.absolute() for file in files}
    root = Path(os.path.commonpath([path.parent for path in absolute.values()]))
    return {file: path.relative_to(root).as_posix() for file, path in absolute.items()}


def optional_module(name: str, purpose: str) -> ModuleType:
    """Import a module of the optional packages.

    Args:
        name: The module.
        purpose: Purpose in a sentence, as ``'reading .slp files'``.

    Raises:
        ConfigError: If it is not installed or does not import.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(
            f'{purpose} needs the package {name.replace("_", "-")}, which does not '
            f'import ({error}); run `{INSTALL}`'
        ) from error
