"""Picture of kept and rejected labels, from a config and its label store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from mmengine.config import Config

from mmdistill.config.recipe import stated_store
from mmdistill.errors import ConfigError
from mmdistill.functional.ranking import instance_agreement
from mmdistill.reports.captions import selection_summary
from mmdistill.reports.crops import StoreImages, draw_crop
from mmdistill.reports.plots import (
    KEPT,
    REJECTED,
    draw_counting_curve,
    draw_score_histogram,
    score_thresholds,
)
from mmdistill.reports.sampling import choose_kept, choose_rejected
from mmdistill.reports.skeleton import Skeleton, skeleton_of_config
from mmdistill.selection import Selection
from mmdistill.selection.selection import read_selection
from mmdistill.selection.threshold_groups import format_range
from mmdistill.store import Candidates, LabelStore
from mmdistill.store.image_sources import Sources
from mmdistill.utils.files import write_whole

COLUMNS = 4
CROP_INCHES = 2.1
PLOTS_INCHES = 4.6


def draw_gallery(
    candidates: Candidates,
    image_of: Callable[[int], np.ndarray],
    selection: Selection,
    skeleton: Skeleton,
    num: int,
    sources: Sources | None = None,
) -> Figure:
    """Draw a block of kept and a block of rejected crops, with the curves of counts.

    Args:
        candidates: All candidates of a store.
        image_of: Function from the index of a candidate to its image, RGB (H, W, 3).
        selection: Their selection.
        skeleton: Links and colors of the keypoints.
        num: Number of crops in each block.
        sources: Sources of the candidates' images, (M,).
    """
    scores, kept = candidates.instance_scores, selection.kept(candidates, sources)
    blocks = (
        ('Kept: from the best to the last', KEPT, choose_kept(scores, kept, num)),
        (
            'Rejected: the highest scores, then the lowest',
            REJECTED,
            choose_rejected(scores, kept, num),
        ),
    )
    num_rows = -(-num // COLUMNS)
    figure, panels, plots_panel = _layout(num_rows)
    figure.suptitle(selection_summary(selection), fontsize=13)
    figure.supxlabel(_legend(selection), fontsize=11)
    for panel, (title, color, chosen) in zip(panels, blocks, strict=True):
        if not len(chosen):
            title = f'{title.partition(":")[0]}: none'
        panel.suptitle(title, color=color, fontsize=14, fontweight='bold')
        for axes, index in zip(_grid(panel, num_rows), chosen, strict=False):
            candidate = candidates[int(index)]
            visible = selection.visible(candidate.keypoint_scores)
            draw_crop(axes, image_of(index), candidate, skeleton, visible)
            _show(axes, float(candidate.instance_scores), color)
            _write_agreement(axes, shown_agreement(candidate, visible))
    curve, histogram = plots_panel.subplots(2, 1)
    draw_counting_curve(curve, selection)
    draw_score_histogram(histogram, scores, kept, score_thresholds(selection))
    return figure


def _legend(selection: Selection) -> str:
    """What is drawn on a crop and beside it."""
    numbers = 'below a crop its score, in its corner how far the views agree'
    if selection.of_boxes:
        return numbers
    thresholds = format_range(selection.keypoint_thrs, 3)
    return (
        f'filled: keypoints that score above {thresholds}; hollow: the others; '
        f'{numbers}'
    )


def _layout(num_rows: int) -> tuple[Figure, list[SubFigure], SubFigure]:
    """Make a figure with two panels of rows of crops, and one of plots on the right."""
    widths = [COLUMNS * CROP_INCHES, PLOTS_INCHES]
    height = 2 * (num_rows * (CROP_INCHES + 0.12) + 0.4) + 0.7
    figure = Figure((sum(widths), height), layout='constrained')
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=widths)[0]
    return figure, list(left.subfigures(2, 1, squeeze=False).flat), right


def _show(axes: Axes, score: float, color: str) -> None:
    """Make the axes of a crop visible, with its score below and a colored frame."""
    axes.set_visible(True)
    axes.set_xlabel(f'{score:.3f}', fontsize=12, labelpad=3)
    axes.spines[:].set(color=color, linewidth=2)


def shown_agreement(candidate: Candidates, visible: np.ndarray) -> float:
    """Average the agreement of the views over the visible keypoints of a candidate.

    That of a candidate without keypoints is the agreement on its box.

    Args:
        candidate: One candidate, without a leading dimension.
        visible: Which of its keypoints are visible, (K,), bool.
    """
    if not len(visible):
        return float(candidate.bbox_agreement)
    (mean,) = instance_agreement(candidate.keypoint_agreement[None], visible[None])
    return float(mean)


def _write_agreement(axes: Axes, agreement: float) -> None:
    """Write the agreement of the views into a corner of a crop."""
    axes.text(
        *(0.03, 0.03, f'agree {agreement:.2f}'),
        transform=axes.transAxes,
        fontsize=8,
        color='white',
        bbox=dict(boxstyle='round,pad=0.2', facecolor='black', alpha=0.55, lw=0),
    )


def _grid(panel: SubFigure, num_rows: int) -> list[Axes]:
    """Make invisible axes for crops, `COLUMNS` in each row."""
    grid = list(panel.subplots(num_rows, COLUMNS, squeeze=False).flat)
    for axes in grid:
        axes.set_visible(False)
    return grid


@dataclass(frozen=True)
class StoredPictures:
    """All that pictures of the labels of a config are drawn of.

    Attributes:
        candidates: All candidates of its store.
        selection: Their selection.
        skeleton: Links and colors of the keypoints.
        image_of: Function from the index of a candidate to its image, RGB (H, W, 3).
        sources: Sources of the candidates' images, (M,).
    """

    candidates: Candidates
    selection: Selection
    skeleton: Skeleton
    image_of: Callable[[int], np.ndarray]
    sources: Sources

    @staticmethod
    def of(config: Config, img_root: Path | None = None) -> StoredPictures:
        """Read the store of a config.

        Args:
            config: A config with a `distill` section; links and colors of keypoints
                are those of its test set, or another of its sets.
            img_root: Folder of the images; that of the store's manifest when None.

        Raises:
            UserError: If the store is not complete, has no selection.
        """
        folder = stated_store(config)
        if folder is None:
            raise ConfigError(
                f'{config.filename} names no label store in distill.store'
            )
        store = LabelStore(folder)
        labels = store.read()
        images = StoreImages(
            store.root, img_root or Path(store.manifest['about']['img_root'])
        )

        def image_of(index: int) -> np.ndarray:
            key = labels.paths[int(labels.image_index[index])].as_py()
            return images.read(key)

        return StoredPictures(
            labels.candidates,
            read_selection(store),
            skeleton_of_config(config),
            image_of,
            labels.candidate_sources,
        )


def draw_labels(
    config: Config, path: Path, num: int = 8, img_root: Path | None = None
) -> None:
    """Draw kept and rejected labels of the store of a config.

    Args:
        config: A config with a `distill` section.
        path: The picture to write; its suffix decides the format, e.g. `.png`.
        num: Number of crops in each of the two blocks.
        img_root: Folder of the images; that of the store's manifest when None.

    Raises:
        UserError: If `num` is not positive, the store is not complete or has no
            selection, or an image is missing.
    """
    if num < 1:
        raise ConfigError(f'a picture needs at least 1 label of each kind, got {num}')
    stored = StoredPictures.of(config, img_root)
    figure = draw_gallery(
        stored.candidates,
        stored.image_of,
        stored.selection,
        stored.skeleton,
        num,
        stored.sources,
    )
    save_figure(figure, path)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure, whole or not at all.

    Args:
        figure: The figure.
        path: The picture; its suffix decides the format, e.g. `.png`.

    Raises:
        UserError: If the suffix is not a format, or the file cannot be written.
    """
    picture_format = path.suffix.removeprefix('.') or 'png'
    if picture_format not in figure.canvas.get_supported_filetypes():
        raise ConfigError(f'a picture is written as .png, .svg or .pdf, got {path}')

    def write(temporary: Path) -> None:
        figure.savefig(temporary, format=picture_format, dpi=110)

    write_whole(path, write)
