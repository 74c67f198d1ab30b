"""Choice of the adapter for a model, by the output of its head."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from mmpose.models import BottomupPoseEstimator, PoseLifter
from mmpose.models.distillers import DWPoseDistiller
from mmpose.registry import MODELS
from torch import Tensor

from mmdistill.errors import ConfigError, UserError
from mmdistill.functional.views import View
from mmdistill.models.adapters.base import Adapter
from mmdistill.models.adapters.codecs import Layout, has_offsets
from mmdistill.models.adapters.heatmap import HeatmapAdapter, last_stage
from mmdistill.models.adapters.layouts import (
    Resolutions,
    Run,
    find_layouts,
    refuse_resolutions,
)
from mmdistill.models.adapters.offset import OffsetAdapter
from mmdistill.models.adapters.regression import (
    CoordinateAdapter,
    coordinates_of,
    input_size_of,
)
from mmdistill.models.adapters.simcc import SimCCAdapter, bins_of
from mmdistill.models.adapters.visibility import VisibilityAdapter

INSTEAD = (
    'use one of the top-down 2-D models of MMPose (heatmaps, SimCC or regression) '
    "with a detector's boxes"
)
"""Advice for models that cannot be fused."""

UNFIT = {
    BottomupPoseEstimator: 'it finds the persons of an image by itself',
    PoseLifter: 'it sees poses and no image',
    DWPoseDistiller: 'it holds a teacher and a student of its own',
}
"""Estimators of MMPose whose input is not a crop of an instance, with the reason."""


def check_estimator(model: Mapping[str, Any]) -> None:
    """Refuse a model that `build_adapter` would refuse, by its config alone.

    No model is built, so an unsuitable one is refused before boxes are detected and
    before it is trained.

    Args:
        model: Config of a model.

    Raises:
        UserError: If the input of the model is not a crop of an instance.
    """
    kind = model.get('type')
    estimator = MODELS.get(kind) if isinstance(kind, str) else kind
    name = str((model.get('head') or model).get('type')).rpartition('.')[2]
    for unfit, reason in UNFIT.items():
        if isinstance(estimator, type) and issubclass(estimator, unfit):
            raise _refusal(name, reason)


def count_keypoints(module: Any, adapter: Adapter) -> int:
    """Count the keypoints of a model, which may differ from its head's channels.

    Args:
        module: A pose estimator of MMPose.
        adapter: Its adapter, from `build_adapter`.
    """
    frame = adapter.frame_of(View())
    evidence = adapter.evidence(_head_output(module, frame.width, frame.height))
    return int(evidence[0].shape[1])


def build_adapter(
    module: Any,
    use_udp: bool | None = None,
    resolutions: Resolutions = Resolutions(),  # noqa: B008  (it is immutable)
) -> Adapter:
    """Build the adapter for a model's head.

    Args:
        module: A pose estimator of MMPose.
        use_udp: Whether crops are cut with MMPose's UDP warp; by default as the
            model's codec requires.
        resolutions: Resolutions of the views.

    Raises:
        UserError: If the model's head cannot be fused, or not at these resolutions.
    """
    for kind, reason in UNFIT.items():
        if isinstance(module, kind):
            raise _refusal(_name_of(module), reason)
    head: Any = getattr(module, 'head', None)
    try:
        size = input_size_of(getattr(head, 'pose_head', head).decoder)
    except AttributeError as error:
        reason = 'it has no codec of 2-D keypoints'
        raise _refusal(_name_of(module), reason) from error
    if not hasattr(head, 'pose_head'):
        run = partial(_head_output, module)
        return _adapter(module, head, size, use_udp, resolutions, run)

    def run_poses(width: int, height: int) -> Any:
        poses, _ = _head_output(module, width, height)
        return poses

    inner = _adapter(module, head.pose_head, size, use_udp, resolutions, run_poses)
    return VisibilityAdapter(head, inner)


def _adapter(
    module: Any,
    head: Any,
    size: tuple[int, int],
    use_udp: bool | None,
    resolutions: Resolutions,
    run: Run,
) -> Adapter:
    """Adapter that fits a head's output and codec."""
    output = run(*size)
    if _is_heatmaps(head.decoder, output):
        layouts = find_layouts(
            _full_name_of(module),
            Layout.of(head.decoder),
            resolutions,
            run,
            _has_layout,
        )
        adapter = OffsetAdapter if has_offsets(head.decoder) else HeatmapAdapter
        return adapter(head, use_udp, layouts)
    family: type[SimCCAdapter] | type[CoordinateAdapter]
    if _is_vectors(head.decoder, output):
        family, kind = SimCCAdapter, 'vectors of as many bins as its own input has'
    elif _is_coordinates(head.decoder, output):
        family, kind = CoordinateAdapter, 'coordinates'
    else:
        raise _refusal(_name_of(module), f'it returns {_format_output(output)}')
    if resolutions.others:
        reason = f'it returns {kind}, not heatmaps that grow with its input'
        raise refuse_resolutions(_full_name_of(module), reason)
    return family(head, use_udp)


def _is_heatmaps(decoder: Any, output: Any) -> bool:
    """Whether an output is heatmaps, possibly of several stages or with offsets."""
    # Those of codecs in three dimensions have three sides.
    return len(getattr(decoder, 'heatmap_size', ())) == 2 and _has_layout(
        output, Layout.of(decoder)
    )


def _has_layout(output: Any, layout: Layout) -> bool:
    """Whether an output is heatmaps of a size, possibly of several stages."""
    output = last_stage(output)
    return isinstance(output, Tensor) and output.shape[2:] == layout.heatmap_size[::-1]


def _is_vectors(decoder: Any, output: Any) -> bool:
    """Whether an output is a vector per keypoint for each axis."""
    return (
        hasattr(decoder, 'simcc_split_ratio')
        and isinstance(output, tuple)
        and [vectors.shape[2:] for vectors in output]
        == [(i,) for i in bins_of(decoder)]
    )


def _is_coordinates(decoder: Any, output: Any) -> bool:
    """Whether an output is coordinates, possibly with deviations or heatmaps."""
    output = coordinates_of(output)
    return (
        not hasattr(decoder, 'heatmap_size')
        and isinstance(output, Tensor)
        and output.ndim == 3
        and output.shape[2] in (2, 4)
    )


def _name_of(module: Any) -> str:
    return type(getattr(module, 'head', module)).__name__


def _full_name_of(module: Any) -> str:
    """Name of a model that says which backbone it has."""
    backbone = getattr(module, 'backbone', None)
    name = _name_of(module)
    return name if backbone is None else f'{name} on {type(backbone).__name__}'


def _refusal(name: str, reason: str) -> UserError:
    return ConfigError(f'{name} cannot be fused: {reason}; {INSTEAD}')


@torch.no_grad()
def _head_output(module: Any, width: int, height: int) -> Any:
    """Output of the head for one blank input."""
    parameter = next(module.parameters())
    blank = torch.zeros(1, 3, height, width, device=parameter.device)
    training = module.training
    module.eval()
    try:
        return module.head.forward(module.extract_feat(blank))
    finally:
        module.train(training)


def _format_output(output: object) -> str:
    if isinstance(output, Tensor):
        return f'a tensor of shape {tuple(output.shape)}'
    if isinstance(output, (list, tuple)):
        return f'a {type(output).__name__} of {", ".join(map(_format_output, output))}'
    return f'a {type(output).__name__}'
