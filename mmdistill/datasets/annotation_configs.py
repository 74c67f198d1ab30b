"""The labeled and validation sets of a config, read strictly before anything runs."""

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
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from mmdistill.config.datasets import (
    is_pseudo,
    members_of,
    registered_dataset,
    unparsed_metainfo,
)
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
from mmdistill.errors import UserError
from mmdistill.utils.files import write_bytes

OWN_READING = ('load_data_list', '_load_annotations', 'parse_data_info')
"""Methods of a data set whose annotations have a form of their own."""


ROLES = {'train': 'labeled', 'val': 'validation', 'test': 'test'}
TRAINING = ('train', 'val')
TEST = ('test',)


def with_read_annotations(
    config: Config,
    folder: Path | None = None,
    loaders: Sequence[str] = TRAINING,
    images: bool = True,
) -> tuple[Config, list[str]]:
    """Read the labeled and validation json of a config, and have it train on that.

    A file that MMPose would not read as it is meant is written anew, in the form that
    it reads, below the work folder, and stands in the config in its place; the user's
    file stays as it is. The log says how many annotations train and why others do not.

    Args:
        config: A config with or without a `distill` section; it stays as it is.
        folder: Folder of what is written; `annotations` of the work folder by default.
            With one, nothing is logged.
        loaders: Whose data sets are read: those of training, or that of a test.
        images: Whether images are needed, and so looked for; counting does without.

    Returns:
        The config, and for each file the sentence that says what trains.

    Raises:
        UserError: If a file contradicts itself, the config or its images, or images
            that are trained on are not there.
    """
    config = copy.deepcopy(config)
    written_to = folder or annotations_folder(config)
    read, replaced = {}, {}
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
        used, found = read_ann_file(role, path, names, img_root, written_to, images)
        verb = 'train' if role == 'labeled' else 'count'
        read[path] = f'the {role} set {found.summary(verb)}'
        if used != path:
            member['ann_file'] = replaced[path.resolve()] = str(used)
    evaluators = (
        each
        for loader in loaders
        for each in _evaluators(config.get(f'{loader}_evaluator'))
    )
    for evaluator in evaluators:
        stated = evaluator.get('ann_file')
        if stated and Path(stated).resolve() in replaced:
            evaluator['ann_file'] = replaced[Path(stated).resolve()]
    if folder is None:
        for sentence in read.values():
            print_log(sentence, logger='current')
    return config, list(read.values())


def annotations_folder(config: Config) -> Path:
    """Folder of the annotations that are written anew for a config.

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
    """Read a json, and write it anew where MMPose would not read what it means.

    Args:
        role: The set's role, for the sentences.
        path: The json.
        names: Names of the config's keypoints, (K,).
        img_root: Folder of its images.
        folder: Folder of what is written, by a name that tells its content.
        images: Whether its images are looked for.

    Returns:
        The json to use, the user's own where it is in form, and what was read.

    Raises:
        UserError: If the json contradicts itself, the config or its images.
    """
    found, whole = _read(role, path, names, img_root, images)
    if whole is None:
        return path, found
    written = folder / f'{path.stem}-{hashlib.sha256(whole).hexdigest()[:8]}.json'
    if not written.is_file():
        write_bytes(written, whole)
    return written.resolve(), found


def _members(config: Config, loaders: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Data sets of some loaders, with their roles, each to be changed in place."""
    for loader in loaders:
        sets = [(config.get(f'{loader}_dataloader') or {}).get('dataset')]
        if loader == 'train':
            section = config.get('distill')
            sets.append(section.get('labeled') if isinstance(section, dict) else None)
        for dataset in filter(None, sets):
            for member in members_of(dataset):
                if not is_pseudo(member) and _is_pose_set(config, member):
                    yield ROLES[loader], member


def _is_pose_set(config: Config, member: Mapping[str, Any]) -> bool:
    """Whether a data set is one of MMPose, and not of a detector's training."""
    scope, _, name = str(member.get('type')).rpartition('.')
    own = scope.partition('.')[0] or config.get('default_scope') or 'mmpose'
    return bool(name) and own in ('mmpose', 'mmdistill')


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
    stated = member.get('ann_file')
    return Path(member.get('data_root') or '', stated) if stated else None


def _img_root(member: Mapping[str, Any]) -> Path:
    prefix = (member.get('data_prefix') or {}).get('img') or ''
    return Path(member.get('data_root') or '', prefix)


def keypoint_names_of(member: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the keypoints of a data set, in their order, (K,).

    Args:
        member: Its config.
    """
    parsed = parse_pose_metainfo(unparsed_metainfo(member))
    names = parsed['keypoint_id2name']
    return tuple(names[number] for number in range(parsed['num_keypoints']))


def _read(
    role: str, path: Path, names: Sequence[str], img_root: Path, images: bool
) -> tuple[CocoAnnotations, bytes | None]:
    """What a file says, and the bytes that stand in for it; None where it can stay."""
    found = read_annotations(
        path, names, lambda name: size_of_image(img_root / name.replace('\\', '/'))
    )
    if images:
        find_images(role, found, img_root)
        check_sizes(found, lambda name: size_of_image(img_root / name))
    if role == 'labeled' and not found.trained:
        raise UserError(
            f'the labeled set {path} has no instance that would be trained on, so '
            f'there is no count to match: {found.summary()}'
        )
    content, found.content = found.content, {}  # not to be kept in memory
    if not found.changes and content == json.loads(_text(path)):
        return found, None
    return found, json.dumps(content).encode()


def _text(path: Path) -> str:
    return path.read_text(encoding='utf-8-sig')


def _evaluators(evaluators: Any) -> Iterator[Any]:
    for each in evaluators if isinstance(evaluators, Sequence) else [evaluators]:
        if each:
            yield each
            yield from _evaluators(each.get('metrics'))
