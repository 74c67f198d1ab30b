"""The kinds of stores, and what sentences call them.

What produced a store: a nested mapping that must agree in every leaf.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmdistill.errors import UserError
from mmdistill.store.generations import ChunkSpan, Generation, generations_in
from mmdistill.utils.files import json_sha256, read_json


@dataclass(frozen=True)
class StoreKind:
    """What a store holds, for sentences.

    Attributes:
        name: What it is called.
        option: The setting that names its folder.
        section: The section whose batches and worker processes its run has.
        tool: The tool that makes it.
        doing: What its run does with images.
        row: What is found on an image.
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


FORMAT = 2
"""Version of the store's columns; a store of another one cannot be read."""
LATER = ('flip_indices', 'views.flip_indices')
"""Leaves that manifests of this format did not have from the start."""
MOST = 2**40
"""More images than any store has."""


def read_manifest(path: Path, kind: StoreKind = LABELS) -> dict[str, Any]:
    """Read a store's manifest.

    Args:
        path: The file.
        kind: What the store holds.

    Raises:
        UserError: If there is none, it is not one of ours, or the store has another
            format.
    """
    if not path.is_file():
        raise UserError(
            f'{path.parent} holds no {kind.name} (no {path.name}); '
            f'make one with {kind.tool}'
        )
    remedy = (
        f'Remove it and run {kind.tool} again: chunks that still belong to what is '
        'labeled stay'
    )
    manifest = read_json(path, 'the manifest', remedy)
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
        raise UserError(
            f'the manifest {path} is not one of ours (wrong: {error}); it is damaged, '
            f'or of another version. {remedy}'
        ) from error
    # The first format did not say that it is one.
    _check_format(path, manifest.get('format', 1), kind)
    return manifest


def identity(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What must agree for labels to stand in one store.

    Not what is for readers (`about`), nor the images, of which more may come.

    Args:
        manifest: The manifest of a store or of a run.
    """
    left_out = ('about', 'images')
    return {key: value for key, value in manifest.items() if key not in left_out}


def made_boxes(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What made the boxes that labels stand on, for readers: boxes are compared.

    Args:
        manifest: The manifest of a store or of a run.
    """
    return {'detector': manifest['about'].get('detector', {})}


def origin(manifest: Mapping[str, Any], generation: Generation, *place: int) -> str:
    """Names the one place of a file: who labeled which images, and its place there.

    Args:
        manifest: The manifest of the store.
        generation: The images.
        place: The place among them; none for their list.
    """
    return json_sha256([identity(manifest), asdict(generation), *place])


def chunk_origin(manifest: Mapping[str, Any], place: ChunkSpan, index: int) -> str:
    """Names the one place of a chunk.

    Args:
        manifest: The manifest of the store.
        place: The images of the chunk.
        index: Its number.
    """
    generation = generations_in(manifest)[place.generation]
    return origin(manifest, generation, place.start, index)


def differences(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Lines that say where two manifests disagree, one a leaf.

    A store that was begun before a leaf was recorded does not disagree in it.

    Args:
        stored: The manifest of the store.
        wanted: The manifest of the run that wants to add to it.
    """
    left, right = dict(_leaves(stored)), dict(_leaves(wanted))
    return [
        f'{name}: the store has {left.get(name)}, this run {right.get(name)}'
        for name in sorted((left.keys() | right.keys()) - {*unrecorded(stored, wanted)})
        if left.get(name) != right.get(name)
    ]


def unrecorded(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Leaves of a run that its store was begun without, since it is older.

    Args:
        stored: The manifest of the store.
        wanted: The manifest of the run that wants to add to it.
    """
    left, right = dict(_leaves(stored)), dict(_leaves(wanted))
    return [name for name in LATER if name in right and name not in left]


def _check_format(path: Path, stored: Any, kind: StoreKind) -> None:
    if stored != FORMAT:
        raise UserError(
            f'the {kind.name} {path.parent} has format {stored}, this mmdistill reads '
            f'and writes format {FORMAT}; name another folder in {kind.option} and run '
            f'{kind.tool} again'
        )


def _leaves(manifest: Mapping[str, Any], prefix: str = '') -> Iterator[tuple[str, Any]]:
    for key, value in manifest.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f'{prefix}{key}.')
        else:
            yield f'{prefix}{key}', value
