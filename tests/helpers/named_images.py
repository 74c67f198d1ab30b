"""Unlabeled images that are names only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class NamedImages:
    """Images that are names only, each one box."""

    def __init__(self, paths: Sequence[str], boxes: str = 'whole') -> None:
        self.paths = list(paths)
        self.boxes = boxes

    def boxes_sha256(self, numbers: np.ndarray) -> str:
        return self.boxes
