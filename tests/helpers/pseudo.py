"""As much of a `PseudoLabelDataset` as is checked and told before a training."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from mmdistill.selection import Selection


class Pseudo:
    """So many pseudo-labels of a selection, without the labels."""

    def __init__(
        self, count: int, keypoints: int, selection: Selection, root: str = 'store'
    ) -> None:
        self.count = count
        self.num_visible_keypoints = keypoints
        self.selection = selection
        self.store = SimpleNamespace(root=Path(root))

    def __len__(self) -> int:
        return self.count
