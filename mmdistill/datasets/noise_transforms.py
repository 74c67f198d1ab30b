"""Transforms that noise a student's samples, and the switch by which only some are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.dataset import Compose

from mmdistill.config.noise_options import SOURCES, OcclusionConfig
from mmdistill.datasets.draw_phase import is_clean
from mmdistill.datasets.sample_tags import MARK
from mmdistill.errors import ConfigError
from mmdistill.functional.occlusion import covered_pixels, crop_side, occludable
from mmdistill.registry import TRANSFORMS

IMAGENET_MEAN = (103.53, 116.28, 123.675)
"""Mean pixel of ImageNet in the order of OpenCV: blue, green, red."""


@TRANSFORMS.register_module()
class JointOcclusion(BaseTransform):
    """Cover some visible joints of a crop with boxes in one color.

    The keypoints stay visible: the student learns to find what it does not see. The
    Joint Cutout of PoseCons and PoseDual (Xie et al., ICCV 2021). It belongs between
    `TopdownAffine`, whose `transformed_keypoints` it needs, and `GenerateTarget`.
    Keypoints that are not visible or outside of the crop are not covered.

    Args:
        prob: Share of the crops that are covered.
        joints: The least and the greatest number of boxes.
        size: The least and the greatest half-side of a box; lengths are parts of the
            crop's side, the geometric mean of its width and height.
        jitter: Standard deviation of a box's center around its keypoint, x and y.
        fill: Color of the boxes in the image's own order of channels; the mean pixel,
            which the network sees as 0.

    Raises:
        ConfigError: If a setting is out of its range.
    """

    def __init__(
        self,
        prob: float = OcclusionConfig.prob,
        joints: Sequence[int] = OcclusionConfig.joints,
        size: Sequence[float] = OcclusionConfig.size,
        jitter: float = OcclusionConfig.jitter,
        fill: Sequence[float] = IMAGENET_MEAN,
    ) -> None:
        self.settings = OcclusionConfig(prob, joints, size, jitter)
        self.fill = np.asarray(fill, dtype=np.float32)

    def transform(self, results: dict) -> dict:
        """Cover joints of the crop.

        Args:
            results: A sample behind `TopdownAffine`; its image is replaced, and not
                written into.

        Raises:
            ConfigError: If it has no `transformed_keypoints`.
        """
        if 'transformed_keypoints' not in results:
            raise ConfigError(
                'JointOcclusion needs transformed_keypoints, got a sample without; put '
                'it between TopdownAffine and GenerateTarget'
            )
        width, height = results['input_size']
        mask = self._drawn_mask(results, int(width), int(height))
        if mask is not None:
            results['img'] = _filled(results['img'], mask, self.fill)
        return results

    def _drawn_mask(
        self, results: Mapping[str, Any], width: int, height: int
    ) -> np.ndarray | None:
        """Draw what is covered, as the host's transforms from NumPy's global state."""
        settings, side = self.settings, crop_side(width, height)
        if np.random.rand() >= settings.prob:  # noqa: NPY002
            return None
        keypoints = results['transformed_keypoints'][..., :2].reshape(-1, 2)
        visible = results['keypoints_visible']
        # A second channel has the weights of the keypoints.
        visible = visible[..., 0] if visible.ndim == 3 else visible
        mask = occludable(keypoints, visible.reshape(-1), width, height)
        candidates = np.flatnonzero(mask)
        (fewest, most), (smallest, largest) = settings.joints, settings.size
        drawn = np.random.randint(fewest, most + 1)  # noqa: NPY002
        number = min(drawn, len(candidates))
        chosen = np.random.permutation(candidates)[:number]  # noqa: NPY002
        moved = np.random.normal(0, settings.jitter, (number, 2))  # noqa: NPY002
        halves = np.random.uniform(smallest, largest, number)  # noqa: NPY002
        return covered_pixels(
            keypoints[chosen] + moved * side, halves * side, width, height
        )

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.settings}, fill={self.fill.tolist()})'


def _filled(image: Any, mask: np.ndarray, fill: np.ndarray) -> Any:
    """A copy of an image, or of the frames of a list, with one color in a mask."""
    if isinstance(image, list):
        return [_filled(frame, mask, fill) for frame in image]
    whole = np.issubdtype(image.dtype, np.integer)
    filled = image.copy()
    filled[mask] = (np.rint(fill) if whole else fill).astype(image.dtype)
    return filled


@TRANSFORMS.register_module()
class NoiseSwitch(BaseTransform):
    """Run one list of transforms on samples that are noised, another on the rest.

    A clean draw, as those of a finish without noise, and a labeled sample where only
    pseudo-labeled ones are noised, run the second list.

    Args:
        noised: Transforms of samples that are noised.
        clean: Transforms of the others.
        sources: 'pseudo' if samples of a `PseudoLabelDataset` alone are noised, 'all'
            if all are.

    Raises:
        ConfigError: If `sources` is neither.
    """

    def __init__(
        self,
        noised: Sequence[dict],
        clean: Sequence[dict] = (),
        sources: str = 'all',
    ) -> None:
        if sources not in SOURCES:
            raise ConfigError(
                f'sources of a NoiseSwitch must be one of {", ".join(SOURCES)}, got '
                f'{sources!r}'
            )
        self.noised, self.clean = Compose(list(noised)), Compose(list(clean))
        self.sources = sources

    def transform(self, results: dict) -> dict | None:
        """Run the transforms that the sample is for.

        Args:
            results: A sample.

        Returns:
            The sample, or None if a transform rejects it.
        """
        others = self.sources == 'pseudo' and not results.get(MARK, False)
        steps = self.clean if is_clean() or others else self.noised
        changed: dict | None = steps(results)
        return changed

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(noised={self.noised}, clean={self.clean}, '
            f'sources={self.sources!r})'
        )
