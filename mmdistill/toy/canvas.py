"""Anti-aliased shapes on an image, with the silhouette of what is drawn.

Convention: (x, y) pixels with pixel centers at integers; colors are BGR.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

Color = Sequence[float] | np.ndarray

# OpenCV takes fixed-point coordinates: 4 bits are steps of 1/16 pixel.
_SHIFT = 4


class Canvas:
    """Drawing surface over an image that records which pixels were covered.

    Attributes:
        image: (H, W, 3) uint8, changed in place.
        silhouette: (H, W) uint8, 255 where this canvas drew.
    """

    def __init__(self, image: np.ndarray) -> None:
        self.image = image
        self.silhouette = np.zeros(image.shape[:2], np.uint8)

    def polygon(self, points: np.ndarray, color: Color) -> None:
        """Fill a convex polygon.

        Args:
            points: (N, 2) corners in pixels.
            color: BGR in [0, 255].
        """
        fixed = np.round(points * (1 << _SHIFT)).astype(np.int32)
        cv2.fillConvexPoly(self.image, fixed, tuple(color), cv2.LINE_AA, _SHIFT)
        cv2.fillConvexPoly(self.silhouette, fixed, 255, cv2.LINE_8, _SHIFT)

    def disc(self, center: np.ndarray, radius: float, color: Color) -> None:
        """Fill a circle.

        Args:
            center: (2,) in pixels.
            radius: In pixels.
            color: BGR in [0, 255].
        """
        angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        self.polygon(center + radius * ring, color)

    def capsule(
        self,
        start: np.ndarray,
        end: np.ndarray,
        radii: tuple[float, float],
        color: Color,
    ) -> None:
        """Fill a tapered bar with round ends.

        Args:
            start: (2,) in pixels.
            end: (2,) in pixels.
            radii: Half the width at the start and at the end, pixels.
            color: BGR in [0, 255].
        """
        along = end - start
        length = max(float(np.hypot(*along)), 1e-6)
        normal = np.array([-along[1], along[0]]) / length
        first, second = normal * radii[0], normal * radii[1]
        quad = np.stack([start + first, end + second, end - second, start - first])
        self.polygon(quad, color)
        self.disc(start, radii[0], color)
        self.disc(end, radii[1], color)
