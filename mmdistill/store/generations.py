"""Which image stands in which chunk, also after images came to the pile.

The images that a store began with are its first generation, in the order of their
list. Images that come later are the next generation, in the order of theirs: they
stand behind the others, in chunks of their own, so that no chunk ever changes. An
image never leaves a store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from mmdistill.utils.files import json_sha256


class UnlabeledImages(Protocol):
    """What a store must know of the images: names and boxes, both pinned."""

    @property
    def paths(self) -> Sequence[str]:
        """Paths relative to the image root, with forward slashes, each once."""
        ...

    def boxes_sha256(self, numbers: np.ndarray) -> str:
        """Hash of the boxes of some images, in this order, (n,)."""
        ...


@dataclass(frozen=True)
class Generation:
    """Images that joined a store together.

    Attributes:
        count: How many.
        paths: Hash of their paths.
        boxes: Hash of their boxes.
    """

    count: int
    paths: str
    boxes: str


@dataclass(frozen=True)
class ChunkSpan:
    """A chunk's place: images `start` to `stop` of the store, one generation."""

    generation: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def generation_of(pile: UnlabeledImages, numbers: np.ndarray) -> Generation:
    """Some images of a pile as a generation.

    Args:
        pile: The images.
        numbers: Positions in the pile, (n,).
    """
    paths = pile.paths
    return Generation(
        len(numbers),
        json_sha256([paths[number] for number in numbers]),
        pile.boxes_sha256(numbers),
    )


def chunk_spans(generations: Sequence[Generation], chunk_size: int) -> list[ChunkSpan]:
    """The places of all chunks, in their order.

    Args:
        generations: The generations of a store.
        chunk_size: Most images in a chunk.
    """
    found = []
    start = 0
    for number, generation in enumerate(generations):
        end = start + generation.count
        found += [
            ChunkSpan(number, first, min(first + chunk_size, end))
            for first in range(start, end, chunk_size)
        ]
        start = end
    return found


def images_entry(generations: Sequence[Generation]) -> dict[str, Any]:
    """What a manifest says of the images, as JSON values."""
    return {
        'count': sum(generation.count for generation in generations),
        'generations': [asdict(generation) for generation in generations],
    }


def generations_in(manifest: Mapping[str, Any]) -> list[Generation]:
    """The generations that a manifest names."""
    return [Generation(**entry) for entry in manifest['images']['generations']]


def disagreements(
    generations: Sequence[Generation], stored: Sequence[str], pile: UnlabeledImages
) -> list[str]:
    """Lines that say how a pile contradicts what a store holds of it.

    Args:
        generations: The generations of the store.
        stored: Paths of the store's images, in its order.
        pile: The images of the run.
    """
    numbers = {path: number for number, path in enumerate(pile.paths)}
    gone = gone_images(stored, pile)
    if gone:
        shown = ', '.join(gone[:3]) + (', …' if len(gone) > 3 else '')
        return [f'images: {len(gone)} of the store are not in this run: {shown}']
    lines = []
    start = 0
    for generation in generations:
        end = start + generation.count
        boxes = pile.boxes_sha256(np.array([numbers[p] for p in stored[start:end]]))
        if boxes != generation.boxes:
            lines.append(
                f'boxes of images {start + 1} to {end}: the store has '
                f'{generation.boxes}, this run {boxes}'
            )
        start = end
    return lines


def gone_images(stored: Sequence[str], pile: UnlabeledImages) -> list[str]:
    """Images of a store that a run does not have, in the store's order.

    Args:
        stored: Paths of the store's images.
        pile: The images of the run.
    """
    present = set(pile.paths)
    return [path for path in stored if path not in present]


def store_order(
    stored: Sequence[str], pile: UnlabeledImages
) -> tuple[np.ndarray, np.ndarray]:
    """Where the images of a pile stand in a store.

    Args:
        stored: Paths of the store's images, in its order; all are in the pile.
        pile: The images of the run.

    Returns:
        Positions in the pile of the store's images, in its order, and of those
        that are not in it, in the pile's order; int64.
    """
    position = {path: place for place, path in enumerate(stored)}
    places_ = np.array([position.get(path, -1) for path in pile.paths], dtype=np.int64)
    old = np.flatnonzero(places_ >= 0)
    return old[np.argsort(places_[old])], np.flatnonzero(places_ < 0)
