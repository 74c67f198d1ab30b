"""The unlabeled images of a recipe: their sources, number and size on disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from glob import has_magic
from pathlib import Path
from typing import Any

from mmdistill.datasets.sources import Source
from mmdistill.datasets.sources.image_list import SUFFIXES
from mmdistill.datasets.sources.image_reader import ImageReader
from mmdistill.datasets.sources.patterns import find_files
from mmdistill.datasets.sources.source_list import SourceList, build_sources
from mmdistill.datasets.sources.video_source import index_video
from mmdistill.errors import DataError
from mmdistill.recipes.machine import Machine
from mmdistill.store.image_keys import TAR_SUFFIX, VIDEO_SUFFIXES, is_packed
from mmdistill.utils.files import file_name

FRAMES_A_SECOND = 6
"""Frames of a video that are labeled in a second of it: neighbors teach the same."""
MOST_CPU, MOST_GPU = 20_000, 200_000
"""Frames of all videos that are labeled, from which on fewer a second are taken."""
NEAR_DUPLICATE = 6
"""Bits of 256 up to which a frame is the same as the one before."""
LIST_SUFFIXES = ('.txt', '.lst', '.list')


@dataclass(frozen=True)
class UnlabeledSet:
    """Unlabeled images and how a recipe names them.

    Attributes:
        section: The `distill.unlabeled` section, without boxes.
        images: Number of images.
        every: Step in frames of videos; None without any.
        every_reason: Why this step.
        has_frames: Whether some are consecutive frames.
        frame_bytes: Size of all frames and members of tars as image files, bytes.
        description: What they are, in words.
    """

    section: dict[str, Any]
    images: int
    every: int | None
    every_reason: str
    has_frames: bool
    frame_bytes: float
    description: str


def describe_unlabeled(
    items: Sequence[str],
    machine: Machine,
    img_root: Path | None = None,
    every: int | None = None,
    known: Collection[Path] = (),
) -> UnlabeledSet:
    """Find the unlabeled images of folders, videos, COCO jsons, tars, lists, patterns.

    Args:
        items: Paths and patterns.
        machine: The machine, by which the number of video frames is limited.
        img_root: Folder of the images of jsons and lists; None for the json's own
            folder.
        every: Stated step in frames of videos.
        known: Files of labeled and validation images.

    Raises:
        DataError: If an item does not exist or has no image, or all images are labeled
            or validation images.
    """
    configs = [_source(item, img_root) for item in items]
    root = _common_root(configs)
    videos = [config for config in configs if config['type'] == 'VideoSource']
    step, reason = (None, '')
    if videos:
        step, reason = _step(videos, machine, every)
        for video in videos:
            video.update(every=step, duplicate_distance=NEAR_DUPLICATE)
    relative = _named([_relative(config, root) for config in configs])
    images = SourceList(build_sources([_quick(config) for config in relative], root))
    _check_new(images, root, known, items)
    return UnlabeledSet(
        section=_section(relative, root),
        images=len(images),
        every=step,
        every_reason=reason,
        has_frames=any(source.has_sequences for source in images.sources),
        frame_bytes=_frame_bytes(images),
        description=f'{len(images)} images of {", ".join(items)}',
    )


def check_disk(unlabeled: UnlabeledSet, store: Path) -> None:
    """Check that the frames that will train fit on the disk of the label store.

    Args:
        unlabeled: The unlabeled set; all of its frames may be kept.
        store: Folder of the store, which need not exist.

    Raises:
        DataError: If they do not.
    """
    nearest = next(path for path in (store, *store.absolute().parents) if path.exists())
    free = shutil.disk_usage(nearest).free
    if unlabeled.frame_bytes > free:
        fewer = 'name a larger step with --every, ' if unlabeled.every else ''
        raise DataError(
            f'the {unlabeled.images} frames of the unlabeled set take about '
            f'{unlabeled.frame_bytes / 1e9:.2g} GB as images in {store}, and its disk '
            f'has {free / 1e9:.2g} GB free: {fewer}or free that much'.replace(
                ': or', ':'
            )
        )


def _source(item: str, img_root: Path | None) -> dict[str, Any]:
    """Config of the source of a path or pattern, its paths as they were typed."""
    path = Path(item)
    suffix = path.suffix.lower()
    if path.is_dir():
        return _of_folder(item)
    if not path.exists() and not (has_magic(item) or '{' in item):
        raise DataError(f'--unlabeled {item} does not exist')
    if suffix in VIDEO_SUFFIXES:
        return dict(type='VideoSource', path=item)
    if suffix == TAR_SUFFIX:
        return dict(type='TarSource', path=item)
    if suffix == '.json':
        return dict(type='CocoSource', ann_file=item, path=str(img_root or path.parent))
    if suffix in LIST_SUFFIXES:
        root = str(img_root or path.parent)
        return dict(type='ListSource', path=item, img_root=root)
    if suffix in SUFFIXES:
        return dict(type='GlobSource', pattern=item)
    raise DataError(
        f'--unlabeled {item} must be a folder, a video, an image, a COCO json, a tar, '
        f'a list ({", ".join(LIST_SUFFIXES)}) or a pattern of these'
    )


def _of_folder(item: str) -> dict[str, Any]:
    for suffixes, kind in (
        (SUFFIXES, 'FolderSource'),
        (VIDEO_SUFFIXES, 'VideoSource'),
        (frozenset({TAR_SUFFIX}), 'TarSource'),
    ):
        if find_files(Path(item), '.', suffixes).paths:
            return dict(type=kind, path=item)
    raise DataError(
        f'--unlabeled {item} is a folder without an image, a video or a tar'
    )


PATH_KEYS = ('path', 'pattern', 'ann_file', 'img_root')


def _common_root(configs: Sequence[dict[str, Any]]) -> Path:
    """The folder that all paths of the sources are below.

    Of a single folder, video or json it is the one above, so that names stay short.
    """
    paths = [config[key] for config in configs for key in PATH_KEYS if key in config]
    anchors = []
    for path in paths:
        parents = Path(path).parents
        literal = [p for p in parents if not (has_magic(str(p)) or '{' in str(p))]
        anchors.append(literal[0] if literal else Path())
    if any(anchor.is_absolute() for anchor in anchors):
        anchors = [anchor.absolute() for anchor in anchors]
    return Path(os.path.commonpath([str(anchor) for anchor in anchors]) or '.')


def _relative(config: dict[str, Any], root: Path) -> dict[str, Any]:
    absolute = root.is_absolute()
    return {
        key: Path(
            os.path.relpath(Path(value).absolute() if absolute else value, root)
        ).as_posix()
        if key in PATH_KEYS
        else value
        for key, value in config.items()
    }


def _named(configs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sources with names of their own, where several would have the same."""
    built = _default_names(configs)
    return [
        {'type': config['type'], 'name': f'{name}-{number}', **config}
        if built.count(name) > 1
        else config
        for number, (config, name) in enumerate(zip(configs, built, strict=True), 1)
    ]


