"""How keypoints are joined and coloured: MMPose's metainfo, ready to draw."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS


@dataclass(frozen=True)
class Skeleton:
    """Links and colours of `K` keypoints with `L` links.

    Attributes:
        links: Pairs of keypoints, (L, 2).
        link_colors: RGB in [0, 1], (L, 3).
        keypoint_colors: RGB in [0, 1], (K, 3).
    """

    links: np.ndarray
    link_colors: np.ndarray
    keypoint_colors: np.ndarray


def skeleton_of(dataset: Mapping[str, Any]) -> Skeleton:
    """Skeleton of a data set's config.

    Args:
        dataset: Its `metainfo` in MMPose's unparsed form, or a registered `type`
            that has one.
    """
    metainfo = dataset.get('metainfo') or DATASETS.get(dataset['type']).METAINFO
    parsed = parse_pose_metainfo(copy.deepcopy(dict(metainfo)))
    return Skeleton(
        links=np.array(parsed['skeleton_links'], dtype=int).reshape(-1, 2),
        link_colors=np.array(parsed['skeleton_link_colors']).reshape(-1, 3) / 255,
        keypoint_colors=np.array(parsed['keypoint_colors']) / 255,
    )
