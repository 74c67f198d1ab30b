"""Whether training reads images in the frame in which they were labeled."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.logging import print_log

from mmdistill.config_types import is_type

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
