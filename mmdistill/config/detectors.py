"""Recipes whose teacher and student are detectors of MMDetection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from mmengine.config import Config

from mmdistill.config.recipe import Recipe
from mmdistill.config.schema import stated
from mmdistill.errors import ConfigError

SCOPE = 'mmdet'
"""Scope of MMDetection's registries."""
OF_POSES = ('weights', 'noise', 'rounds', 'detector')
"""Sections of `distill` that are about keypoints or about boxes given to a teacher."""
BOX_VIEWS = ('scales', 'flip', 'vote_thr')
"""Settings of `distill.views` that a detector has."""
OF_POSE_SECTIONS = {
    'unlabeled': ('bbox_file', 'category_ids', 'max_boxes', 'detections', 'follow'),
    'labeling': ('refit_boxes', 'reduced_decoding'),
    'selection': ('keypoint_thr',),
    'mixing': ('keypoint_thr',),
}
"""Settings of other sections that a detector has no use for."""


def is_detector(config: Mapping[str, Any] | Config) -> bool:
    """Whether the model of a config is one of MMDetection, as the scope says.

    Args:
        config: A config of a model.
    """
    model = config.get('model') or {}
    package, dot, _ = str(model.get('type')).partition('.')
    stated_scope = model.get('_scope_') or (package if dot else None)
    return (stated_scope or config.get('default_scope')) == SCOPE


def distills_boxes(recipe: Recipe) -> bool:
    """Whether a recipe distills a detector, whose pseudo-labels are boxes.

    Args:
        recipe: The recipe.
    """
    return is_detector(recipe.config)


def is_joint(recipe: Recipe) -> bool:
    """Whether a recipe of poses distills its detector, too.

    Args:
        recipe: The recipe.
    """
    detector = recipe.distill.detector
    return detector is not None and detector.distill


def check_box_settings(recipe: Recipe) -> None:
    """Refuse settings that a recipe of a detector has no use for.

    Args:
        recipe: A recipe of a detector.

    Raises:
        ConfigError: If one is stated, with all their names, or there are several
            teachers.
    """
    distill = recipe.distill
    names = [name for name in OF_POSES if getattr(distill, name) is not None]
    views = [each.name for each in fields(distill.views) if each.name not in BOX_VIEWS]
    for section, settings in {'views': views, **OF_POSE_SECTIONS}.items():
        own = stated(getattr(distill, section))
        names += [f'{section}.{name}' for name in settings if name in own]
    if names:
        listed = ', '.join(f'distill.{name}' for name in names)
        raise ConfigError(
            f'{recipe.config.filename} distills a detector, which has no use for '
            f'{listed}; leave out what is about keypoints or given boxes'
        )
    if distill.mixing.pseudo_weight != 1:
        raise ConfigError(
            'the losses of MMDetection have no weight for a box: '
            'distill.mixing.pseudo_weight must be 1 for a detector, got '
            f'{distill.mixing.pseudo_weight}'
        )
    if len(distill.teachers) > 1:
        raise ConfigError(
            'a detector is taught by one teacher, whose views are merged: '
            f'distill.teacher names {len(distill.teachers)}'
        )