def _default_names(configs: Sequence[dict[str, Any]]) -> list[str]:
    """Names that sources have by default."""
    sources: list[Source] = [
        build_sources([_quick(config)], Path())[0] for config in configs
    ]
    return [source.name for source in sources]


def _quick(config: dict[str, Any]) -> dict[str, Any]:
    """A source whose frames are counted without decoding them."""
    return {k: v for k, v in config.items() if k != 'duplicate_distance'}


def _step(
    videos: Sequence[dict[str, Any]], machine: Machine, stated: int | None
) -> tuple[int, str]:
    """Step in frames of all videos, and why."""
    if stated is not None:
        return stated, 'stated'
    frames, rate = 0, 0.0
    for video in videos:
        paths = find_files(Path(), video['path'], VIDEO_SUFFIXES).paths
        for path in paths:
            index = index_video(Path(path))
            frames += len(index.stamps)
            rate = max(rate, len(index.stamps) / max(index.length, 1e-9))
    step = max(1, round(rate / FRAMES_A_SECOND))
    reason = f'{rate / step:.3g} of {rate:.3g} a second, as neighbors teach the same'
    most = MOST_GPU if machine.gpus else MOST_CPU
    if frames / step > most:
        step = -(-frames // most)
        reason = f'at most {most} of {frames} frames'
    return step, reason


def _check_new(
    images: SourceList, root: Path, known: Collection[Path], items: Sequence[str]
) -> None:
    if not known:
        return
    resolved = {path.resolve() for path in known}
    keys = images.keys.to_pylist()
    if all(
        not is_packed(key) and (root / file_name(key)).resolve() in resolved
        for key in keys
    ):
        raise DataError(
            f'all {len(keys)} images of --unlabeled {" ".join(items)} are labeled or '
            'validation images, so there is none to label: name other ones'
        )


def _section(configs: Sequence[dict[str, Any]], root: Path) -> dict[str, Any]:
    """The section of a recipe, in its short form for one folder or json."""
    data_root = '' if root == Path() else f'{root.as_posix()}/'
    if len(configs) == 1 and configs[0]['type'] == 'FolderSource':
        prefix = dict(img=f'{configs[0]["path"]}/')
        return dict(data_root=data_root, data_prefix=prefix)
    if len(configs) == 1 and configs[0]['type'] == 'CocoSource':
        prefix = dict(img=f'{configs[0]["path"]}/')
        ann_file = configs[0]['ann_file']
        return dict(data_root=data_root, data_prefix=prefix, ann_file=ann_file)
    return dict(data_root=data_root, sources=list(configs))


def _frame_bytes(images: SourceList) -> float:
    """Size of all images that have no file of their own, by one of each source."""
    total = 0.0
    reader = ImageReader()
    for owner in range(len(images.sources)):
        numbers = (images.owners == owner).nonzero()[0]
        if len(numbers) == 0 or not is_packed(images.keys[int(numbers[0])].as_py()):
            continue
        encoded = images.encoded(int(numbers[0]), reader)
        total += len(numbers) * len(encoded or b'')
    return total
