"""The transform that drops empty values, and a check of how pipelines load images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmcv.transforms import BaseTransform

from mmdistill.config.schema import is_type
from mmdistill.registry import TRANSFORMS
from mmdistill.utils.logging import warn


@TRANSFORMS.register_module()
class DropNoneValues(BaseTransform):
    """Drop values that are None.

    MMPose's whole-body data sets set `keypoints_3d=None`, and its `KeypointConverter`
    fails on a key without a value, so it needs this transform before it.

    Args:
        keys: Keys to drop where their value is None.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = list(keys)

    def transform(self, results: dict) -> dict:
        """Drop the keys without a value.

        Args:
            results: A sample, changed in place.
        """
        for key in self.keys:
            if results.get(key, 0) is None:
                del results[key]
        return results


LOADERS = ('LoadImage', 'LoadImageFromFile')
UNROTATED_FLAGS = (
    'unchanged',
    'color_ignore_orientation',
    'grayscale_ignore_orientation',
)
UNROTATED_BACKENDS = ('turbojpeg', 'tifffile')


def warn_if_unrotated(pipeline: Sequence[Any]) -> None:
    """Warn if a pipeline loads images without applying the EXIF orientation.

    Labels are in the frame of the rotated image, as stock pipelines load it.

    Args:
        pipeline: Configs of the transforms; built ones are not checked.
    """
    for step in pipeline:
        if not isinstance(step, Mapping) or not any(
            is_type(step, loader) for loader in LOADERS
        ):
            continue
        flag = step.get('color_type', 'color')
        backend = step.get('imdecode_backend', 'cv2')
        if flag in UNROTATED_FLAGS or backend in UNROTATED_BACKENDS:
            warn(
                f'images are loaded with color_type={flag!r} and imdecode_backend='
                f'{backend!r}, without the EXIF orientation, and labels are those of '
                'rotated images: where images have such a tag, load them with '
                "color_type='color' and imdecode_backend='cv2'"
            )
