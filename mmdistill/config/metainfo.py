"""Keypoints of a data set in the order of their numbers, wherever they are read.

MMPose numbers keypoints by the keys of `keypoint_info`, but builds `flip_indices` in
the order in which the keys stand. MMEngine writes configs with keys sorted as text,
so more than ten keypoints come back as 0, 1, 10, 11, …, 2, and the host then mirrors
the wrong ones. Here order is that of the numbers.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import mmpose
from mmengine.config import Config, ConfigDict

from mmdistill.utils.logging import warn

NUMBERED = ('keypoint_info', 'skeleton_info')
"""Parts of metainfo whose keys are numbers."""
READ_BY_HEADS = ('flip_indices', 'skeleton_links')
"""Metainfo of an image's sample that heads read which find its instances: the mirror
partners of keypoints, and the links between them.
"""


def in_number_order(entries: Mapping[Any, Any]) -> dict[Any, Any]:
    """Sort a mapping by the numbers that are its keys.

    Numbers that came as text, as JSON has them, become numbers. Where keys are none,
    the entries' own `id` takes their place. A mapping without either, or with a
    number twice, stays as it is.

    Args:
        entries: `keypoint_info` or `skeleton_info` of metainfo.

    >>> in_number_order({0: 'nose', 10: 'left_wrist', 2: 'right_eye'})
    {0: 'nose', 2: 'right_eye', 10: 'left_wrist'}
    """
    numbers = _numbers(entries) or _numbers(map(_own_id, entries.values()))
    if len(set(numbers)) < len(entries):
        return dict(entries)
    numbered = dict(zip(numbers, entries.values(), strict=True))
    return {number: numbered[number] for number in sorted(numbered)}


def ordered_metainfo(metainfo: Mapping[str, Any]) -> dict[str, Any]:
    """Copy unparsed metainfo with its keypoints and links in the order of numbers.

    A file that has them in another order is taken over into the metainfo.

    Args:
        metainfo: Metainfo in MMPose's unparsed form, of `keypoint_info` or
            `from_file`.
    """
    content = _content(metainfo)
    if not _out_of_order(content):
        return copy.deepcopy(dict(metainfo))
    ordered = copy.deepcopy(dict(content))
    for key in filter(ordered.get, NUMBERED):
        ordered[key] = in_number_order(ordered[key])
    return ordered


def order_keypoints(config: Any) -> int:
    """Bring all metainfo within a config into the order of numbers, in place.

    Says in one line which data sets stood in another order.

    Args:
        config: A config or a part of one.

    Returns:
        How many were out of order.
    """
    names = []
    for owner, key, metainfo in list(_all_metainfo(config)):
        if _out_of_order(_content(metainfo)):
            ordered = ordered_metainfo(metainfo)
            # Settings of a config are read as attributes too.
            owner[key] = ConfigDict(ordered)
            names.append(str(ordered.get('dataset_name')))
    if names:
        warn(
            f'keypoint_info of {", ".join(dict.fromkeys(names))} does not stand in the '
            'order of its numbers (MMEngine writes configs so); it is read in that '
            'order here, but tools of MMPose alone would mirror wrong keypoints with '
            'this config'
        )
    return len(names)


def loses_order(config: Any) -> bool:
    """Whether sorting keys as text would put keypoints of a config out of order.

    Args:
        config: A config or a part of one.
    """
    return any(
        sorted(entries, key=str) != list(in_number_order(entries))
        for _, _, metainfo in _all_metainfo(config)
        for entries in _numbered(metainfo)
    )


def keypoint_names(parsed: Mapping[str, Any]) -> list[str]:
    """Names of the keypoints of parsed metainfo, in their order, (K,).

    Args:
        parsed: Metainfo as MMPose parses it.
    """
    names = parsed['keypoint_id2name']
    return [names[number] for number in range(parsed['num_keypoints'])]


def true_flip_indices(parsed: Mapping[str, Any]) -> list[int]:
    """Mirror partners of the keypoints of parsed metainfo by its pairs, (K,).

    MMPose makes `flip_pairs` of names, so they are right in whatever order the
    keypoints stood; `flip_indices` are not.

    Args:
        parsed: Metainfo as MMPose parses it, also that of a checkpoint.
    """
    partners = list(range(len(parsed['flip_indices'])))
    # Each keypoint that has one stands behind its partner.
    for partner, keypoint in parsed['flip_pairs']:
        partners[int(keypoint)] = int(partner)
    return partners


def _all_metainfo(owner: Any) -> Iterator[tuple[Any, Any, Mapping[str, Any]]]:
    """All unparsed metainfo within a config: where it stands, its key, and itself."""
    if isinstance(owner, (Config, Mapping)):
        items: Any = owner.items()
    elif isinstance(owner, Sequence) and not isinstance(owner, (str, bytes)):
        items = enumerate(owner)
    else:
        return
    for key, value in items:
        if isinstance(value, Mapping) and _is_metainfo(value):
            yield owner, key, value
        else:
            yield from _all_metainfo(value)


def _is_metainfo(value: Mapping[str, Any]) -> bool:
    file = value.get('from_file')
    return isinstance(value.get('keypoint_info'), Mapping) or isinstance(file, str)


def _content(metainfo: Mapping[str, Any]) -> Mapping[str, Any]:
    """Metainfo itself, or what its file says where there is one."""
    if 'from_file' not in metainfo:
        return metainfo
    path = Path(str(metainfo['from_file']))
    if not path.is_file():
        # As MMPose looks for it; what it does not find, it refuses itself.
        folder = Path(mmpose.__file__).parent / '.mim/configs/_base_/datasets'
        path = folder / path.name
    if not path.is_file():
        return metainfo
    content = _read(path, path.stat().st_mtime_ns)
    return content if isinstance(content, Mapping) else metainfo


@lru_cache
def _read(path: Path, changed: int) -> Any:
    """Metainfo of a file; many data sets of a config share one."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return Config.fromfile(path).get('dataset_info')


def _numbered(metainfo: Mapping[str, Any]) -> Iterator[Mapping[Any, Any]]:
    for key in NUMBERED:
        entries = metainfo.get(key)
        if isinstance(entries, Mapping):
            yield entries


def _out_of_order(content: Mapping[str, Any]) -> bool:
    return any(
        list(entries) != list(in_number_order(entries))
        for entries in _numbered(content)
    )


def _own_id(entry: Any) -> Any:
    return entry.get('id') if isinstance(entry, Mapping) else None


def _numbers(keys: Iterable[Any]) -> list[int]:
    """Keys as numbers; nothing where one of them is none."""
    keys = list(keys)
    return [int(key) for key in keys] if all(map(_is_number, keys)) else []


def _is_number(key: Any) -> bool:
    if isinstance(key, str):
        return key.isdecimal()
    return isinstance(key, int) and not isinstance(key, bool)
