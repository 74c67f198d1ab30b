"""A validation set split off the labels, and a check for leaks between both.

Images of one video, folder or subject are kept together, and so are near duplicates:
an image that looks like a training image measures nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from mmdistill.datasets.image_hashes import (
    DISTANCE,
    SHA256,
    file_hashes,
    find_duplicates,
)
from mmdistill.datasets.picture_hash import near_pairs
from mmdistill.errors import ConfigError, DataError
from mmdistill.recipes.labeled_set import MAX_LISTED, LabeledSet

SUBJECT_FIELDS = (
    *('video_id', 'video', 'vid_id', 'video_name', 'sequence', 'seq_id', 'clip'),
    *('subject_id', 'subject', 'animal_id', 'animal', 'individual', 'person_id'),
    *('session', 'camera'),
)
"""Fields by which tools name where an image is from, the surest first."""
FEWEST_GROUPS = 2
"""Groups that a split by groups needs."""
FRAME_NUMBER = re.compile(r'[\W_]*(?:img|image|frame|f)?[\W_]*\d+$', re.IGNORECASE)


@dataclass(frozen=True)
class ValidationSplit:
    """A split of a labeled set.

    Attributes:
        train: The json of the training side.
        val: The json of the validation side.
        rule: How it was split, in words.
        cautions: Sentences about what it cannot tell.
    """

    train: Mapping[str, Any]
    val: Mapping[str, Any]
    rule: str
    cautions: tuple[str, ...] = ()


def split_labeled(
    labeled: LabeledSet, share: float, seed: int, by: str | None = None
) -> ValidationSplit:
    """Split a validation set off the labeled images.

    Args:
        labeled: The labeled set.
        share: Share of the images that validate, at least.
        seed: Seed of the draw.
        by: Field of an image that names its group, ``'folder'`` or ``'image'``; None
            to look for one.

    Raises:
        ConfigError: If the share is not between 0 and 1, or images have no such field.
        DataError: If there are fewer than two groups.
    """
    if not 0 < share < 1:
        raise ConfigError(f'--val-share must be between 0 and 1, got {share}')
    images = labeled.images
    if len(images) < 2:
        raise DataError(
            f'{labeled.path} has {len(images)} image, and a validation set needs one '
            'of its own: name a json of other images with --val'
        )
    unit, groups = _groups(labeled, by)
    joined, pairs = _join_duplicates(labeled.files, groups)
    cautions = []
    if len(set(joined)) < 2 or _largest(joined) > len(images) * (1 - share):
        # Neighboring frames of one video: only time can part them.
        order = np.argsort([image['file_name'] for image in images], kind='stable')
        count = max(1, round(share * len(images)))
        validates = np.zeros(len(images), dtype=bool)
        validates[order[-count:]] = True
        unit = 'the last images by their names'
        cautions.append(
            'the images are much alike, as frames of one video are: the validation '
            'set says how well this video is labeled, not another one; name a json '
            'of other images with --val where there is one'
        )
    else:
        validates = _draw(joined, _has_instances(labeled), share, seed)
        unit = f'{unit} with the seed {seed}'
    _check_instances(labeled, images, validates)
    together = f', {len(pairs)} pairs of near duplicates kept together' if pairs else ''
    rule = (
        f'{int(validates.sum())} of {len(images)} images validate, split by {unit}'
        f'{together}'
    )
    return ValidationSplit(
        _side(labeled.content, ~validates),
        _side(labeled.content, validates),
        rule,
        tuple(cautions),
    )


def check_leaks(labeled: LabeledSet, other: LabeledSet, flag: str) -> str:
    """Check that no labeled image is in the validation set.

    Args:
        labeled: The labeled set.
        other: The validation set.
        flag: Option that names it, for messages.

    Returns:
        A sentence about images that look alike without being the same; empty without.

    Raises:
        DataError: If images are the same files, or have the same bytes.
    """
    hashes = file_hashes(labeled.files, {})
    others = file_hashes(other.files, {})
    by_bytes = {h[:SHA256].tobytes(): file for file, h in others.items()}
    same = [
        (file, by_bytes[h[:SHA256].tobytes()])
        for file, h in hashes.items()
        if h[:SHA256].tobytes() in by_bytes
    ]
    if same:
        listed = ', '.join(str(file) for file, _ in same[:MAX_LISTED])
        raise DataError(
            f'{len(same)} of {len(labeled.files)} labeled images are also in {flag} '
            f'{other.path}, the first: {listed}; take them out of one of the jsons, or '
            f'leave out {flag} to have a set split off'
        )
    alike = find_duplicates(list(hashes.values()), others)
    if not alike:
        return ''
    first = list(hashes)[alike[0][0]]
    return (
        f'{len(alike)} labeled images look like images of {flag} {other.path} (as '
        f'{first} like {alike[0][1]}): neighboring frames make a validation set easy'
    )


def _groups(labeled: LabeledSet, by: str | None) -> tuple[str, list[Any]]:
    """The group of each image, and what a group is called."""
    images = labeled.images
    if by == 'image':
        return 'image', list(range(len(images)))
    if by is not None and by != 'folder':
        without = next((image for image in images if by not in image), None)
        if without is not None:
            raise ConfigError(
                f'--val-by {by} must be a field of every image, folder or image; the '
                f'image {without["file_name"]} has {", ".join(sorted(without))}'
            )
        return by, [str(image[by]) for image in images]
    if by == 'folder':
        return by, [_folder(image) for image in images]
    fields = [
        name
        for name in SUBJECT_FIELDS
        if all(image.get(name) is not None for image in images)
    ]
    candidates = [
        *((name, [str(image[name]) for image in images]) for name in fields),
        ('folder', [_folder(image) for image in images]),
        ('start of the file names', [_name_start(image) for image in images]),
    ]
    for unit, groups in candidates:
        if FEWEST_GROUPS <= len(set(groups)) <= len(images) / 2:
            return unit, groups
    return 'image', list(range(len(images)))


def _folder(image: Mapping[str, Any]) -> str:
    return str(PurePosixPath(image['file_name'].replace('\\', '/')).parent)


def _name_start(image: Mapping[str, Any]) -> str:
    """File name without the number of its frame: the name of a video."""
    return FRAME_NUMBER.sub('', PurePosixPath(image['file_name']).stem)


def _join_duplicates(
    files: Sequence[Path], groups: Sequence[Any]
) -> tuple[list[int], list[tuple[int, int]]]:
    """Number the groups, those with near duplicates of each other as one."""
    first: dict[Any, int] = {}
    joined = [first.setdefault(group, number) for number, group in enumerate(groups)]
    hashes = file_hashes(files, {})
    numbers = [number for number, file in enumerate(files) if file in hashes]
    if len(numbers) < 2:
        return joined, []
    content = np.stack([hashes[files[number]][SHA256:] for number in numbers])
    pairs = [
        (numbers[i], numbers[j])
        for i, j in near_pairs(content, content, DISTANCE).tolist()
        if i < j
    ]
    parent = {number: number for number in joined}

    def root(number: int) -> int:
        while parent[number] != number:
            number = parent[number]
        return number

    for i, j in pairs:
        low, high = sorted((root(joined[i]), root(joined[j])))
        parent[high] = low
    return [root(number) for number in joined], pairs


def _largest(groups: Sequence[int]) -> int:
    return Counter(groups).most_common(1)[0][1]


def _draw(
    groups: Sequence[int], annotated: np.ndarray, share: float, seed: int
) -> np.ndarray:
    """Draw groups until they have the share of the images; the largest one trains.

    Groups with instances and those without any are drawn apart, so that both sides
    have the same share of each.

    Returns:
        Mask of the images that are drawn, (I,), bool.
    """
    rng = np.random.default_rng(seed)
    with_instances = {
        group for group, has in zip(groups, annotated, strict=True) if has
    }
    validates = np.zeros(len(groups), dtype=bool)
    for kind in (with_instances, set(groups) - with_instances):
        sizes = Counter(group for group in groups if group in kind)
        drawn = _drawn_groups(sizes, share, rng)
        validates |= np.array([group in drawn for group in groups])
    return validates


def _drawn_groups(
    sizes: Counter[int], share: float, rng: np.random.Generator
) -> set[int]:
    """Groups that together have about a share of the images, never all of them."""
    if len(sizes) < 2:
        return set()
    largest = max(sorted(sizes), key=lambda key: sizes[key])
    keys = [key for key in sorted(sizes) if key != largest]
    wanted, count, drawn = share * sizes.total(), 0, set[int]()
    for index in rng.permutation(len(keys)):
        size = sizes[keys[index]]
        # A group that would go far beyond is left to the training.
        if count < wanted and (count == 0 or count + size <= 1.5 * wanted):
            drawn.add(keys[index])
            count += size
    return drawn


def _has_instances(labeled: LabeledSet) -> np.ndarray:
    """Mask of the images with an instance that is trained on, (I,), bool."""
    annotated = set(labeled.trained_images)
    return np.array([image['id'] in annotated for image in labeled.images])


def _check_instances(
    labeled: LabeledSet, images: Sequence[Mapping[str, Any]], validates: np.ndarray
) -> None:
    """Check that both sides have instances."""
    has = _has_instances(labeled)
    for side, mask in (('training', ~validates), ('validation', validates)):
        if not (has & mask).any():
            raise DataError(
                f'the {side} side of a split of {labeled.path} would have no instance: '
                f'{int(has.sum())} of {len(images)} images have one; name a json of '
                'other images with --val'
            )


def _side(content: Mapping[str, Any], keep: np.ndarray) -> dict[str, Any]:
    images = [im for im, kept in zip(content['images'], keep, strict=True) if kept]
    ids = {image['id'] for image in images}
    annotations = [a for a in content['annotations'] if a['image_id'] in ids]
    return {**content, 'images': images, 'annotations': annotations}
