"""Labels as small pictures that are part of the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from mmdistill.errors import DataError
from mmdistill.reports.crops import OUTSIDE, StoreImages, draw_crop
from mmdistill.reports.sampling import (
    choose_best,
    choose_borderline,
    choose_disagreeing,
    choose_spread,
)
from mmdistill.reports.skeleton import Skeleton
from mmdistill.reports.statistics import ReportData, Visible
from mmdistill.store import Candidates, LabelStore
from mmdistill.store.schema import table_to_labels

INCHES = 1.9
DPI = 120
QUALITY = 80


@dataclass(frozen=True)
class Thumbnail:
    """One candidate to be shown.

    Attributes:
        image: The picture as a data address.
        path: Its image, relative to the image root.
        found: Whether the image could be read; else the ground is gray.
        kept: Whether it is a label.
        score: Its instance score.
        agreement: Mean agreement of its visible keypoints.
        visible: Number of them.
    """

    image: str
    path: str
    found: bool
    kept: bool
    score: float
    agreement: float
    visible: int


@dataclass(frozen=True)
class ThumbnailRenderer:
    """Cuts candidates out of their images and draws their skeletons.

    Args:
        store: The store.
        images: Its images.
        skeleton: Links and colors.
        visible_of: Tells by the scores of keypoints which are visible.
    """

    store: LabelStore
    images: StoreImages
    skeleton: Skeleton
    visible_of: Visible

    def render(self, data: ReportData, number: int) -> Thumbnail:
        """Draw one candidate.

        Args:
            data: The numbers of the store.
            number: Number of the candidate in the store.

        Raises:
            UserError: If its chunk is damaged.
        """
        owner = int(np.searchsorted(data.image_starts, number, side='right')) - 1
        starts = [place.start for place in self.store.chunk_spans()]
        chunk = int(np.searchsorted(starts, owner, side='right')) - 1
        (table,) = self.store.scan(None, [chunk])
        labels = table_to_labels(table, self.store.num_keypoints)
        row = number - int(data.image_starts[starts[chunk]])
        image = owner - starts[chunk]
        path = labels.paths[image].as_py()
        try:
            pixels, found = self.images.read(path), True
        except DataError:
            width, height = labels.sizes[image]
            pixels, found = np.full((height, width, 3), int(OUTSIDE[1:3], 16)), False
        return Thumbnail(
            image=self._paint(pixels.astype(np.uint8), labels.candidates[row]),
            path=path,
            found=found,
            kept=bool(data.kept[number]),
            score=float(data.scores[number]),
            agreement=float(data.agreement[number]),
            visible=int(data.visible[number]),
        )

    def _paint(self, pixels: np.ndarray, candidate: Candidates) -> str:
        figure = Figure((INCHES, INCHES), dpi=DPI)
        axes = figure.add_axes((0, 0, 1, 1))
        visible = self.visible_of(candidate.keypoint_scores)
        draw_crop(axes, pixels, candidate, self.skeleton, visible)
        axes.spines[:].set_visible(False)
        file = io.BytesIO()
        figure.savefig(file, format='jpeg', pil_kwargs=dict(quality=QUALITY))
        return f'data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}'


@dataclass(frozen=True)
class Gallery:
    """Labels that have something in common.

    Attributes:
        title: What they are.
        remark: What to look for.
        portraits: The labels.
    """

    title: str
    remark: str
    portraits: Sequence[Thumbnail]


def galleries(
    data: ReportData, selected: bool, painter: ThumbnailRenderer, num: int
) -> list[Gallery]:
    """The best, borderline, rejected and most disagreeing labels.

    Args:
        data: The numbers of the store.
        selected: Whether there is a selection; without one there are no borderline
            and no rejected labels.
        painter: Draws them.
        num: Labels in each.
    """
    chosen = [
        (
            'Best labels',
            'The highest scores. These should be right: where they are not, no '
            'threshold helps.',
            choose_best(data.scores, data.kept, num),
        ),
        (
            'Borderline labels',
            'The last that are kept, then the first that are rejected, by what the '
            'threshold is of. If both look alike, it decides by chance.',
            choose_borderline(data.margins, data.kept, data.visible > 0, num)
            if selected
            else (),
        ),
        (
            'Rejected candidates',
            'From the highest rejected score to the lowest. Good poses among them are '
            'what the threshold costs.',
            choose_spread(data.scores, data.kept, num) if selected else (),
        ),
        (
            'Most disagreeing labels',
            'Kept, though their views agree least. Correct these first, by hand: '
            'tools/select_labels.py --export-coco --most-disagreed N.',
            choose_disagreeing(data.agreement, data.kept, num),
        ),
    ]
    return [
        Gallery(title, remark, [painter.render(data, int(n)) for n in numbers])
        for title, remark, numbers in chosen
        if selected or len(numbers)
    ]
