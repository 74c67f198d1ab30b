"""Small images that are known by their gray value."""

from __future__ import annotations

import cv2
import numpy as np


def image(level):
    return cv2.imencode('.png', np.full((4, 5, 3), level, np.uint8))[1].tobytes()
