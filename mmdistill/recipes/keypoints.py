"""Keypoints of a new data set: pairs, bones, sigmas and weights, with their sources."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmdistill.errors import ConfigError
from mmdistill.functional.keypoint_pairs import WORDS, find_pairs, lonely_sides
from mmdistill.functional.pose_rotations import spanning_bones
from mmdistill.recipes.labeled_set import LabeledSet

COCO_SIGMAS = {
    'nose': 0.026,
    'eye': 0.025,
    'ear': 0.035,
    'shoulder': 0.079,
    'elbow': 0.072,
    'wrist': 0.062,
    'hip': 0.107,
    'knee': 0.087,
    'ankle': 0.089,
}
"""Standard deviations of COCO's annotators, of `cocodataset.org/#keypoints-eval`."""
COCO_BONES = (
    *(('ankle', 'knee'), ('knee', 'hip'), ('hip', 'shoulder'), ('shoulder', 'elbow')),
    *(('elbow', 'wrist'), ('nose', 'eye'), ('eye', 'ear'), ('ear', 'shoulder')),
)
"""Parts that COCO joins on each side; the nose has none."""
COCO_ACROSS = ('hip', 'shoulder', 'eye')
"""Parts that COCO joins with their partner."""
CROWDPOSE_SIGMAS = {'neck': 0.079, 'head': 0.079, 'headtop': 0.079, 'tophead': 0.079}
"""Keypoints that COCO has not; CrowdPose gives them the shoulder's."""
DEFAULT_SIGMA = 0.05
"""Sigma where nothing is known: about that of a wrist or ankle."""
BODY = ('shoulder', 'elbow', 'wrist', 'hip', 'knee', 'ankle')
"""Parts that make a set one of bodies."""
LOWER = ('hip', 'knee', 'ankle', 'foot', 'heel', 'toe')
"""Parts of the lower half of a body."""
LIMB_WEIGHTS = {'elbow': 1.2, 'knee': 1.2, 'wrist': 1.5, 'ankle': 1.5}
"""Joint weights of MMPose's COCO: what moves most counts more."""
ANIMAL = re.compile('paw|tail|hoof|snout|wing|fin|beak|wither|antenna')
SHORT_PARTS = {
    'sho': 'shoulder',
    'elb': 'elbow',
    'wri': 'wrist',
    'kne': 'knee',
    'ank': 'ankle',
    'topofhead': 'headtop',
}
"""Parts that are written short."""


@dataclass(frozen=True)
class Keypoints:
    """Keypoints of a data set.

    Attributes:
        names: Their names, (K,).
        pairs: Numbers of left and right ones.
        pairs_source: How the pairs were found.
        lonely: Numbers of those with a side and without a partner.
        bones: Numbers of joined ones.
        bones_source: Where the bones are from.
        sigmas: Standard deviations for OKS, (K,).
        sigmas_source: Where they are from.
        weights: Weights in the loss, (K,).
        lower: Numbers of those of the lower half of a body.
        is_person: Whether they are those of a person's body.
    """

    names: tuple[str, ...]
    pairs: tuple[tuple[int, int], ...]
    pairs_source: str
    lonely: tuple[int, ...]
    bones: tuple[tuple[int, int], ...]
    bones_source: str
    sigmas: tuple[float, ...]
    sigmas_source: str
    weights: tuple[float, ...]
    lower: tuple[int, ...]
    is_person: bool

    @property
    def partner(self) -> dict[int, int]:
        """Partner of each keypoint that has one."""
        return {a: b for pair in self.pairs for a, b in (pair, pair[::-1])}

    @property
    def has_halves(self) -> bool:
        """Whether upper and lower body can be trained apart: MMPose asks for 9."""
        upper = len(self.names) - len(self.lower)
        return (
            self.is_person and len(self.names) >= 9 and min(upper, len(self.lower)) > 2
        )

    @property
    def pairs_table(self) -> str:
        """Pairs and single keypoints, to be looked at."""
        lines = [f'  {self.names[a]}  <->  {self.names[b]}' for a, b in self.pairs]
        single = [
            name for number, name in enumerate(self.names) if number not in self.partner
        ]
        lines += [f'  without a partner: {", ".join(single)}'] if single else []
        return '\n'.join(lines)


