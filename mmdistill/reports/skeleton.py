"""Skeletons for drawing: links and colors of keypoints from MMPose's metainfo."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import mmpose.datasets  # noqa: F401  (registers the data sets)
import numpy as np
from mmengine.config import Config
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS

from mmdistill.config.datasets import labeled_part, unparsed_metainfo
from mmdistill.config.detectors import is_detector
from mmdistill.config.metainfo import ordered_metainfo
from mmdistill.config.recipe import stated_labeled
from mmdistill.errors import ConfigError


@dataclass(frozen=True)
class Skeleton:
    """Links and colors of `K` keypoints with `L` links.

    Attributes:
        links: Pairs of keypoints, (L, 2).
        link_colors: RGB in [0, 1], (L, 3).
        keypoint_colors: RGB in [0, 1], (K, 3).
    """

    links: np.ndarray
    link_colors: np.ndarray
    keypoint_colors: np.ndarray


def skeleton_of(dataset: Mapping[str, Any]) -> Skeleton:
    """Make the skeleton of a data set's config.

    Args:
        dataset: Its `metainfo` in MMPose's unparsed form, or a registered `type`
            that has one.
    """
    return _skeleton(_parsed(unparsed_metainfo(dataset)))


def skeleton_of_config(config: Config) -> Skeleton:
    """Make the skeleton of a config's test set, else of its validation or labeled set.

    Args:
        config: A config of MMPose; its `distill` section may be incomplete. One of a
            detector has no keypoints.

    Raises:
        UserError: If it has no data set, or its section states what cannot be.
    """
    if is_detector(config):
        return skeleton_of_names(())
    test, val, train = (
        (config.get(f'{split}_dataloader') or {}).get('dataset')
        for split in ('test', 'val', 'train')
    )
    dataset = test or val or stated_labeled(config) or train
    if dataset:
        return skeleton_of(labeled_part(dataset))
    raise ConfigError(
        f'{config.filename} has no data set that says how keypoints are joined; name '
        'one in distill.labeled'
    )


def skeleton_of_names(names: Sequence[str]) -> Skeleton:
    """Make the skeleton of the first data set of MMPose with these keypoints.

    Args:
        names: Names of the keypoints, in their order, (K,).

    Returns:
        Its links and colors; without such a data set no links, and cycling colors.
    """
    datasets = DATASETS.module_dict if names else {}
    # The most frequent one first: each further one is another file to read.
    for name in sorted(datasets, key=lambda name: name != 'CocoDataset'):
        metainfo = getattr(datasets[name], 'METAINFO', None)
        if not metainfo:
            continue
        parsed = _parsed(metainfo)
        if list(parsed['keypoint_id2name'].values()) == list(names):
            return _skeleton(parsed)
    colors = matplotlib.colormaps['tab10'](np.arange(len(names)) % 10)[:, :3]
    return Skeleton(np.zeros((0, 2), dtype=int), np.zeros((0, 3)), colors)


def _parsed(metainfo: Mapping[str, Any]) -> dict[str, Any]:
    with warnings.catch_warnings():
        # The file is MMPose's own and is not expected below this folder.
        warnings.filterwarnings('ignore', 'The metainfo config file')
        return parse_pose_metainfo(ordered_metainfo(metainfo))


def _skeleton(parsed: Mapping[str, Any]) -> Skeleton:
    return Skeleton(
        links=np.array(parsed['skeleton_links'], dtype=int).reshape(-1, 2),
        link_colors=np.array(parsed['skeleton_link_colors']).reshape(-1, 3) / 255,
        keypoint_colors=np.array(parsed['keypoint_colors']) / 255,
    )
