"""Labeled, validation and test sets of a config, checked before a stage runs."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log
from mmpose.datasets.datasets.base import BaseCocoStyleDataset

from mmdistill.config.datasets import (
    is_pseudo,
    members_of,
    parsed_metainfo,
    registered_dataset,
)
from mmdistill.config.loops import evaluators_of
from mmdistill.config.metainfo import keypoint_names
from mmdistill.config.recipe import stated_labeled
from mmdistill.datasets.coco.annotations import (
    CocoAnnotations,
    read_annotations,
)
from mmdistill.datasets.coco.images import (
    check_other_form,
    check_sizes,
    find_images,
    size_of_image,
)
from mmdistill.errors import DataError
from mmdistill.utils.files import write_bytes

OWN_READING = ('load_data_list', '_load_annotations', 'parse_data_info')
"""Methods that a data set with its own annotation format overrides."""


ROLES = {'train': 'labeled', 'val': 'validation', 'test': 'test'}
TRAINING = ('train', 'val')
TEST = ('test',)


def with_read_annotations(
    config: Config,
    folder: Path | None = None,
    loaders: Sequence[str] = TRAINING,
    images: bool = True,
) -> tuple[Config, list[str]]:
    """Check the annotation files of a config and normalize those MMPose would misread.

    A normalized copy is written below the work folder and replaces the file in the
    config; the user's file is unchanged. The log says how many annotations train and
    why others do not.

    Args:
        config: A config with or without a `distill` section; it is not changed.
        folder: Folder of normalized copies; by default `annotations` of the work
            folder. With a folder of its own nothing is logged.
        loaders: Loaders whose data sets are read: those of training, or that of a test.
        images: Whether the image files are checked; counting does not need them.

    Returns:
        The config, and one summary sentence per file.

    Raises:
        UserError: If a file contradicts itself, the config or its images, or images
            that are trained on are missing.
    """
    config = copy.deepcopy(config)
    copies_folder = folder or annotations_folder(config)
    summaries, replaced = {}, {}
    for role, member in _members(config, loaders):
        path = _ann_file(member)
        if path is None or not path.is_file():
            continue
        img_root = _img_root(member)
        if not _is_coco(member):
            if images:
                check_other_form(role, path, img_root)
            continue
        names = keypoint_names_of(member)
        used_path, annotations = read_ann_file(
            role, path, names, img_root, copies_folder, images
        )
        verb = 'train' if role == 'labeled' else 'count'
        summaries[path] = f'the {role} set {annotations.summary(verb)}'
        if used_path != path:
            member['ann_file'] = replaced[path.resolve()] = str(used_path)
    evaluators = (
        each
        for loader in loaders
        for each in evaluators_of(config.get(f'{loader}_evaluator'))
    )
    for evaluator in evaluators:
        ann_file = evaluator.get('ann_file')
        if ann_file and Path(ann_file).resolve() in replaced:
            evaluator['ann_file'] = replaced[Path(ann_file).resolve()]
    if folder is None:
        for sentence in summaries.values():
            print_log(sentence, logger='current')
    return config, list(summaries.values())


def annotations_folder(config: Config) -> Path:
    """Return the folder of normalized annotations of a config.

    Args:
        config: The config.
    """
    return Path(config.get('work_dir') or '.', 'annotations')


def read_ann_file(
    role: str,
    path: Path,
    names: Sequence[str],
    img_root: Path,
    folder: Path,
    images: bool = True,
) -> tuple[Path, CocoAnnotations]:
    """Read a json, and write a normalized copy where MMPose would misread it.

    Args:
        role: Role of the set, for messages.
        path: The json.
        names: Names of the config's keypoints, (K,).
        img_root: Folder of its images.
        folder: Folder of the normalized copy, whose name holds a hash of its content.
        images: Whether its images are checked.

    Returns:
        The json to use, the user's own if it is normal already, and its content.

    Raises:
        UserError: If the json contradicts itself, the config or its images.
    """
    annotations, normalized = _read_normalized(role, path, names, img_root, images)
    if normalized is None:
        return path, annotations
    written = folder / f'{path.stem}-{hashlib.sha256(normalized).hexdigest()[:8]}.json'
    if not written.is_file():
        write_bytes(written, normalized)
    return written.resolve(), annotations


def _members(config: Config, loaders: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Members of the data sets of some loaders with their roles, to change in place."""
    for loader in loaders:
        sets = [(config.get(f'{loader}_dataloader') or {}).get('dataset')]
        if loader == 'train':
            sets.append(stated_labeled(config))
        for dataset in filter(None, sets):
            for member in members_of(dataset):
                if not is_pseudo(member) and _is_pose_set(config, member):
                    yield ROLES[loader], member


def _is_pose_set(config: Config, member: Mapping[str, Any]) -> bool:
    """Whether a data set is one of MMPose, not one that trains a detector."""
    scope, _, name = str(member.get('type')).rpartition('.')
    scope_name = scope.partition('.')[0] or config.get('default_scope') or 'mmpose'
    return bool(name) and scope_name in ('mmpose', 'mmdistill')


def _is_coco(member: Mapping[str, Any]) -> bool:
    """Whether a data set reads a COCO json as MMPose's base class does."""
    kind = registered_dataset(member)
    return (
        isinstance(kind, type)
        and issubclass(kind, BaseCocoStyleDataset)
        and all(
            getattr(kind, name) is getattr(BaseCocoStyleDataset, name)
            for name in OWN_READING
        )
    )


def _ann_file(member: Mapping[str, Any]) -> Path | None:
    ann_file = member.get('ann_file')
    return Path(member.get('data_root') or '', ann_file) if ann_file else None


def _img_root(member: Mapping[str, Any]) -> Path:
    prefix = (member.get('data_prefix') or {}).get('img') or ''
    return Path(member.get('data_root') or '', prefix)


def keypoint_names_of(member: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the keypoint names of a data set, in order, (K,).

    Args:
        member: Its config.

    Raises:
        UserError: If its type is not registered or states no keypoints.
    """
    return tuple(keypoint_names(parsed_metainfo(member)))


def _read_normalized(
    role: str, path: Path, names: Sequence[str], img_root: Path, images: bool
) -> tuple[CocoAnnotations, bytes | None]:
    """Content of a file, and its normalized copy as bytes; None if it needs none."""
    annotations = read_annotations(
        path, names, lambda name: size_of_image(img_root / name.replace('\\', '/'))
    )
    if images:
        find_images(role, annotations, img_root)
        check_sizes(annotations, lambda name: size_of_image(img_root / name))
    if role == 'labeled' and not annotations.trained:
        raise DataError(
            f'the labeled set {path} has no instance that would be trained on, so '
            f'there is no count to match: {annotations.summary()}'
        )
    content, annotations.content = annotations.content, {}  # frees its memory
    if not annotations.changes and content == json.loads(_text(path)):
        return annotations, None
    return annotations, json.dumps(content).encode()


def _text(path: Path) -> str:
    return path.read_text(encoding='utf-8-sig')
