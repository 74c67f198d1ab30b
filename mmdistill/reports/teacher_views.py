"""Pictures of the views that teachers see of an instance, and what each view says."""

from __future__ import annotations

import copy
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample

from mmdistill.config.datasets import parsed_metainfo
from mmdistill.config.recipe import Recipe
from mmdistill.engine.hooks.checkpoint_guard_hooks import load_teachers
from mmdistill.functional.view_plan import ViewPlan
from mmdistill.functional.views import View, to_view
from mmdistill.models import HeatmapFusionTTA
from mmdistill.models.crop_cutter import CropSource
from mmdistill.reports.crops import BOX, draw_boxes, draw_pose
from mmdistill.reports.plots import KEPT
from mmdistill.reports.skeleton import Skeleton
from mmdistill.stages.label_config import label_config, labeled_config
from mmdistill.store import Candidates

COLUMNS = 10
"""Cells in a row: the label, and views."""
CELL_INCHES = 1.3
TEXT_INCHES = 0.24
"""Height of the title of a cell."""
HEAD_INCHES = 0.7
"""Height of the title of the picture, with the line below it."""
MARGIN = 0.12
"""Width of a cell beside its crop, inches."""
TITLE = (
    'What the teachers see of pseudo-labels, and what each view alone says; first the '
    'fused label'
)
LETTERS = 17
"""Letters of the title that fit above a cell."""
DOT, LINK = 7.0, 1.2
"""Area of a dot and width of a link, points: crops of views are drawn small."""


@dataclass(frozen=True)
class SeenView:
    """What teachers see of an instance in a view, and say of it.

    A detector sees whole images, and says where boxes are.

    Attributes:
        name: The view, as `str(View)`.
        image: The network's input before it is normalized, RGB, (H, W, 3), uint8.
        keypoints: The pose of this view alone, pixels of the input, (K, 2).
        scores: Its scores, (K,).
        bboxes: Boxes of this view alone (x1, y1, x2, y2), pixels of the input, (n, 4).
    """

    name: str
    image: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray
    bboxes: np.ndarray = field(default_factory=lambda: np.zeros((0, 4)))


@dataclass(frozen=True)
class SeenInstance:
    """A pseudo-label and the views that it was fused of.

    Attributes:
        label: Its crop with the fused pose.
        views: All views.
        score: Its instance score.
        agreement: Mean agreement of its visible keypoints.
    """

    label: SeenView
    views: Sequence[SeenView]
    score: float
    agreement: float


def build_teachers(recipe: Recipe) -> ViewReader:
    """Build the teachers of a recipe, as they label.

    Args:
        recipe: A recipe whose annotations are read, and whose teachers are trained.

    Raises:
        UserError: If a checkpoint is missing or does not fit.
    """
    stage = label_config(recipe)
    init_default_scope(stage.get('default_scope') or 'mmpose')
    model = MODELS.build(copy.deepcopy(stage.model)).to(get_device()).eval()
    load_teachers(stage, model)
    partners = parsed_metainfo(labeled_config(recipe))['flip_indices']
    return ViewReader(model, partners)


