"""Crops of images with a candidate drawn on them, and the images of a store."""

from __future__ import annotations

from pathlib import Path

import cv2
import mmcv
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle

from mmdistill.datasets.sources.packed_images import PackedImages
from mmdistill.errors import DataError
from mmdistill.reports.skeleton import Skeleton
from mmdistill.store import Candidates
from mmdistill.store.image_keys import image_file, is_packed

PADDING = 1.35
"""Side of a crop, in longer sides of the box."""
POSE_PADDING = 2.0
"""The same for the bounding box of keypoints, which is smaller than the body."""
DOT = 20.0
"""Area of the dot of a visible keypoint, squared points."""
RIM = 1.2
"""Width of the rim of a link, on both sides together, points."""
OUTSIDE = '#e4e4e4'
"""Color beyond the image."""
BOX, IGNORED = '#35d0ba', '#ffb454'
"""Colors of a box that is a label itself, and of one that is ignored."""


def read_image(path: Path) -> np.ndarray:
    """Read an image file as for labeling.

    Args:
        path: The file.

    Returns:
        RGB, (H, W, 3), uint8.

    Raises:
        DataError: If it is missing or not an image.
    """
    try:
        image = mmcv.imread(path, channel_order='rgb')
    except (OSError, cv2.error):
        image = None
    if image is None:
        raise DataError(f'the image {path} of the label store cannot be read')
    return image


def square_around(bbox: np.ndarray, padding: float = PADDING) -> np.ndarray:
    """Compute the square around a box, so that all crops have one shape.

    Args:
        bbox: Box (x1, y1, x2, y2) in pixels of the image, (4,).
        padding: Side of the square, in longer sides of the box.

    Returns:
        Corners (x1, y1, x2, y2) in pixels of the image, (4,).
    """
    center = (bbox[:2] + bbox[2:]) / 2
    half = max(float((bbox[2:] - bbox[:2]).max()) * padding / 2, 1.0)
    return np.concatenate([center - half, center + half])


def crop_window(candidate: Candidates, image_size: np.ndarray) -> np.ndarray:
    """Compute the square in which a candidate is shown.

    It is around the box, or around the keypoints where the box is the whole image, on
    which an animal may be small. A candidate without keypoints has its box alone.

    Args:
        candidate: One candidate, without a leading dimension.
        image_size: Width and height of its image, (2,).

    Returns:
        Corners (x1, y1, x2, y2) in pixels of the image, (4,).
    """
    bbox, points = candidate.bboxes, candidate.keypoints.clip(0, image_size)
    is_part = (bbox[:2] > 0).any() or (bbox[2:] < image_size).any()
    if is_part or not len(points):
        return square_around(bbox)
    pose_box = np.concatenate([points.min(axis=0), points.max(axis=0)])
    return square_around(pose_box, POSE_PADDING)


def draw_crop(
    axes: Axes,
    image: np.ndarray,
    candidate: Candidates,
    skeleton: Skeleton,
    visible: np.ndarray,
) -> None:
    """Draw a candidate: visible keypoints filled and joined, the others hollow.

    Where there are none, the box is the label.

    Args:
        axes: Axes to draw on; their data coordinates become pixels of the image,
            whole numbers at their centers.
        image: RGB, (H, W, 3).
        candidate: One candidate, without a leading dimension.
        skeleton: Links and colors.
        visible: Which of its keypoints are visible, (K,), bool.
    """
    window = crop_window(candidate, np.array(image.shape[1::-1]))
    _draw_window(axes, image, window)
    if not len(visible):
        draw_boxes(axes, candidate.bboxes[None], BOX)
        return
    x1, y1, x2, y2 = candidate.bboxes
    axes.add_patch(
        Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor='white', lw=0.8)
    )
    draw_pose(axes, candidate.keypoints, visible, skeleton)


