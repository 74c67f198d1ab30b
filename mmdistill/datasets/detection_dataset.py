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
    augments or there are views. The sample of an image that cannot be read or processed
    has only `image`, with the reason.

    Args:
        images: Config of an `UnlabeledDataset` without boxes.
        pipeline: Configs of the transforms, the first of which takes a decoded image
            from `img` (`LoadImageFromNDArray`).
        scope: Registry scope of the transforms.
        views: The transforms of each view of an image, instead of `pipeline`.
    """

    def __init__(
        self,
        images: Mapping[str, Any],
        pipeline: Sequence[Mapping[str, Any]],
        scope: str = 'mmdet',
        views: Sequence[Sequence[Mapping[str, Any]]] = (),
    ) -> None:
        self._images = MMENGINE_DATASETS.build(images)
        self.pipeline = list(views) or pipeline
        with DefaultScope.overwrite_default_scope(scope):
            self._views = [Compose(view) for view in views]
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

    def encoded(self, number: int) -> bytes | None:
        """Return the bytes of an image file; None if the image cannot be read.

        Args:
            number: An image without a file of its own, as a video frame.
        """
        return self._images.encoded(number)

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
            processed = self._processed(dict(img=decoded.pixels, img_id=number))
        except cv2.error:
            reason = "an image that the detector's pipeline cannot resize"
            image.set_metainfo(dict(status=FAILED, reason=reason))
            return dict(image=image)
        return dict(processed, image=image)

    def _processed(self, decoded: Mapping[str, Any]) -> dict[str, Any]:
        """The output of the pipeline, or that of each view by key."""
        if not self._views:
            return self._compose(dict(decoded))
        seen = [view(dict(decoded)) for view in self._views]
        return {key: [each[key] for each in seen] for key in seen[0]}
