"""Choice of the finder for a model, by its head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmpose.models import BottomupPoseEstimator
from mmpose.models.heads import (
    AssociativeEmbeddingHead,
    CIDHead,
    DEKRHead,
    EDPoseHead,
)
from mmpose.models.heads.hybrid_heads import YOLOXPoseHead
from mmpose.registry import MODELS

from mmdistill.errors import ConfigError
from mmdistill.models.finders.base import Finder
from mmdistill.models.finders.bottom_up import CenterFinder, TagFinder
from mmdistill.models.finders.one_stage import OneStageFinder
from mmdistill.models.finders.queries import QueryFinder

FINDERS: dict[type, type[Finder]] = {
    YOLOXPoseHead: OneStageFinder,
    DEKRHead: CenterFinder,
    CIDHead: CenterFinder,
    AssociativeEmbeddingHead: TagFinder,
    EDPoseHead: QueryFinder,
}
"""Finders by the head; RTMO's head is one of YOLOX-Pose."""
KNOWN = 'RTMO, YOLOX-Pose, DEKR, CID, associative embedding and EDPose'
"""Models that can be fused, in words."""


def finds_instances(model: Mapping[str, Any]) -> bool:
    """Whether a model finds the instances of an image itself, by its config.

    Args:
        model: Config of a model.
    """
    kind = model.get('type')
    estimator = MODELS.get(kind) if isinstance(kind, str) else kind
    return isinstance(estimator, type) and issubclass(estimator, BottomupPoseEstimator)


def finder_class(model: Mapping[str, Any]) -> type[Finder]:
    """Look up the class of the finder for a model, by its config alone.

    Args:
        model: Config of a model that finds instances.

    Raises:
        ConfigError: If no finder is known for its head.
    """
    kind = (model.get('head') or {}).get('type')
    head = MODELS.get(kind) if isinstance(kind, str) else kind
    return _finder_of(head, getattr(kind, '__name__', str(kind)))


def build_finder(module: Any, score_floor: float | None = None) -> Finder:
    """Build the finder for a model's head.

    Args:
        module: A `BottomupPoseEstimator` of MMPose.
        score_floor: Score down to which instances are returned, see `Finder`.

    Raises:
        ConfigError: If no finder is known for its head, or its head would fail.
    """
    head = getattr(module, 'head', None)
    return _finder_of(type(head), type(head).__name__)(module, score_floor)


def _finder_of(head: Any, name: str) -> type[Finder]:
    for kind, finder in FINDERS.items():
        if isinstance(head, type) and issubclass(head, kind):
            return finder
    raise ConfigError(
        f'the instances that {name.rpartition(".")[2]} finds cannot be fused; use a '
        f'model of MMPose with a head of {KNOWN}, or a top-down model with boxes'
    )
