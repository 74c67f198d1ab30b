"""Detections, and a list of images that they are of."""

from __future__ import annotations

import numpy as np

from mmdistill.datasets.sources.image_list import ImageList

KNOWN = ImageList(['a.jpg', 'b.jpg', 'c.jpg'], [1, 2, 3], np.array([[64, 48]] * 3))


def detection(image_id=1, bbox=(2, 3, 10, 20), score=0.5, category_id=1):
    return dict(
        image_id=image_id, category_id=category_id, bbox=list(bbox), score=score
    )