def describe_keypoints(
    labeled: LabeledSet, pairs: Sequence[tuple[str, str]] | None = None
) -> Keypoints:
    """Work out pairs, bones, sigmas and weights of a labeled set's keypoints.

    Args:
        labeled: The labeled set.
        pairs: Names of left and right keypoints; None to find them by their names.

    Raises:
        ConfigError: If a stated pair names keypoints that there are not, or one twice.
    """
    names = labeled.names
    parts = [part_of(name) for name in names]
    kinds = {part for part in parts if part in BODY}
    is_body = len(kinds) >= 4
    is_person = is_body and not any(ANIMAL.search(name.casefold()) for name in names)
    if pairs is None:
        found = tuple(find_pairs(names))
        pairs_source = 'found by their names' if found else 'none found in the names'
    else:
        found = _stated_pairs(names, pairs)
        pairs_source = 'stated'
    bones, bones_source = labeled.bones, f'those of {labeled.path.name}'
    if not bones:
        bones, bones_source = _coco_bones(parts, found), "COCO's own"
    if not bones:
        bones = tuple(spanning_bones(labeled.points, labeled.visible))
        bones_source = 'the shortest bones that join all keypoints, for pictures only'
    sigmas, sigmas_source = _sigmas(parts, is_body)
    return Keypoints(
        names=names,
        pairs=found,
        pairs_source=pairs_source,
        lonely=tuple(lonely_sides(names, found)) if pairs is None else (),
        bones=bones,
        bones_source=bones_source,
        sigmas=sigmas,
        sigmas_source=sigmas_source,
        weights=tuple(LIMB_WEIGHTS.get(p, 1.0) if is_body else 1.0 for p in parts),
        lower=tuple(i for i, part in enumerate(parts) if part in LOWER),
        is_person=is_person,
    )


def _coco_bones(
    parts: Sequence[str], pairs: Sequence[tuple[int, int]]
) -> tuple[tuple[int, int], ...]:
    """COCO's bones of the same keypoints in any order; none for other keypoints."""
    side = {number: place for pair in pairs for place, number in enumerate(pair)}
    number_of = {(part, side.get(i)): i for i, part in enumerate(parts)}
    known: set[tuple[str, int | None]] = {('nose', None)}
    known |= {(part, i) for part in COCO_SIGMAS if part != 'nose' for i in (0, 1)}
    if set(number_of) != known or len(parts) != len(known):
        return ()
    along = [
        (number_of[one, place if one != 'nose' else None], number_of[other, place])
        for one, other in COCO_BONES
        for place in (0, 1)
    ]
    across = [(number_of[part, 0], number_of[part, 1]) for part in COCO_ACROSS]
    return (*along, *across)


def part_of(name: str) -> str:
    """Part of a body that a keypoint is, its side and numbers taken off.

    Args:
        name: Name of the keypoint: `left_eye`, `LEye`, `Top of Head`.

    Returns:
        The part in lower case, without spaces: ``'eye'``, ``'headtop'``.
    """
    spaced = re.sub(r'(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])', ' ', name)
    words = [word for word in re.split(r'[\W_\d]+', spaced.casefold()) if word]
    sides = {side for pair in WORDS for side in pair} | {'l', 'r'}
    text = ''.join(word for word in words if word not in sides)
    known = {*COCO_SIGMAS, *CROWDPOSE_SIGMAS, *SHORT_PARTS, *LOWER}
    for side in ('left', 'right', 'l', 'r'):
        if text not in known and text.removeprefix(side) in known:
            text = text.removeprefix(side)
        if text not in known and text.removesuffix(side) in known:
            text = text.removesuffix(side)
    return SHORT_PARTS.get(text, text)


def _sigmas(parts: Sequence[str], is_body: bool) -> tuple[tuple[float, ...], str]:
    known = {**COCO_SIGMAS, **CROWDPOSE_SIGMAS}
    if not is_body:
        return (DEFAULT_SIGMA,) * len(parts), (
            f'none are published for these keypoints: all are {DEFAULT_SIGMA}, about '
            'those of a wrist or ankle in COCO'
        )
    from_coco = [part for part in parts if part in COCO_SIGMAS]
    median = round(float(np.median([COCO_SIGMAS[part] for part in from_coco])), 3)
    source = "COCO's own of the same keypoints"
    if any(part in CROWDPOSE_SIGMAS for part in parts):
        source += "; neck and head have the shoulder's, as in CrowdPose"
    if any(part not in known for part in parts):
        source += f'; those that COCO has not have the median of the others, {median}'
    return tuple(known.get(part, median) for part in parts), source


def _stated_pairs(
    names: Sequence[str], pairs: Sequence[tuple[str, str]]
) -> tuple[tuple[int, int], ...]:
    used = [name for pair in pairs for name in pair]
    for name in used:
        if name not in names:
            raise ConfigError(
                f'--pairs must name keypoints of the labeled set, got {name!r}; they '
                f'are {", ".join(names)}'
            )
        if used.count(name) > 1:
            raise ConfigError(
                f'--pairs must name each keypoint once, got {name!r} twice'
            )
    return tuple(sorted((names.index(a), names.index(b)) for a, b in pairs))
