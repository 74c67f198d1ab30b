"""Values of a sample that a data set sets and does not know."""

from __future__ import annotations

from collections.abc import Sequence

from mmcv.transforms import BaseTransform

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