class ViewReader:
    """Shows single views of instances to teachers.

    Args:
        model: The teachers.
        flip_indices: Mirror partner of each keypoint of the labeled set, (K,).
    """

    def __init__(self, model: HeatmapFusionTTA, flip_indices: Sequence[int]) -> None:
        self._model, self._flip_indices = model, flip_indices

    def look(
        self, image: np.ndarray, candidate: Candidates, agreement: float
    ) -> SeenInstance:
        """Show an instance to the teachers, view by view.

        Args:
            image: Its image, RGB, (H, W, 3), uint8.
            candidate: The pseudo-label, without a leading dimension.
            agreement: Mean agreement of its visible keypoints.
        """
        views = self._model.plan.views
        # A copy: columns of the store are read-only.
        box = np.array(candidate.bboxes)[None]
        label = self._seen(image, box, View(), candidate)
        return SeenInstance(
            label=label,
            views=[self._look_once(image, box, view) for view in views],
            score=float(candidate.instance_scores),
            agreement=agreement,
        )

    def _look_once(self, image: np.ndarray, box: np.ndarray, view: View) -> SeenView:
        """Show a single view."""
        sample = PoseDataSample(metainfo=dict(flip_indices=self._flip_indices))
        sample.gt_instances = InstanceData(
            bboxes=box, bbox_scores=np.ones(1, dtype=np.float32)
        )
        plan, fit = self._model.plan, self._model.box_fit
        self._model.plan, self._model.box_fit = ViewPlan((view,)), None
        try:
            data = dict(inputs=[_pixels(image)], data_samples=[sample])
            (seen,) = self._model.test_step(data)
        finally:
            self._model.plan, self._model.box_fit = plan, fit
        pose = seen.pred_instances
        return self._seen(image, box, view, pose[0], name=str(view))

    @torch.no_grad()
    def _seen(
        self, image: np.ndarray, box: np.ndarray, view: View, pose: Any, name: str = ''
    ) -> SeenView:
        """A view with a pose that is known in the image."""
        teacher = self._model.teachers[0]
        frame = teacher.adapter.frame_of(view)
        crops = teacher.crops(torch.tensor(box, dtype=torch.float32))
        source = CropSource([_pixels(image).float()], np.zeros(1, dtype=int), crops)
        # As the teachers' own inputs: the mirror image of the plain view's pixels.
        plain = replace(view, flip=False)
        ((crop,),) = teacher.cutter.cut(source, plain, slice(None))
        crop = crop.flip(-1) if view.flip else crop
        points = torch.tensor(np.reshape(pose.keypoints, (-1, 2)), dtype=torch.float32)
        positions = (points - crops.centers) / crops.extents + 0.5
        shown = to_view(view, frame, positions) * torch.tensor(frame.spans)
        pixels = crop.permute(1, 2, 0).numpy()[..., ::-1]
        return SeenView(
            name=name,
            image=np.clip(pixels, 0, 255).astype(np.uint8),
            keypoints=shown.numpy(),
            scores=np.reshape(pose.keypoint_scores, -1),
        )


def _pixels(image: np.ndarray) -> torch.Tensor:
    """An image as pipelines load it, BGR, (3, H, W)."""
    return torch.from_numpy(image[..., ::-1].transpose(2, 0, 1).copy())


def draw_views(
    instances: Sequence[SeenInstance],
    skeleton: Skeleton,
    visible: Callable[[np.ndarray], np.ndarray],
) -> Figure:
    """Draw each pseudo-label before the views that it was fused of.

    Args:
        instances: The pseudo-labels.
        skeleton: Links and colors of the keypoints.
        visible: Function from keypoint scores, (K,), to the mask of visible ones.
    """
    cells = [[*_cells(instance)] for instance in instances]
    columns = min(COLUMNS, len(cells[0]))
    rows = -(-len(cells[0]) // columns)
    height, width, _ = instances[0].label.image.shape
    cell = (CELL_INCHES - MARGIN) * min(height / width, 2.0) + TEXT_INCHES
    total = len(cells) * rows
    figure = Figure(
        (columns * CELL_INCHES, total * cell + HEAD_INCHES), layout='constrained'
    )
    figure.suptitle(textwrap.fill(TITLE, columns * LETTERS), fontsize=10)
    grid = figure.subplots(total, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_visible(False)
    for number, row in enumerate(cells):
        block = grid[number * rows : (number + 1) * rows].flat
        for axes, (title, view) in zip(block, row, strict=False):
            _draw_view(axes, view, skeleton, visible(view.scores))
            color = 'black' if view.name else KEPT
            axes.set_title(title, fontsize=7.5, pad=2.5, color=color)
            axes.spines[:].set(color=color, linewidth=0.6 if view.name else 2.2)
    return figure


def _cells(instance: SeenInstance) -> Iterator[tuple[str, SeenView]]:
    """Titles and pictures of an instance, its label first."""
    text = f'score {instance.score:.2f}, agree {instance.agreement:.2f}'
    yield text, instance.label
    for view in instance.views:
        yield f'× {view.name}', view


def _draw_view(
    axes: Axes, view: SeenView, skeleton: Skeleton, visible: np.ndarray
) -> None:
    axes.set_visible(True)
    height, width, _ = view.image.shape
    axes.imshow(view.image, interpolation='nearest')
    axes.set(xticks=[], yticks=[], xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    draw_boxes(axes, view.bboxes, BOX, LINK)
    if len(visible):
        areas = np.full(len(visible), DOT)
        draw_pose(axes, view.keypoints, visible, skeleton, areas, LINK)
