"""The picture of the README: one photograph from its crop to a kept label.

    python tools/benchmarks/draw_fusion.py CONFIG CHECKPOINT IMAGE OUT --box X Y W H \
        --false-box X Y W H --threshold SCORE

The crop of the box, the views as the network sees them with the pose of each alone, the
fused pose, which is kept; beside it the label of a false box, which is rejected.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.patches import Rectangle
from mmpose.apis import init_model
from mmpose.structures.bbox import bbox_xywh2xyxy
from PIL import Image

from mmdistill.apis import fuse_views, inference_topdown
from mmdistill.cli.arguments import add_config_arguments, load_config
from mmdistill.config.recipe import stated_views
from mmdistill.config.schema import stated
from mmdistill.functional.crops import Crops, boxes_to_crops
from mmdistill.functional.scoring import instance_scores
from mmdistill.functional.view_plan import ViewPlan
from mmdistill.functional.views import View, to_view
from mmdistill.models import HeatmapFusionTTA
from mmdistill.models.crop_cutter import CropSource
from mmdistill.reports.plots import KEPT, REJECTED
from mmdistill.reports.skeleton import Skeleton, skeleton_of_config

DPI = 130
INCHES = (12.0, 2.72)
WIDTHS = (1.0, 2.16, 1.0, 1.0)
MARGINS = dict(left=0.005, right=0.995, top=0.9, bottom=0.01, wspace=0.05)
ROWS = 2
"""Rows of views."""


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='the trained teacher')
    parser.add_argument('image', help='the photograph')
    parser.add_argument('out', help='the picture, a PNG')
    box = dict(type=float, nargs=4, required=True, metavar=('X', 'Y', 'W', 'H'))
    parser.add_argument('--box', help='of the person, pixels', **box)
    parser.add_argument('--false-box', help='of something else, pixels', **box)
    parser.add_argument('--threshold', type=float, required=True, help='of a selection')
    parser.add_argument('--keypoint-thr', type=float, default=0.2)
    arguments = parser.parse_args(argv)
    config = load_config(arguments)
    model = init_model(config, arguments.checkpoint, device='cpu')
    fused = fuse_views(model, **stated(stated_views(config)))
    strip = Strip(fused, skeleton_of_config(config), Path(arguments.image))
    figure = strip.draw(
        *(np.array([arguments.box]), np.array([arguments.false_box])),
        *(arguments.threshold, arguments.keypoint_thr),
    )
    write_small(figure, Path(arguments.out))


def write_small(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG of 256 colors, a third of the size of all colors."""
    content = BytesIO()
    figure.savefig(content, dpi=DPI)
    picture = Image.open(content).convert('RGB')
    picture.quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)


