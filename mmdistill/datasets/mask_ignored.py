"""Transform that lets the losses of students of whole images ignore people."""

from __future__ import annotations

from mmcv.transforms import BaseTransform

from mmdistill.errors import ConfigError
from mmdistill.functional.regions import box_corners, region_mask
from mmdistill.registry import TRANSFORMS

MASK = 'heatmap_mask'
"""Name that MMPose's heads know the mask by, also those without heatmaps."""
OF_EACH = (
    *('bbox', 'bbox_score', 'category_id', 'area'),
    *('keypoints', 'keypoints_visible', 'keypoints_visible_weights'),
)
"""Arrays with a row for each instance that a pipeline hands on."""


@TRANSFORMS.register_module()
class MaskIgnored(BaseTransform):
    """Make a mask of the people without a visible keypoint, who are to be ignored.

    Such an instance is neither person nor background: a person of the labeled set
    without annotated keypoints, a crowd, a candidate that was rejected, or what is left
    of a person whose keypoints all left the image. Its box covers a region in which a
    head has no loss, but for what the boxes of other people cover. Since instances
    are carried through every warp and mix of images, so are these regions.

    Heads of heatmaps (DEKR, CID) take a mask of the cells that count, so this belongs
    between `GenerateTarget` and `PackPoseInputs`, and removes the instances that it is
    made of. YOLOX-Pose and RTMO take one of the pixels that do not count
    (`get_invalid`), by the middle of the pose that a prior predicts, so this belongs
    before `FilterAnnotations`, which removes them. A mask that is there already, of
    MMPose's `BottomupGetHeatmapMask`, is joined.

    Args:
        get_invalid: Whether the mask marks what is ignored instead of what counts.
    """

    def __init__(self, get_invalid: bool = False) -> None:
        self.get_invalid = get_invalid

    def transform(self, results: dict) -> dict:
        """Add the mask.

        Args:
            results: A sample of a whole image with `bbox` and `keypoints_visible` of
                its instances; with heatmaps the mask has their size, else that of the
                image.

        Raises:
            ConfigError: If the heatmaps have several sizes.
        """
        visible = results['keypoints_visible']
        if visible.ndim == 3:
            visible = visible[..., 0]
        seen = (visible > 0).any(axis=1)
        height, width = results['img'].shape[:2]
        size = _mask_size(results, (width, height))
        corners = box_corners(results['bbox'])
        # A cell's center is where the center of its pixels is.
        scale = (size[0] / width, size[1] / height)
        corners = (corners + 0.5) * scale - 0.5
        ignored = region_mask(corners[~seen], size)
        ignored &= ~region_mask(corners[seen], size)
        mask = ignored if self.get_invalid else ~ignored
        if MASK in results:
            mask = mask | results[MASK] if self.get_invalid else mask & results[MASK]
        results[MASK] = mask
        table = results.get('field_mapping_table') or {}
        results['field_mapping_table'] = {**table, MASK: MASK}
        if not self.get_invalid:
            for key in OF_EACH:
                if key in results:
                    results[key] = results[key][seen]
        return results

    def __repr__(self) -> str:
        return f'MaskIgnored(get_invalid={self.get_invalid})'


def _mask_size(results: dict, image_size: tuple[int, int]) -> tuple[int, int]:
    """Width and height of the heatmaps of a sample, or of its image."""
    heatmaps = results.get('heatmaps')
    if heatmaps is None:
        return image_size
    if isinstance(heatmaps, (list, tuple)):
        raise ConfigError(
            f'MaskIgnored makes one mask, and the encoder makes heatmaps of '
            f'{len(heatmaps)} sizes; leave it out'
        )
    height, width = heatmaps.shape[-2:]
    return width, height
