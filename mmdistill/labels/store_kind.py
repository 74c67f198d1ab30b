"""The kinds of stores, and what sentences call them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StoreKind:
    """What a store holds, for sentences.

    Attributes:
        name: What it is called.
        option: The setting that names its folder.
        section: The section whose batches and worker processes its run has.
        tool: The tool that makes it.
        doing: What its run does with images.
        row: What is found on an image.
    """

    name: str
    option: str
    section: str
    tool: str
    doing: str
    row: str


LABELS = StoreKind(
    name='label store',
    option='distill.labels',
    section='distill.labeling',
    tool='tools/label.py',
    doing='labelling',
    row='candidates',
)
DETECTIONS = StoreKind(
    name='detection store',
    option='distill.detector.boxes',
    section='distill.detector',
    tool='tools/detect.py',
    doing='detecting on',
    row='boxes',
)
