"""As much of a `PseudoLabelDataset` as is checked and told before a training."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from mmdistill.datasets import PseudoLabelDataset
from mmdistill.selection import Selection


class Pseudo(PseudoLabelDataset):
    """So many pseudo-labels of a selection, without the labels."""

    def __init__(
        self, count: int, keypoints: int, selection: Selection, root: str = 'store'
    ) -> None:
        self.count = count
        self.keypoints = keypoints
        self.selection = selection
        self.store = SimpleNamespace(root=Path(root))

    @property
    def num_visible_keypoints(self) -> int:
        return self.keypoints

    def __len__(self) -> int:
        return self.count
