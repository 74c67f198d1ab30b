"""The detector that finds boxes, and the views of each image that it finds them in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmdistill.config.kinds import (
    AT_LEAST_ONE,
    COUNT,
    PATH,
    POSITIVE,
    SHARE,
    SWITCH,
    Either,
    ListOf,
    Numbered,
    Text,
)
from mmdistill.config.settings import section, setting
from mmdistill.errors import ConfigError

VOTE_THR = 0.9
"""Overlap of Detectron's configs with box voting."""


@dataclass(frozen=True)
class BoxViewsConfig:
    """Views of each image that a detector finds boxes in."""

    scales: Sequence[float] = setting(
        ListOf(POSITIVE, empty=False),
        'factors of the size that its test pipeline resizes an image to',
        (1.0,),
    )
    flip: bool = setting(SWITCH, 'whether each view is also seen mirrored', True)
    vote_thr: float = setting(
        SHARE,
        'overlap from which on the box of a view is averaged into the one that is kept',
        VOTE_THR,
    )

    @property
    def number(self) -> int:
        """Number of views."""
        return len(self.scales) * (1 + self.flip)


@dataclass(frozen=True)
class DetectorConfig:
    """The detector that finds the boxes, and how it runs."""

    config: str | None = setting(
        PATH, "its config, a file or one of MMDetection's as `mmdet::...`"
    )
    checkpoint: str | None = setting(PATH, 'its weights, a file or an address')
    categories: Sequence[str] | Mapping[str, int] | None = setting(
        Either((ListOf(Text(), empty=False), Numbered())),
        'classes that count, or their ids by name; else those of the labeled set',
    )
    # Low, so that count matching decides; a lower floor costs forward passes.
    score_thr: float = setting(SHARE, 'score from which on a box counts', 0.05)
    # Above it two boxes of a class are the same object to most detectors.
    nms_thr: float = setting(SHARE, 'overlap above which two boxes are one', 0.5)
    tta: bool = setting(SWITCH, "whether MMDetection's own augmentation is used", False)
    views: BoxViewsConfig | None = section(
        BoxViewsConfig,
        'views of each image whose boxes are merged by voting, instead of `tta`',
        None,
    )
    distill: bool = setting(
        SWITCH,
        'whether it is distilled, too: its boxes are its labels as well, matched to '
        'the labeled set of its own config, which trains its student',
        False,
    )
    boxes: str | None = setting(
        PATH, 'folder of the detection store; else beside the label store'
    )
    batch_size: int | None = setting(
        AT_LEAST_ONE, 'images in a batch; else as the labeling'
    )
    num_workers: int | None = setting(
        COUNT, 'processes that read; else as the labeling'
    )
    chunk_size: int | None = setting(
        AT_LEAST_ONE, 'images in a chunk of its store; else as the labeling'
    )

    def __post_init__(self) -> None:
        if self.tta and self.views is not None:
            raise ConfigError(
                'distill.detector has views or tta=True, each a way to merge several '
                'looks at an image, got both'
            )
