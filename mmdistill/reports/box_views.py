"""Views of an image that a detector sees, each with the boxes that it finds there."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.registry import DefaultScope
from mmengine.runner.checkpoint import CheckpointLoader
from mmpose.registry import HOOKS, MODELS

from mmdistill.config.detectors import SCOPE
from mmdistill.config.recipe import Recipe
from mmdistill.config.schema import is_type
from mmdistill.models import BoxDetector
from mmdistill.reports.teacher_views import SeenInstance, SeenView
from mmdistill.stages.label_config import label_config
from mmdistill.store import Candidates


def build_box_teacher(recipe: Recipe) -> BoxViewReader:
    """Build the teacher of a detector, as it labels.

    Args:
        recipe: A recipe of a detector, whose teacher is trained.

    Raises:
        UserError: If the checkpoint is missing or does not fit.
    """
    stage = label_config(recipe)
    with DefaultScope.overwrite_default_scope(SCOPE):
        model = MODELS.build(copy.deepcopy(stage.model)).to(get_device()).eval()
    settings = next(h for h in stage.custom_hooks if is_type(h, 'DetectorGuardHook'))
    guard = HOOKS.build(settings)
    weights = CheckpointLoader.load_checkpoint(stage.load_from, map_location='cpu')
    guard.check(model, weights)
    guard.set_classes(model)
    return BoxViewReader(model, stage)


class BoxViewReader:
    """Shows single views of images to a detector.

    Args:
        model: The detector.
        stage: The config of its labeling, which has the views.
    """

    def __init__(self, model: BoxDetector, stage: Config) -> None:
        views = model.views
        assert views is not None
        self._model = model
        flips = (False, True) if views.flip else (False,)
        self._names = [
            f'{scale:g} mirrored' if flip else f'{scale:g}'
            for scale in views.scales
            for flip in flips
        ]
        steps = copy.deepcopy(stage.test_dataloader.dataset.views)
        with DefaultScope.overwrite_default_scope(SCOPE):
            self._views = [Compose(view) for view in steps]

    def look(
        self, image: np.ndarray, candidate: Candidates, agreement: float
    ) -> SeenInstance:
        """Show the image of a box to the detector, view by view.

        Args:
            image: The image, RGB, (H, W, 3), uint8.
            candidate: The pseudo-label, without a leading dimension.
            agreement: How far the views agree on it.
        """
        label = _seen('', image, np.array(candidate.bboxes)[None])
        pairs = zip(self._names, self._views, strict=True)
        return SeenInstance(
            label=label,
            views=[self._look_once(image, name, view) for name, view in pairs],
            score=float(candidate.instance_scores),
            agreement=agreement,
        )

    @torch.no_grad()
    def _look_once(self, image: np.ndarray, name: str, view: Compose) -> SeenView:
        """Show a single view."""
        sample: Any = view(dict(img=image[..., ::-1].copy(), img_id=0))
        pixels = sample['inputs'].numpy()[::-1].transpose(1, 2, 0)
        (seen,) = self._model.module.test_step(pseudo_collate([sample]))
        found = seen.pred_instances.cpu()
        bboxes = found.bboxes[found.scores >= self._model.score_thr].float().numpy()
        # They are brought back to the size of the image, and stay mirrored.
        bboxes = bboxes * np.tile(seen.metainfo['scale_factor'], 2)
        return _seen(name, np.clip(pixels, 0, 255).astype(np.uint8), bboxes)


def _seen(name: str, image: np.ndarray, bboxes: np.ndarray) -> SeenView:
    return SeenView(name, image, np.zeros((0, 2)), np.zeros(0), bboxes)
