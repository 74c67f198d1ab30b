"""Manifest of a store: its provenance, a nested mapping that must agree in every leaf.

A run may add to a store only if its manifest equals that of the store, except for the
images and the entries for readers. The kinds of stores are described for messages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmdistill.errors import StoreError
from mmdistill.store.generations import ChunkSpan, Generation, generations_in
from mmdistill.store.schema import BOX_AGREEMENT, OPTIONAL, VIEWS
from mmdistill.utils.files import json_sha256, read_json


@dataclass(frozen=True)
class StoreKind:
    """Kind of a store, with the words that messages use.

    Attributes:
        name: Name of the kind.
        option: Setting of its folder.
        section: Section that states batches and worker processes of its run.
        tool: Tool that writes it.
        doing: Action of its run on images.
        row: Name of its entries on an image.
    """

    name: str
    option: str
    section: str
    tool: str
    doing: str
    row: str


LABELS = StoreKind(
    name='label store',
    option='distill.store',
    section='distill.labeling',
    tool='tools/label.py',
    doing='labeling',
    row='candidates',
)
DETECTIONS = StoreKind(
    name='detection store',
    option='distill.detector.boxes',
    section='distill.detector',
    tool='tools/detect.py',
    doing='detecting on',
    row='boxes',
)
BOX_LABELS = StoreKind(
    name='detection store',
    option='distill.store',
    section='distill.labeling',
    tool='tools/label.py',
    doing='labeling',
    row='boxes',
)
"""A detection store whose boxes become the pseudo-labels of a detector."""


FORMAT = 2
"""Version of the store's columns; a store of another one cannot be read."""
LATER = ('flip_indices', 'views.flip_indices')
"""Leaves that were added to manifests of this format later."""
LATER_IF_COMPLETE = ('views.agreement',)
"""Leaves without which a store is older and differs: it is used, and not added to."""
MOST = 2**40
"""Exclusive upper limit of numbers of images."""


def read_manifest(path: Path, kind: StoreKind = LABELS) -> dict[str, Any]:
    """Read a store's manifest.

    Args:
        path: The file.
        kind: What the store holds.

    Raises:
        UserError: If there is none, the file is not a manifest of this package, or the
            store has another format.
    """
    if not path.is_file():
        raise StoreError(
            f'{path.parent} holds no {kind.name} (no {path.name}); '
            f'make one with {kind.tool}'
        )
    remedy = (
        f'Remove it and run {kind.tool} again: chunks that still belong to what is '
        'labeled stay'
    )
    manifest = read_json(path, 'the manifest', remedy, StoreError)
    try:
        _check_format(path, manifest.get('format', FORMAT), kind)
        counts = [generation.count for generation in generations_in(manifest)]
        for count in (manifest['chunk_size'], *counts):
            if type(count) is not int or not 0 < count < MOST:
                raise ValueError(f'a number of images cannot be {count!r}')
        keypoints, about = manifest['keypoints'], manifest['about']
        texts = [*keypoints, about['img_root']]
        if not isinstance(keypoints, list) or not all(
            isinstance(text, str) for text in texts
        ):
            raise ValueError(f'keypoints and img_root must be texts, got {texts!r}')
        if not isinstance(about.get('detector', {}), dict):
            raise ValueError(f'the detector cannot be {about["detector"]!r}')
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f'the manifest {path} is not one of mmdistill (wrong: {error}); it is '
            f'damaged, or of another version. {remedy}'
        ) from error
    # The first format had no number.
    _check_format(path, manifest.get('format', 1), kind)
    return manifest


def identity(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Select the entries that must agree for labels to share a store.

    These are all but the entries for readers (`about`) and the images, to which more
    may be added.

    Args:
        manifest: The manifest of a store or of a run.
    """
    left_out = ('about', 'images')
    return {key: value for key, value in manifest.items() if key not in left_out}


def optional_columns(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """List the columns that a store has besides those that all stores have.

    Args:
        manifest: The manifest of the store.
    """
    recorded = {
        VIEWS: 'adaptive' in manifest.get('views', {}),
        BOX_AGREEMENT: 'views' in manifest.get('detector', {}),
    }
    return tuple(name for name in OPTIONAL if recorded[name])


def made_boxes(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Select the provenance of the boxes, for messages; boxes themselves are compared.

    Args:
        manifest: The manifest of a store or of a run.
    """
    return {'detector': manifest['about'].get('detector', {})}


def origin(manifest: Mapping[str, Any], generation: Generation, *position: int) -> str:
    """Compute the identity of a file: its store, its images and its position.

    Args:
        manifest: The manifest of the store.
        generation: The images.
        *position: Position among the images; none for their list.
    """
    return json_sha256([identity(manifest), asdict(generation), *position])


def chunk_origin(manifest: Mapping[str, Any], span: ChunkSpan, index: int) -> str:
    """Compute the identity of a chunk.

    Args:
        manifest: The manifest of the store.
        span: The images of the chunk.
        index: Number of the chunk.
    """
    generation = generations_in(manifest)[span.generation]
    return origin(manifest, generation, span.start, index)


def differences(
    stored: Mapping[str, Any], wanted: Mapping[str, Any], *, complete: bool = False
) -> list[str]:
    """List the differences of two manifests, a line for each leaf.

    A leaf that is missing in an older store is not a difference, see `unrecorded`.

    Args:
        stored: The manifest of the store.
        wanted: The manifest of the run that is to add to it.
        complete: Whether the run has nothing to add.
    """
    left, right = dict(_leaves(stored)), dict(_leaves(wanted))
    older = {*unrecorded(stored, wanted, complete=complete)}
    return [
        f'{name}: the store has {left.get(name)}, this run {right.get(name)}'
        for name in sorted((left.keys() | right.keys()) - older)
        if left.get(name) != right.get(name)
    ]


def unrecorded(
    stored: Mapping[str, Any], wanted: Mapping[str, Any], *, complete: bool = False
) -> list[str]:
    """List leaves of a run that are missing in its store, which is older.

    Args:
        stored: The manifest of the store.
        wanted: The manifest of the run that is to add to it.
        complete: Whether the run has nothing to add, so that nothing is mixed.
    """
    left, right = dict(_leaves(stored)), dict(_leaves(wanted))
    later = (*LATER, *LATER_IF_COMPLETE) if complete else LATER
    return [name for name in later if name in right and name not in left]


def _check_format(path: Path, stored: Any, kind: StoreKind) -> None:
    """Refuse a store of another format."""
    if stored != FORMAT:
        raise StoreError(
            f'the {kind.name} {path.parent} has format {stored}, this mmdistill reads '
            f'and writes format {FORMAT}; name another folder in {kind.option} and run '
            f'{kind.tool} again'
        )


def _leaves(manifest: Mapping[str, Any], prefix: str = '') -> Iterator[tuple[str, Any]]:
    """Leaves of a nested mapping with their dotted names."""
    for key, value in manifest.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f'{prefix}{key}.')
        else:
            yield f'{prefix}{key}', value
