"""Multi-view inference in scripts, as a companion of `mmpose.apis`.

`fuse_views` wraps a model of `mmpose.apis.init_model`; `inference_topdown` and, for
models that find instances themselves, `inference_bottomup` are called as those of
`mmpose.apis`. In the examples `model` is a model of 17 keypoints:

    model = init_model('config.py', 'checkpoint.pth', device='cpu')
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from typing import Any

import numpy as np
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope
from mmpose.models import BottomupPoseEstimator
from mmpose.structures import PoseDataSample
from mmpose.structures.bbox import bbox_xywh2xyxy

from mmdistill.config.metainfo import keypoint_names, true_flip_indices
from mmdistill.engine import checkpoint  # noqa: F401  (registers the safe loaders)
from mmdistill.errors import ConfigError, DataError
from mmdistill.models import HeatmapFusionTTA, PoseFinder
from mmdistill.stages.image_teachers import resize_settings
from mmdistill.stages.label_config import whole_image_pipeline
from mmdistill.stages.teachers import crop_pipeline, crop_settings
from mmdistill.utils.logging import warn

BBOX_FORMATS = ('xyxy', 'xywh')
"""Formats of boxes: two corners, or corner and size."""


def fuse_views(model: Any, **views: Any) -> HeatmapFusionTTA | PoseFinder:
    """Wrap a model of `mmpose.apis.init_model` so that it fuses several views.

    Args:
        model: An estimator with its `cfg` and `dataset_meta`; it is wrapped and not
            copied. Of a list of several with the same keypoints by name all are fused,
            and keypoints are those of the first, in its order.
        **views: Arguments of `HeatmapFusionTTA`, such as `scales` and `flip`; of
            `PoseFinder`, such as `resolutions`, where the model finds instances itself.

    Returns:
        The wrapper, on the model's device and with its `dataset_meta`. Inputs are made
        as the test pipeline of the model's config makes them.

    Raises:
        UserError: If a model or a view cannot be fused, or the models have other
            keypoints or some find instances; of a list it names the model by its place
            and its config.

    >>> fused = fuse_views(model, scales=(0.8, 1.0), flip=False)
    >>> type(fused).__name__, fused.padding
    ('HeatmapFusionTTA', 1.1)
    >>> len(fuse_views([model, model]).teachers)
    2
    """
    first, *others = model if isinstance(model, (list, tuple)) else [model]
    finds = isinstance(first, BottomupPoseEstimator)
    settings = {
        **_input_settings(first),
        'sigmas': first.dataset_meta['sigmas'],
        **views,
    }
    if others:
        names = _returned_names(first)
        settings['ensemble'] = [
            _member(other, names, _name(other, number), finds)
            for number, other in enumerate(others, start=1)
        ]
    wrapper = (
        PoseFinder(first, **settings) if finds else HeatmapFusionTTA(first, **settings)
    )
    wrapper.dataset_meta = _with_true_pairs(first.dataset_meta)
    fused: HeatmapFusionTTA | PoseFinder = wrapper.eval()
    return fused


def _input_settings(model: Any) -> dict[str, Any]:
    """How the test pipeline of a model's config makes its inputs."""
    pipeline = crop_pipeline(model.cfg)
    if isinstance(model, BottomupPoseEstimator):
        return resize_settings(pipeline, type(model.head).__name__)
    return crop_settings(pipeline)


def _name(model: Any, number: int) -> str:
    """Name of a model of a list, as an error calls it."""
    # The host keeps a model's config, and not the name of its checkpoint.
    file = model.cfg.filename
    return f'model[{number}], of {file}' if file else f'model[{number}]'


def _member(model: Any, names: Sequence[str], name: str, finds: bool) -> dict[str, Any]:
    """A further model as the wrapper's `ensemble` takes it, by its names."""
    if isinstance(model, BottomupPoseEstimator) != finds:
        raise ConfigError(
            f'{name}: models that are fused must all find instances themselves or all '
            f'take boxes, and {type(model.head).__name__} does not as the first'
        )
    own = _returned_names(model)
    if sorted(own) != sorted(names):
        raise ConfigError(
            f'{name}: models that are fused must have the same keypoints by name, got '
            f'{list(names)} and {list(own)}'
        )
    member = dict(name=name, module=model, **_input_settings(model))
    if not finds:
        kept = model.test_cfg.get('output_keypoint_indices') or range(len(own))
        return dict(member, keypoints=[kept[own.index(name)] for name in names])
    if own != list(names):
        raise ConfigError(
            f'{name}: models that find instances return their keypoints in their own '
            f'order, which must be that of the first, got {list(names)} and {own}'
        )
    return member


def _returned_names(model: Any) -> list[str]:
    """Names of the keypoints that a model returns, in their order."""
    names = keypoint_names(model.dataset_meta)
    kept = model.test_cfg.get('output_keypoint_indices')
    if kept is None or len(kept) == len(names):
        return names
    return [names[i] for i in kept]