def draw_boxes(axes: Axes, bboxes: np.ndarray, color: str, width: float = 1.6) -> None:
    """Draw boxes that are labels, on axes of their image.

    Args:
        axes: Axes to draw on; their limits stay.
        bboxes: Boxes (x1, y1, x2, y2) in the data coordinates of the axes, (n, 4).
        color: Their color.
        width: Width of their edges, points.
    """
    axes.autoscale(False)
    for x1, y1, x2, y2 in bboxes.tolist():
        # A dark rim keeps the color readable on a background of the same color.
        for edge, lw, alpha in (('black', width + RIM, 0.6), (color, width, 1.0)):
            corner, sides = (x1, y1), (x2 - x1, y2 - y1)
            axes.add_patch(
                Rectangle(
                    corner, *sides, fill=False, edgecolor=edge, lw=lw, alpha=alpha
                )
            )


def draw_pose(
    axes: Axes,
    keypoints: np.ndarray,
    visible: np.ndarray,
    skeleton: Skeleton,
    areas: np.ndarray | None = None,
    width: float = 2.2,
) -> None:
    """Draw a pose on axes of its image: visible keypoints filled and joined.

    Args:
        axes: Axes to draw on; their limits stay.
        keypoints: Coordinates in the data coordinates of the axes, (K, 2).
        visible: Which of them are visible, (K,), bool.
        skeleton: Links and colors.
        areas: Areas of the dots of visible keypoints, squared points, (K,); equal ones
            when None.
        width: Width of links, points.
    """
    joined = visible[skeleton.links].all(axis=1)
    segments = keypoints[skeleton.links[joined]]
    # A dark rim keeps a color readable on a background of the same color.
    rim = width + RIM
    axes.add_collection(LineCollection(segments, colors='black', lw=rim, alpha=0.6))
    axes.add_collection(
        LineCollection(segments, colors=skeleton.link_colors[joined], lw=width)
    )
    if areas is None:
        areas = np.full(len(keypoints), DOT)
    _draw_keypoints(axes, keypoints, visible, skeleton.keypoint_colors, areas)


def _draw_window(axes: Axes, image: np.ndarray, window: np.ndarray) -> None:
    """Draw the part of an image within a window, gray beyond the image."""
    size = np.array(image.shape[1::-1])
    first = np.clip(np.floor(window[:2]).astype(int), 0, size - 1)
    last = np.clip(np.ceil(window[2:]).astype(int) + 1, first + 1, size)
    crop = image[first[1] : last[1], first[0] : last[0]]
    extent = (first[0] - 0.5, last[0] - 0.5, last[1] - 0.5, first[1] - 0.5)
    axes.imshow(crop, extent=extent, interpolation='bilinear')
    axes.set(xlim=window[[0, 2]], ylim=window[[3, 1]], xticks=[], yticks=[])
    axes.set_facecolor(OUTSIDE)


def _draw_keypoints(
    axes: Axes,
    keypoints: np.ndarray,
    visible: np.ndarray,
    colors: np.ndarray,
    areas: np.ndarray,
) -> None:
    # Before anything is scattered, which would widen the limits.
    axes.autoscale(False)
    x, y = keypoints[visible].T
    dots = areas[visible]
    axes.scatter(x, y, s=dots, c=colors[visible], edgecolors='black', lw=0.6)
    x, y = keypoints[~visible].T
    axes.scatter(x, y, s=16, facecolors='none', edgecolors=colors[~visible], lw=0.9)


class StoreImages:
    """Images of a store by their keys, as they were labeled.

    Frames of videos and members of tars are read from the files that were extracted
    for labels; others, as those of rejected candidates, from the video or the tar.

    Args:
        store: Folder of the store.
        img_root: Folder that keys are relative to.
    """

    def __init__(self, store: Path, img_root: Path) -> None:
        self.store = store
        self.img_root = img_root
        self._packed_images = PackedImages(img_root)

    def read(self, key: str) -> np.ndarray:
        """Read an image.

        Args:
            key: Its key.

        Returns:
            RGB, (H, W, 3), uint8.

        Raises:
            DataError: If it is missing or not an image.
        """
        file = image_file(self.store, self.img_root, key)
        packed = is_packed(key)
        if packed and file.is_file():
            return read_image(file)
        pixels = self._packed_images(key)
        if pixels is None and not packed:
            return read_image(file)
        if pixels is None:
            raise DataError(
                f'the image {key} of the label store {self.store} cannot be read '
                f'below {self.img_root}'
            )
        return pixels
