"""Galleries of the page: thumbnails of candidates, embedded as JPEG."""

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
"""Quality of the JPEG."""


@dataclass(frozen=True)
class Thumbnail:
    """Picture of a candidate with its figures.

    Attributes:
        image: The picture as a data URL.
        path: Path of the image, relative to the image root.
        readable: Whether the image could be read; else the background is gray.
        kept: Whether the candidate is a label.
        score: Instance score.
        agreement: Mean agreement of the visible keypoints.
        visible: Number of visible keypoints.
    """

    image: str
    path: str
    readable: bool
    kept: bool
    score: float
    agreement: float
    visible: int


@dataclass(frozen=True)
class ThumbnailRenderer:
    """Renderer of candidates, cropped from their images, with their skeletons.

    Args:
        store: The store.
        images: Images of the store.
        skeleton: Links and colors of the keypoints.
        visible_of: Function from keypoint scores, (K,), to the mask of visible ones.
    """

    store: LabelStore
    images: StoreImages
    skeleton: Skeleton
    visible_of: Visible

    def render(self, data: ReportData, number: int) -> Thumbnail:
        """Render the thumbnail of a candidate.

        Args:
            data: Statistics of the store.
            number: Index of the candidate in the store.

        Raises:
            UserError: If its chunk is damaged.
        """
        index = int(np.searchsorted(data.image_starts, number, side='right')) - 1
        starts = [chunk_span.start for chunk_span in self.store.chunk_spans()]
        chunk = int(np.searchsorted(starts, index, side='right')) - 1
        (table,) = self.store.scan(None, [chunk])
        labels = table_to_labels(table, self.store.num_keypoints)
        row = number - int(data.image_starts[starts[chunk]])
        image_row = index - starts[chunk]
        path = labels.paths[image_row].as_py()
        try:
            image, readable = self.images.read(path), True
        except DataError:
            width, height = labels.sizes[image_row]
            image, readable = np.full((height, width, 3), int(OUTSIDE[1:3], 16)), False
        return Thumbnail(
            image=self._data_url(image.astype(np.uint8), labels.candidates[row]),
            path=path,
            readable=readable,
            kept=bool(data.kept[number]),
            score=float(data.scores[number]),
            agreement=float(data.agreement[number]),
            visible=int(data.visible[number]),
        )

    def _data_url(self, image: np.ndarray, candidate: Candidates) -> str:
        """Draw a candidate and encode the picture as a data URL."""
        figure = Figure((INCHES, INCHES), dpi=DPI)
        axes = figure.add_axes((0, 0, 1, 1))
        visible = self.visible_of(candidate.keypoint_scores)
        draw_crop(axes, image, candidate, self.skeleton, visible)
        axes.spines[:].set_visible(False)
        file = io.BytesIO()
        figure.savefig(file, format='jpeg', pil_kwargs=dict(quality=QUALITY))
        return f'data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}'


@dataclass(frozen=True)
class Gallery:
    """Candidates chosen by one rule.

    Attributes:
        title: Title of the gallery.
        remark: Advice on how to read it.
        thumbnails: The candidates.
    """

    title: str
    remark: str
    thumbnails: Sequence[Thumbnail]


def galleries(
    data: ReportData, selected: bool, renderer: ThumbnailRenderer, num: int
) -> list[Gallery]:
    """Choose and render the best, borderline, rejected and most disagreeing labels.

    Args:
        data: Statistics of the store.
        selected: Whether there is a selection; without one there are no borderline
            and no rejected labels.
        renderer: Renderer of the thumbnails.
        num: Number of labels in each gallery.
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
            'From the highest rejected score to the lowest. Good labels among them are '
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
        Gallery(title, remark, [renderer.render(data, int(n)) for n in numbers])
        for title, remark, numbers in chosen
        if selected or len(numbers)
    ]