def inference_topdown(
    model: HeatmapFusionTTA,
    img: np.ndarray | str | PathLike,
    bboxes: Sequence[Sequence[float]] | np.ndarray,
    bbox_format: str = 'xyxy',
) -> list[PoseDataSample]:
    """Estimate fused poses of an image, with the signature of MMPose's function.

    The image is decoded once. Without boxes there are no poses; MMPose would take the
    whole image as the box of a person.

    Args:
        model: A wrapper of `fuse_views`.
        img: Path of the image, or the image itself, BGR, (height, width, 3).
        bboxes: Boxes, pixels of the image, (N, 4).
        bbox_format: 'xyxy' (corners) or 'xywh' (corner and size).

    Returns:
        One data sample a box, with `pred_instances` of one instance: the fields of
        MMPose, and `keypoint_agreement`.

    Raises:
        UserError: If the boxes are not (N, 4) finite numbers or in another format, or
            the image is neither a path nor a BGR array.

    >>> image = np.zeros((160, 176, 3), dtype=np.uint8)
    >>> fused = fuse_views(model, scales=(0.8, 1.0))
    >>> boxes = [[10, 20, 90, 150], [60, 5, 150, 110]]
    >>> samples = inference_topdown(fused, image, boxes)
    >>> [sample.pred_instances.keypoints.shape for sample in samples]
    [(1, 17, 2), (1, 17, 2)]
    >>> samples[0].pred_instances.keypoint_agreement.shape
    (1, 17)
    """
    boxes = _boxes(bboxes, bbox_format)
    if len(boxes) == 0:
        return []
    init_default_scope('mmpose')
    pipeline = Compose(whole_image_pipeline(crop_pipeline(model.module.cfg)))
    item = pipeline(
        dict(
            _image(img),
            bbox=boxes,
            bbox_score=np.ones(len(boxes), dtype=np.float32),
            **model.dataset_meta,
        )
    )
    (sample,) = model.test_step(pseudo_collate([item]))
    return [_instance(sample, i) for i in range(len(boxes))]


def inference_bottomup(
    model: PoseFinder, img: np.ndarray | str | PathLike
) -> list[PoseDataSample]:
    """Find fused poses in an image, with the signature of MMPose's function.

    Args:
        model: A wrapper of `fuse_views` around a model that finds instances itself.
        img: Path of the image, or the image itself, BGR, (height, width, 3).

    Returns:
        One data sample, with `pred_instances` of all that were found, best first: the
        fields of MMPose, `keypoint_agreement`, `num_views`, and more.

    Raises:
        UserError: If the image is neither a path nor a BGR array.

    >>> image = np.zeros((160, 176, 3), dtype=np.uint8)
    >>> fused = fuse_views(finder, flip=True)
    >>> (sample,) = inference_bottomup(fused, image)
    >>> sample.pred_instances.num_views.max() <= 2
    True
    """
    init_default_scope('mmpose')
    pipeline = Compose(whole_image_pipeline(crop_pipeline(model.module.cfg)))
    item = pipeline(dict(_image(img), **model.dataset_meta))
    return model.test_step(pseudo_collate([item]))


def _with_true_pairs(metainfo: Mapping[str, Any]) -> dict[str, Any]:
    """Metainfo of a model, with mirror partners derived from its keypoint pairs."""
    if not {'flip_indices', 'flip_pairs'} <= set(metainfo):
        return dict(metainfo)
    partners = true_flip_indices(metainfo)
    if partners != list(metainfo['flip_indices']):
        warn(
            'flip_indices of the model disagree with its flip_pairs, as after a '
            'training from a config whose keypoints are not in order; the pairs '
            "are used here, but the model's own flip_test mirrors wrong keypoints"
        )
    return {**metainfo, 'flip_indices': partners}


def _image(img: np.ndarray | str | PathLike) -> dict[str, Any]:
    """Input of MMPose's `LoadImage` for an image or its path."""
    if isinstance(img, (str, PathLike)):
        return dict(img_path=fspath(img))
    if not isinstance(img, np.ndarray) or img.ndim != 3 or img.shape[2] != 3:
        # Arrays of other libraries have a shape as well.
        received = getattr(img, 'shape', type(img).__name__)
        raise DataError(
            f'img must be a path or a BGR array (height, width, 3), got {received}'
        )
    return dict(img=img)


def _boxes(
    bboxes: Sequence[Sequence[float]] | np.ndarray, bbox_format: str
) -> np.ndarray:
    """Check boxes and convert them to corners, (N, 4), float32."""
    if bbox_format not in BBOX_FORMATS:
        raise ConfigError(f'bbox_format must be xyxy or xywh, got {bbox_format!r}')
    try:
        boxes = np.array(bboxes, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(f'bboxes must be numbers: {error}') from error
    if boxes.size == 0:
        return boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise DataError(f'bboxes must have the shape (N, 4), got {boxes.shape}')
    boxes = bbox_xywh2xyxy(boxes) if bbox_format == 'xywh' else boxes
    for box in boxes:
        if not np.isfinite(box).all() or (box[2:] < box[:2]).any():
            raise DataError(
                'a box must go from its left upper corner to its right lower one, '
                f'got {box.tolist()}'
            )
    return boxes


def _instance(sample: PoseDataSample, i: int) -> PoseDataSample:
    """Data sample of one instance."""
    return PoseDataSample(
        metainfo=sample.metainfo,
        gt_instances=sample.gt_instances[i : i + 1],
        pred_instances=sample.pred_instances[i : i + 1],
    )
