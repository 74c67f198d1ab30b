"""Values of a sample that a data set sets and does not know.

Whether training reads images in the frame in which they were labeled.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from mmcv.transforms import BaseTransform
from mmengine.logging import print_log

from mmdistill.config.schema import is_type
from mmdistill.registry import TRANSFORMS


@TRANSFORMS.register_module()
class DropNoneValues(BaseTransform):
    """Leave out values that are None.

    MMPose's whole-body data sets give `keypoints_3d=None`, and its
    `KeypointConverter` converts these wherever the key is there, so that the two do
    not go together without this between them.

    Args:
        keys: Keys that are left out where they have no value.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = list(keys)

    def transform(self, results: dict) -> dict:
        """Leave out the keys without a value.

        Args:
            results: A sample; it is changed.
        """
        for key in self.keys:
            if results.get(key, 0) is None:
                del results[key]
        return results


LOADERS = ('LoadImage', 'LoadImageFromFile')
UNTURNED_FLAGS = (
    'unchanged',
    'color_ignore_orientation',
    'grayscale_ignore_orientation',
)
UNTURNED_BACKENDS = ('turbojpeg', 'tifffile')


def warn_if_unturned(pipeline: Sequence[Any]) -> None:
    """Warn when a pipeline loads images without the turn that EXIF asks for.

    Labels are those of the turned image, as stock pipelines load it.

    Args:
        pipeline: Configs of the transforms; built ones are taken as they are.
    """
    for step in pipeline:
        if not isinstance(step, Mapping) or not any(is_type(step, n) for n in LOADERS):
            continue
        flag = step.get('color_type', 'color')
        backend = step.get('imdecode_backend', 'cv2')
        if flag in UNTURNED_FLAGS or backend in UNTURNED_BACKENDS:
            print_log(
                f'images are loaded with color_type={flag!r} and imdecode_backend='
                f'{backend!r}, without the turn that EXIF asks for, and labels are '
                'those of turned images: where images have such a tag, load them with '
                "color_type='color' and imdecode_backend='cv2'",
                logger='current',
                level=logging.WARNING,
            )
