"""Unlabeled images as a detector takes them."""

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
    """Unlabeled images, seen through the test pipeline of a detector.

    A sample has `image`, a data sample that says what the image is, and what the
    pipeline makes of its pixels: `inputs` and `data_samples`, or a list of both where
    the pipeline augments. An image that cannot be read, or that the pipeline cannot
    take, has neither, and says why.

    Args:
        images: Config of an `UnlabeledDataset` without boxes.
        pipeline: Configs of the transforms, the first of which takes a decoded image
            from `img` (`LoadImageFromNDArray`).
        scope: The registries in which the transforms are looked up.
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
        """Whether one process should read images that follow each other."""
        return self._images.in_order

    def boxes_sha256(self, numbers: np.ndarray) -> str:
        """Nothing: there are no boxes yet."""
        return ''

    def provenance(self) -> dict[str, Any]:
        """What decides which image is read, as JSON values."""
        return {'max_pixels': self._images.provenance()['max_pixels']}

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, number: int) -> dict[str, Any]:
        """One image, see the class."""
        read = self._images.read(number)
        image = self._images.described(number, read)
        if read.reason:
            return dict(image=image)
        try:
            seen = self._compose(dict(img=read.pixels, img_id=number))
        except cv2.error:
            reason = "an image that the detector's pipeline cannot resize"
            image.set_metainfo(dict(status=FAILED, reason=reason))
            return dict(image=image)
        return dict(seen, image=image)
