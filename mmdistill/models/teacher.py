"""A teacher: a pose estimator with everything that its views are fused by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mmdistill.functional.crops import Crops, boxes_to_crops, input_walk
from mmdistill.functional.reduced_decoding import CropSampling
from mmdistill.functional.views import View
from mmdistill.models.adapters.build import build_adapter, count_keypoints
from mmdistill.models.adapters.layouts import Resolutions
from mmdistill.models.crop_cutter import CropCutter
from mmdistill.models.input_normalizer import InputNormalizer
from mmdistill.models.network import Network

SAME_ASPECT = 1e-6
"""Relative difference of aspect ratios that is rounding."""


@dataclass(frozen=True)
class Running:
    """Settings by which networks run, as `HeatmapFusionTTA` takes them.

    Attributes:
        channels_last: Whether memory is in channels-last format.
        precision: Precision of the network.
        fold_batch_norm: Whether batch norms are folded.
        compile_network: Whether `torch.compile` compiles the network.
        resolutions: Resolutions of the network input.
    """

    channels_last: bool
    precision: str
    fold_batch_norm: bool
    compile_network: bool
    resolutions: Resolutions

    @property
    def memory_format(self) -> torch.memory_format:
        """Memory format of weights and inputs."""
        return torch.channels_last if self.channels_last else torch.contiguous_format


class Teacher:
    """A pose estimator and the way that its crops are cut.

    Args:
        module: The pose estimator.
        padding: Factor by which a crop is larger than its box.
        use_udp: Whether crops are cut with MMPose's UDP warp; by default as the
            model's codec requires.
        running: How its network runs.
        keypoints: Keypoints of its head that are fused; by default those that the
            model returns.

    Attributes:
        module: The pose estimator.
        padding: Factor by which a crop is larger than its box.
        network: The forward pass.
        normalizer: Converter of crops to network inputs.
        adapter: Adapter of the family of its head.
        cutter: Cutter of its crops.

    Raises:
        ConfigError: If a setting is invalid, or the head cannot be fused.
    """

    def __init__(
        self,
        module: Any,
        padding: float,
        use_udp: bool | None,
        running: Running,
        keypoints: Sequence[int] | None = None,
    ) -> None:
        self.module = module
        self._keypoints = keypoints
        self.padding = padding
        module.to(memory_format=running.memory_format)
        self.network = Network(
            module, running.precision, running.fold_batch_norm, running.compile_network
        )
        preprocessor = module.data_preprocessor
        self.normalizer = InputNormalizer(preprocessor, running.memory_format)
        self.adapter = build_adapter(module, use_udp, running.resolutions)
        self.cutter = CropCutter(self.adapter.frame_of)

    @property
    def kept(self) -> Sequence[int] | None:
        """Keypoints of the head that are fused and returned, None for all."""
        if self._keypoints is not None:
            return self._keypoints
        kept: Sequence[int] | None = self.module.test_cfg.get('output_keypoint_indices')
        return kept

    @property
    def num_keypoints(self) -> int:
        """Number of keypoints that the model returns, K; needs a forward pass."""
        kept = self.kept
        return (
            len(kept)
            if kept is not None
            else count_keypoints(self.module, self.adapter)
        )

    @property
    def device(self) -> torch.device:
        """Device of its weights."""
        device: torch.device = next(self.module.parameters()).device
        return device

    @property
    def aspect_ratio(self) -> float:
        """Width over height of the network input."""
        return self.adapter.frame.width / self.adapter.frame.height

    def crops(self, boxes: Tensor) -> Crops:
        """Compute the reference crops of boxes.

        Args:
            boxes: Boxes (x1, y1, x2, y2) in pixels of the image, (N, 4).
        """
        return boxes_to_crops(boxes, self.padding, self.aspect_ratio)

    def sampling(self, views: Sequence[View]) -> CropSampling:
        """Return how densely views sample the image of a box.

        Args:
            views: The views.
        """
        walks = [input_walk(view, self.adapter.frame_of(view)) for view in views]
        steps = torch.stack(walks)[:, 1:].numpy()
        return CropSampling(self.padding, self.aspect_ratio, steps)

    def shows_same(self, other: Teacher) -> bool:
        """Whether another teacher is shown the same region of an instance.

        Args:
            other: The other teacher.
        """
        difference = abs(self.aspect_ratio / other.aspect_ratio - 1)
        return self.padding == other.padding and difference < SAME_ASPECT

    def input_sizes(self, views: Sequence[View]) -> dict[str, Any]:
        """Sizes of network inputs, where they are not the model's own alone.

        Args:
            views: The views.
        """
        frames = {f'{v.resolution:g}': self.adapter.frame_of(v) for v in views}
        own, fused = self.adapter.frame_of(View()), self.adapter.frame
        if {own} == {*frames.values(), fused}:
            return {}
        return {
            'input_sizes': {k: [f.width, f.height] for k, f in frames.items()},
            'fused_input_size': [fused.width, fused.height],
        }

    def work(self, views: Sequence[View]) -> float:
        """Compute the pixels of a box's crops, in inputs at the model's own size.

        Args:
            views: The views.
        """
        own = self.adapter.frame_of(View())
        frames = [self.adapter.frame_of(view) for view in views]
        pixels = sum(frame.width * frame.height for frame in frames)
        return pixels / (own.width * own.height)

    @property
    def num_bytes(self) -> int:
        """Memory of its weights, bytes."""
        tensors = [*self.module.parameters(), *self.module.buffers()]
        return sum(tensor.nbytes for tensor in tensors)