class Strip:
    """Draws the steps of one photograph side by side.

    Args:
        fused: The teacher with its views.
        skeleton: Links and colors of its keypoints.
        path: The photograph.
    """

    def __init__(self, fused: HeatmapFusionTTA, skeleton: Skeleton, path: Path) -> None:
        self._fused = fused
        self._skeleton = skeleton
        self._path = path
        self._image = mmcv.imread(path, channel_order='rgb')

    def draw(
        self, box: np.ndarray, false_box: np.ndarray, threshold: float, least: float
    ) -> Figure:
        """Draw the whole strip.

        Args:
            box: Of the person, (1, 4), x, y, width and height.
            false_box: Of something else, (1, 4).
            threshold: Labels that score more are kept.
            least: Keypoints that score more are visible.
        """
        figure = Figure(figsize=INCHES)
        views = self._fused.plan.views
        columns = -(-len(views) // ROWS)
        outer = figure.add_gridspec(1, 4, width_ratios=WIDTHS, **MARGINS)
        self._draw_photo(_single(figure, outer[0], 'crop around a box'), box)
        inner = outer[1].subgridspec(ROWS, columns, wspace=0.06, hspace=0.2)
        for number, view in enumerate(views):
            # A view and its mirror image below each other.
            axes = figure.add_subplot(inner[number % ROWS, number // ROWS])
            self._draw_view(axes, box, view, least)
        for cell, boxes, what in (
            (outer[2], box, 'fused'),
            (outer[3], false_box, 'false box'),
        ):
            self._draw_label(_single(figure, cell, what), boxes, threshold, least)
        return figure

    def _predict(self, box: np.ndarray, views: Sequence[View]) -> Any:
        """The pose fused of some views, as MMPose's `pred_instances`."""
        plan, self._fused.plan = self._fused.plan, ViewPlan(tuple(views))
        (sample,) = inference_topdown(self._fused, self._path, box, 'xywh')
        self._fused.plan = plan
        return sample.pred_instances

    def _crops(self, box: np.ndarray) -> Crops:
        frame = self._fused.adapter.frame
        boxes = torch.from_numpy(bbox_xywh2xyxy(box.astype(np.float32)))
        return boxes_to_crops(boxes, self._fused.padding, frame.width / frame.height)

    def _draw_photo(self, axes: Axes, box: np.ndarray) -> None:
        """The photograph around the reference crop."""
        crops = self._crops(box)
        self._show(axes, crops)
        ((x, y, width, height),) = box
        axes.add_patch(
            Rectangle((x, y), width, height, fill=False, edgecolor='white', lw=1.6)
        )

    def _show(self, axes: Axes, crops: Crops) -> None:
        axes.imshow(self._image, interpolation='bilinear')
        (x, y), (width, height) = crops.centers[0].tolist(), crops.extents[0].tolist()
        axes.set(xlim=(x - width / 2, x + width / 2))
        axes.set(ylim=(y + height / 2, y - height / 2), facecolor='#e4e4e4')

    def _draw_view(self, axes: Axes, box: np.ndarray, view: View, least: float) -> None:
        """A crop as the network sees it, and what this view alone says."""
        crops, frame = self._crops(box), self._fused.adapter.frame_of(view)
        pixels = torch.from_numpy(self._image).permute(2, 0, 1).float()
        source = CropSource([pixels], np.zeros(1, dtype=int), crops)
        ((crop,),) = self._fused.teachers[0].cutter.cut(source, view, slice(None))
        axes.imshow(crop.permute(1, 2, 0).numpy().astype(np.uint8))
        pose = self._predict(box, [view])
        points = torch.from_numpy(pose.keypoints[0]).float()
        positions = (points - crops.centers[0]) / crops.extents[0] + 0.5
        shown = to_view(view, frame, positions) * torch.tensor(frame.spans)
        visible = pose.keypoint_scores[0] > least
        self._draw_skeleton(axes, shown.numpy(), visible, 1.1)
        axes.set(xticks=[], yticks=[], xlim=(0, frame.width), ylim=(frame.height, 0))
        axes.set_title(_named(view), fontsize=7.5, pad=2)

    def _draw_pose(self, axes: Axes, box: np.ndarray, pose: Any, least: float) -> None:
        self._show(axes, self._crops(box))
        visible = pose.keypoint_scores[0] > least
        self._draw_skeleton(axes, pose.keypoints[0], visible, 2.4)

    def _draw_label(
        self, axes: Axes, box: np.ndarray, threshold: float, least: float
    ) -> None:
        """A label with its score, kept or rejected."""
        pose = self._predict(box, self._fused.plan.views)
        (score,) = instance_scores(np.ones(1), pose.keypoint_scores, least)
        kept = score > threshold
        color, word = (KEPT, 'kept') if kept else (REJECTED, 'rejected')
        sign = '>' if kept else '≤'
        words = f'{axes.get_title()}, {word}: {score:.2f} {sign} {threshold:.2f}'
        axes.set_title(words, fontsize=9, color=color, weight='bold')
        self._draw_pose(axes, box, pose, least)
        for spine in axes.spines.values():
            spine.set(edgecolor=color, linewidth=4)

    def _draw_skeleton(
        self, axes: Axes, points: np.ndarray, visible: np.ndarray, width: float
    ) -> None:
        """Join visible keypoints; the others are not drawn."""
        joined = visible[self._skeleton.links].all(axis=1)
        segments = points[self._skeleton.links[joined]]
        colors = self._skeleton.link_colors[joined]
        dark = LineCollection(segments, colors='black', lw=1.6 * width, alpha=0.6)
        axes.add_collection(dark)
        axes.add_collection(LineCollection(segments, colors=colors, lw=width))
        x, y = points[visible].T
        dots = self._skeleton.keypoint_colors[visible]
        axes.scatter(x, y, s=5 * width, c=dots, edgecolors='black', lw=0.4, zorder=3)


def _single(figure: Figure, cell: SubplotSpec, title: str) -> Axes:
    axes = figure.add_subplot(cell)
    axes.set_title(title, fontsize=10)
    axes.set(xticks=[], yticks=[])
    return axes


def _named(view: View) -> str:
    name = f'turned {view.rotation:g}°' if view.rotation else f'× {view.scale:g}'
    return 'mirrored' if view.flip else name


if __name__ == '__main__':
    main()
