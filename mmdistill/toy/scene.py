"""One image of the toy data set: figures, occluders and the camera.

Convention: (x, y) pixels of the image with pixel centers at integers.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mmdistill.toy.background import draw_object, sample_background
from mmdistill.toy.figure import draw_figure, sample_outfit
from mmdistill.toy.pose import Pose, sample_pose

OUT_OF_IMAGE, OCCLUDED, VISIBLE = 0, 1, 2

_WIDTHS = (192, 224, 256)
_HEIGHT = 192
_FIGURE_COUNT_SHARES = (0.15, 0.3, 0.28, 0.17, 0.1)
# Two figures may overlap, but one must not vanish behind the other.
_MAX_BOX_IOU = 0.3
_MAX_PLACEMENTS = 12


@dataclass(frozen=True)
class Figure:
    """Ground truth of one figure.

    Attributes:
        keypoints: (17, 2) pixels, joints out of the image included.
        visible: (17,) int, COCO's flag: 0 out of image, 1 occluded, 2 visible.
        bbox: (4,) x, y, width, height of the silhouette within the image,
            occluded parts included.
        area: Pixels of that silhouette.
    """

    keypoints: np.ndarray
    visible: np.ndarray
    bbox: np.ndarray
    area: int


@dataclass
class _Drawn:
    """A drawn figure and the pixels that later shapes cover."""

    pose: Pose
    silhouette: np.ndarray
    covered: np.ndarray


def sample_scene(rng: np.random.Generator) -> tuple[np.ndarray, list[Figure]]:
    """Sample and draw one image.

    Args:
        rng: Random generator; the scene depends on nothing else.

    Returns:
        The (H, W, 3) uint8 BGR image and the ground truth of its figures,
        possibly none.
    """
    image = sample_background(rng, (int(rng.choice(_WIDTHS)), _HEIGHT))
    drawn: list[_Drawn] = []
    for pose in _sample_poses(rng, image.shape[1]):
        silhouette = draw_figure(image, pose, sample_outfit(rng))
        _cover(drawn, silhouette)
        drawn.append(_Drawn(pose, silhouette, np.zeros_like(silhouette)))
    for _ in range(rng.integers(0, 4)):
        _cover(drawn, draw_object(rng, image))
    return _photograph(rng, image), [_ground_truth(figure) for figure in drawn]


def _sample_poses(rng: np.random.Generator, width: int) -> list[Pose]:
    """Sample poses whose boxes overlap by at most `_MAX_BOX_IOU`."""
    count = rng.choice(len(_FIGURE_COUNT_SHARES), p=_FIGURE_COUNT_SHARES)
    poses: list[Pose] = []
    for _ in range(_MAX_PLACEMENTS):
        if len(poses) == count:
            break
        height = rng.uniform(90, 160) / (1 + 0.12 * (count - 1))
        center = rng.uniform([0.08, 0.38], [0.92, 0.68]) * [width, _HEIGHT]
        roll = np.deg2rad(rng.normal(0, 13))
        pose = sample_pose(rng).to_pixels(center, height, roll)
        if all(_box_iou(pose, other) <= _MAX_BOX_IOU for other in poses):
            poses.append(pose)
    return poses


def _box_iou(one: Pose, other: Pose) -> float:
    """Intersection over union of the boxes around two poses."""
    low_a, high_a = one.keypoints.min(0), one.keypoints.max(0)
    low_b, high_b = other.keypoints.min(0), other.keypoints.max(0)
    overlap = np.minimum(high_a, high_b) - np.maximum(low_a, low_b)
    shared = np.prod(np.maximum(overlap, 0))
    total = np.prod(high_a - low_a) + np.prod(high_b - low_b)
    return float(shared / (total - shared))


def _cover(drawn: list[_Drawn], silhouette: np.ndarray) -> None:
    for figure in drawn:
        figure.covered |= silhouette


def _ground_truth(drawn: _Drawn) -> Figure:
    """Derive box, area and visibility from the silhouettes."""
    height, width = drawn.silhouette.shape
    keypoints = drawn.pose.keypoints
    nearest = np.floor(keypoints + 0.5).astype(int)
    inside = ((nearest >= 0) & (nearest < [width, height])).all(1)
    x, y = np.clip(nearest, 0, [width - 1, height - 1]).T
    occluded = (drawn.covered[y, x] > 0) | drawn.pose.hidden
    visible = np.where(occluded, OCCLUDED, VISIBLE)
    return Figure(
        keypoints=keypoints,
        visible=np.where(inside, visible, OUT_OF_IMAGE),
        bbox=np.array(cv2.boundingRect(drawn.silhouette)),
        area=int(np.count_nonzero(drawn.silhouette)),
    )


def _photograph(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Blur, relight and add sensor noise: (H, W, 3) uint8."""
    sigma = rng.uniform(0.3, 0.9)
    light = rng.uniform(0.65, 1.15) * rng.uniform(0.9, 1.1, 3)
    photo = cv2.GaussianBlur(image, (0, 0), sigma) * light + rng.uniform(-20, 30)
    photo += rng.normal(0, rng.uniform(1, 6), image.shape)
    return np.clip(photo, 0, 255).astype(np.uint8)
