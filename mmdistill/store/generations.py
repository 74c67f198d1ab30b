"""Generations of a store: the images of each chunk, also after images were added.

The images that a store began with are its first generation, in the order of their
list. Images that are added later are the next generation, in the order of theirs: they
follow the others, in chunks of their own, so that no chunk ever changes. An image never
leaves a store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from mmdistill.utils.files import json_sha256


class UnlabeledImages(Protocol):
    """Images of a store: their names and boxes, both fixed."""

    @property
    def paths(self) -> Sequence[str]:
        """Paths relative to the image root, with forward slashes, each once."""
        ...

    def boxes_sha256(self, numbers: np.ndarray) -> str:
        """Hash the boxes of some images.

        Args:
            numbers: Numbers of the images, in this order, (n,).
        """
        ...


@dataclass(frozen=True)
class Generation:
    """Images that were added to a store together.

    Attributes:
        count: Number of images.
        paths: Hash of their paths.
        boxes: Hash of their boxes.
    """

    count: int
    paths: str
    boxes: str


@dataclass(frozen=True)
class ChunkSpan:
    """Span of a chunk: images `start` to `stop` of the store, of one generation."""

    generation: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def generation_of(images: UnlabeledImages, numbers: np.ndarray) -> Generation:
    """Build a generation of some of the unlabeled images.

    Args:
        images: The unlabeled images.
        numbers: Indices of the images, (n,).
    """
    paths = images.paths
    return Generation(
        len(numbers),
        json_sha256([paths[number] for number in numbers]),
        images.boxes_sha256(numbers),
    )


def chunk_spans(generations: Sequence[Generation], chunk_size: int) -> list[ChunkSpan]:
    """Compute the spans of all chunks, in their order.

    Args:
        generations: The generations of a store.
        chunk_size: Maximum number of images in a chunk.
    """
    spans = []
    start = 0
    for number, generation in enumerate(generations):
        end = start + generation.count
        spans += [
            ChunkSpan(number, first, min(first + chunk_size, end))
            for first in range(start, end, chunk_size)
        ]
        start = end
    return spans


def images_entry(generations: Sequence[Generation]) -> dict[str, Any]:
    """Entry of the images in a manifest, as JSON values.

    Args:
        generations: The generations, in their order.
    """
    return {
        'count': sum(generation.count for generation in generations),
        'generations': [asdict(generation) for generation in generations],
    }


def generations_in(manifest: Mapping[str, Any]) -> list[Generation]:
    """Read the generations of a manifest.

    Args:
        manifest: The content of the manifest.
    """
    return [Generation(**entry) for entry in manifest['images']['generations']]


def disagreements(
    generations: Sequence[Generation], stored: Sequence[str], images: UnlabeledImages
) -> list[str]:
    """List contradictions between a store and the unlabeled images of a run.

    Args:
        generations: The generations of the store.
        stored: Paths of the store's images, in its order.
        images: The images of the run.
    """
    numbers = {path: number for number, path in enumerate(images.paths)}
    gone = gone_images(stored, images)
    if gone:
        shown = ', '.join(gone[:3]) + (', …' if len(gone) > 3 else '')
        return [f'images: {len(gone)} of the store are not in this run: {shown}']
    lines = []
    start = 0
    for generation in generations:
        end = start + generation.count
        boxes = images.boxes_sha256(np.array([numbers[p] for p in stored[start:end]]))
        if boxes != generation.boxes:
            lines.append(
                f'boxes of images {start + 1} to {end}: the store has '
                f'{generation.boxes}, this run {boxes}'
            )
        start = end
    return lines


def gone_images(stored: Sequence[str], images: UnlabeledImages) -> list[str]:
    """List images of a store that a run does not have, in the store's order.

    Args:
        stored: Paths of the store's images.
        images: The images of the run.
    """
    present = set(images.paths)
    return [path for path in stored if path not in present]


def store_order(
    stored: Sequence[str], images: UnlabeledImages
) -> tuple[np.ndarray, np.ndarray]:
    """Sort the images of a run into those of a store and new ones.

    Args:
        stored: Paths of the store's S images, in its order; the run has all of them.
        images: The I images of the run.

    Returns:
        Indices into the run's images of the store's images, in its order, (S,), and of
        those that are not in it, in the order of the run, (I - S,); int64.
    """
    position = {path: i for i, path in enumerate(stored)}
    order = np.array([position.get(path, -1) for path in images.paths], dtype=np.int64)
    old = np.flatnonzero(order >= 0)
    return old[np.argsort(order[old])], np.flatnonzero(order < 0)
