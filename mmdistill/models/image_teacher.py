"""A teacher that is shown whole images: their inputs, and what a view of them finds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import mmcv
import numpy as np
import torch
from mmpose.structures import PoseDataSample
from mmpose.structures.bbox import get_warp_matrix
from torch import Tensor

from mmdistill.config.metainfo import READ_BY_HEADS
from mmdistill.errors import ConfigError
from mmdistill.functional.image_frames import ImageFrame, ResizeRule, Size
from mmdistill.functional.pose_matching import ViewPoses
from mmdistill.functional.reduced_decoding import reduction_in
from mmdistill.functional.views import View
from mmdistill.models.finders.base import Finder, Found
from mmdistill.models.finders.build import build_finder
from mmdistill.models.input_normalizer import InputNormalizer
from mmdistill.models.network import Network, features_of

BACKENDS = ('cv2', 'pillow')
"""Libraries by which MMCV resizes."""


@dataclass(frozen=True)
class ImageInputs:
    """How whole images become network inputs, as a transform of MMPose has it.

    Attributes:
        rule: Sizes of the inputs.
        pad_val: Value of the pixels beyond the image, one a channel.
        backend: 'cv2' or 'pillow', which resizes an image that is the whole input.
    """

    rule: ResizeRule
    pad_val: tuple[float, ...]
    backend: str = 'cv2'

    @staticmethod
    def of(
        input_size: Sequence[int],
        resize_mode: str = 'fit',
        size_factor: int = 32,
        pad_val: float | Sequence[float] = (0, 0, 0),
        backend: str = 'cv2',
    ) -> ImageInputs:
        """Make the rule of the arguments of `BottomupResize`.

        Args:
            input_size: Width and height of the input.
            resize_mode: 'fit', 'expand' or 'rescale', see `ResizeRule`.
            size_factor: Number that divides both sides of an input.
            pad_val: Value of the pixels beyond the image; a number, as in OpenCV, is
                that of the first channel.
            backend: Library that resizes where the mode is 'rescale'.

        Raises:
            ConfigError: If one of them is invalid.
        """
        try:
            width, height = input_size
            rule = ResizeRule((width, height), resize_mode, size_factor)
        except (TypeError, ValueError) as error:
            raise ConfigError(f'BottomupResize: {error}') from error
        if backend not in BACKENDS:
            raise ConfigError(f'backend must be one of {[*BACKENDS]}, got {backend!r}')
        values = pad_val if isinstance(pad_val, Sequence) else (pad_val,)
        return ImageInputs(rule, tuple(float(value) for value in values), backend)

    def provenance(self) -> dict[str, Any]:
        """Settings that decide the inputs, as JSON values."""
        own = {'backend': self.backend} if self.rule.mode == 'rescale' else {}
        return {
            'input_size': list(self.rule.input_size),
            'resize_mode': self.rule.mode,
            'size_factor': self.rule.size_factor,
            'pad_val': list(self.pad_val),
            **own,
        }

    def cut(self, image: np.ndarray, frame: ImageFrame) -> Tensor:
        """Cut the input of an image, to the byte as MMPose does.

        Args:
            image: Image, uint8, (height, width, 3).
            frame: Its frame.

        Returns:
            The input, uint8, (3, H, W).
        """
        if self.rule.mode == 'rescale':
            resized = mmcv.imresize(image, frame.size, backend=self.backend)
            return torch.from_numpy(resized).permute(2, 0, 1)
        center, extent = np.array([frame.center, frame.extent], dtype=np.float32)
        warp = get_warp_matrix(center, extent, 0, frame.size)
        pixels = cv2.warpAffine(
            image, warp, frame.size, flags=cv2.INTER_LINEAR, borderValue=self.pad_val
        )
        return torch.from_numpy(pixels).permute(2, 0, 1)


class ImageTeacher:
    """A pose estimator that finds instances itself, and how it is shown images.

    Args:
        module: The pose estimator.
        inputs: How images become its inputs.
        score_floor: Score of an instance down to which it is returned; None for the
            model's own threshold.
        memory_format: Memory format of inputs and of all weights but the head's.
        precision: Precision of the backbone and the neck; the head runs in float32.
        fold_batch_norm: Whether batch norms of these are folded.

    Attributes:
        module: The pose estimator.
        inputs: How images become its inputs.
        finder: The prediction of a view.
        network: The forward pass up to the head.

    Raises:
        ConfigError: If the model's head cannot be fused.
    """

    kept = None

    def __init__(
        self,
        module: Any,
        inputs: ImageInputs,
        score_floor: float | None,
        memory_format: torch.memory_format,
        precision: str,
        fold_batch_norm: bool,
    ) -> None:
        self.module = module
        self.inputs = inputs
        self.finder: Finder = build_finder(module, score_floor)
        for name, part in module.named_children():
            # Deformable convolutions of heads take no other than the usual one.
            if name != 'head':
                part.to(memory_format=memory_format)
        self.network = Network(
            module, precision, fold_batch_norm, make_forward=features_of
        )
        self._normalizer = InputNormalizer(module.data_preprocessor, memory_format)
        self._head_is_finite = True

    @property
    def num_keypoints(self) -> int:
        """Number of keypoints of its head, K."""
        return int(self.module.head.num_keypoints)

    def work(self, resolutions: Sequence[float]) -> float:
        """Compute the pixels of inputs of an image, in inputs at resolution 1.

        Args:
            resolutions: Resolutions of the inputs.
        """
        sizes = [self.inputs.rule.base_size(value) for value in (1.0, *resolutions)]
        own, *others = (width * height for width, height in sizes)
        return sum(others) / own

    def check_resolutions(self, resolutions: Sequence[float]) -> None:
        """Refuse resolutions that are the same after rounding.

        Args:
            resolutions: Resolutions of the views.

        Raises:
            ConfigError: If two give inputs of one size.
        """
        first: dict[tuple[int, int], float] = {}
        for value in resolutions:
            size = self.inputs.rule.base_size(value)
            if size in first:
                raise ConfigError(
                    f'views: the resolutions {first[size]:g} and {value:g} are both '
                    f'inputs of {size[0]}x{size[1]}, whose sides are multiples of '
                    f'{self.inputs.rule.size_factor}; leave one out'
                )
            first[size] = value

    def show(
        self,
        images: Sequence[np.ndarray],
        metainfo: Sequence[Mapping[str, Any]],
        views: Sequence[View],
        batch_size: int,
        device: torch.device,
    ) -> Iterator[tuple[int, View, ViewPoses | None]]:
        """Show views of images to the model, those of one input size together.

        Args:
            images: Images, uint8, each (height, width, 3).
            metainfo: Metainfo of each image's sample.
            views: Views of one resolution.
            batch_size: Images in a forward pass.
            device: Device that the model runs on.

        Yields:
            Number of the image, the view, and the poses found in pixels of the image,
            all of view 0; None where the model gives nothing finite.
        """
        by_size = defaultdict(list)
        rule, resolution = self.inputs.rule, views[0].resolution
        for number, image in enumerate(images):
            size = image_size(image, metainfo[number])
            frame = rule.frame(size, resolution)
            by_size[frame.size].append((number, frame))
        for shown in by_size.values():
            for start in range(0, len(shown), batch_size):
                batch = shown[start : start + batch_size]
                cut = [
                    self.inputs.cut(images[i], frame.reduced(reduction_in(metainfo[i])))
                    for i, frame in batch
                ]
                pixels = torch.stack(cut)
                inputs = self._normalizer.inputs([pixels.to(device).float()])
                for view in views:
                    viewed = inputs.flip(-1) if view.flip else inputs
                    found = self._find(viewed, [metainfo[i] for i, _ in batch], batch)
                    for (number, frame), instances in zip(batch, found, strict=True):
                        partners = metainfo[number]['flip_indices']
                        poses = _in_image(instances, frame, view, partners)
                        yield number, view, poses

    def refresh_if_changed(self) -> None:
        """Look at the weights again if they have changed."""
        if self.network.refresh_if_changed():
            parameters = self.module.head.parameters()
            self._head_is_finite = all(bool(p.isfinite().all()) for p in parameters)

    def _find(
        self,
        inputs: Tensor,
        metainfo: Sequence[Mapping[str, Any]],
        batch: Sequence[tuple[int, ImageFrame]],
    ) -> list[Found | None]:
        """Instances on the inputs of one view, None where there is nothing finite."""
        feats = [level.float().contiguous() for level in self.network(inputs)]
        found: list[Found | None] = [None] * len(batch)
        if not self._head_is_finite:
            return found
        samples = [
            _sample(about, frame)
            for about, (_, frame) in zip(metainfo, batch, strict=True)
        ]
        rows = _finite_rows(feats)
        step = self.finder.most_images or max(1, len(rows))
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            shown = tuple(level[part] for level in feats)
            instances = self.finder.find(shown, [samples[row] for row in part])
            for row, of_image in zip(part, instances, strict=True):
                found[row] = of_image
        return found


def image_size(image: np.ndarray, about: Mapping[str, Any]) -> Size:
    """Return the width and height of an image before it was reduced.

    Args:
        image: The image as it was decoded, (height, width, 3).
        about: Metainfo of its sample, which has `ori_shape` if it was reduced.
    """
    height, width = image.shape[:2]
    if reduction_in(about) > 1:
        height, width = about['ori_shape']
    return width, height


def _sample(about: Mapping[str, Any], frame: ImageFrame) -> PoseDataSample:
    """Data sample of an image in an input, as heads read it."""
    read = {key: about[key] for key in READ_BY_HEADS if key in about}
    return PoseDataSample(
        metainfo=dict(read, input_size=frame.size, img_shape=frame.size[::-1])
    )


def _finite_rows(feats: Sequence[Tensor]) -> list[int]:
    """Rows of the images whose features are finite."""
    # The sum of numbers is finite where each of them is.
    sums = torch.stack([level.flatten(1).sum(1) for level in feats])
    rows: list[int] = sums.isfinite().all(dim=0).nonzero()[:, 0].tolist()
    return rows


def _in_image(
    found: Found | None, frame: ImageFrame, view: View, flip_indices: Sequence[int]
) -> ViewPoses | None:
    """Poses in pixels of the image; None where the view has nothing finite."""
    if found is None:
        return None
    keypoints, bboxes, scores = found.keypoints, found.bboxes, found.keypoint_scores
    if view.flip:
        keypoints = frame.mirrored(keypoints, flip_indices)
        scores = scores[:, list(flip_indices)]
        bboxes = None if bboxes is None else frame.mirrored_boxes(bboxes)
    keypoints = frame.to_image(keypoints)
    boxes = (
        np.full((len(found), 4), np.nan)
        if bboxes is None
        else frame.boxes_to_image(bboxes)
    )
    return ViewPoses(
        keypoints=keypoints,
        keypoint_scores=scores,
        bboxes=boxes,
        scores=found.scores,
        category_ids=found.category_ids,
        views=np.zeros(len(found), dtype=np.int64),
    )
