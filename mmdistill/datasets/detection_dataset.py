"""Unlabeled images as input of a detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.dataset import Compose
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import DefaultScope

from mmdistill.registry import DATASETS
from mmdistill.store.schema import FAILED


@DATASETS.register_module()
class DetectionDataset:
    """Unlabeled images, processed by the test pipeline of a detector.

    A sample has `image`, a data sample that describes the image, and the output of the
    pipeline: `inputs` and `data_samples`, or a list of both where the pipeline
    augments. The sample of an image that cannot be read or processed has only `image`,
    with the reason.

    Args:
        images: Config of an `UnlabeledDataset` without boxes.
        pipeline: Configs of the transforms, the first of which takes a decoded image
            from `img` (`LoadImageFromNDArray`).
        scope: Registry scope of the transforms.
    """

    def __init__(
        self,
        images: Mapping[str, Any],
        pipeline: Sequence[Mapping[str, Any]],
        scope: str = 'mmdet',
    ) -> None:
        self._images = MMENGINE_DATASETS.build(images)
        self.pipeline = pipeline
        with DefaultScope.overwrite_default_scope(scope):
            self._compose = Compose(pipeline)

    @property
    def metainfo(self) -> dict[str, Any]:
        """Keypoints of the unlabeled images, in MMPose's parsed form."""
        return self._images.metainfo

    @property
    def img_root(self) -> Path:
        """Folder that the paths are relative to."""
        return self._images.img_root

    @property
    def paths(self) -> list[str]:
        """Paths of all images, relative to the image root."""
        return self._images.paths

    @property
    def in_order(self) -> bool:
        """Whether one process should read consecutive images."""
        return self._images.in_order

    def boxes_sha256(self, numbers: np.ndarray) -> str:
        """Return an empty string: there are no boxes yet.

        Args:
            numbers: Not used.
        """
        return ''

    def provenance(self) -> dict[str, Any]:
        """Return the settings that decide which images are read, as JSON values."""
        return {'max_pixels': self._images.provenance()['max_pixels']}

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, number: int) -> dict[str, Any]:
        """Return the sample of an image, see the class."""
        decoded = self._images.read(number)
        image = self._images.described(number, decoded)
        if decoded.reason:
            return dict(image=image)
        try:
            processed = self._compose(dict(img=decoded.pixels, img_id=number))
        except cv2.error:
            reason = "an image that the detector's pipeline cannot resize"
            image.set_metainfo(dict(status=FAILED, reason=reason))
            return dict(image=image)
        return dict(processed, image=image)
