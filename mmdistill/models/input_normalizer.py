"""Fast equivalent of a model's data preprocessor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import torch
from torch import Tensor

PROBE_SIDE = 32
"""Side of the probe images, which padding to MMEngine's usual divisors keeps."""
KEPT, SWAPPED = [0, 1, 2], [2, 1, 0]
"""Orders of channels that OpenCV makes of bytes."""


class InputNormalizer:
    """Converter of crops to network inputs.

    Where the preprocessor only scales, shifts and reorders channels, which is detected
    by applying it to four uniform images, this is a single pass over the crops. Any
    other preprocessor is called for the crops.

    Args:
        preprocessor: The model's data preprocessor.
        memory_format: Memory format of the network inputs.
    """

    def __init__(self, preprocessor: Any, memory_format: torch.memory_format) -> None:
        self._preprocessor = preprocessor
        self._memory_format = memory_format
        outputs = self._probe(_uniform_images())
        self._channels: list[tuple[int, float, Tensor]] | None = None
        self._rows: dict[int, tuple[Tensor, Tensor]] = {}
        if outputs is not None:
            shifts = outputs[0, :, 0, 0]
            gains = (outputs[1:] - outputs[0])[..., 0, 0].T / 255
            order = gains.abs().argmax(1)
            scales = gains.gather(1, order[:, None])[:, 0]
            self._channels = list(
                zip(order.tolist(), scales.tolist(), shifts, strict=True)
            )

    @property
    def channels(self) -> list[tuple[int, float, float]] | None:
        """Source, scale and shift of each channel; None where there is more to do."""
        if self._channels is None:
            return None
        return [(i, scale, float(shift)) for i, scale, shift in self._channels]

    def inputs(self, crops: Sequence[Tensor]) -> Tensor:
        """Compute the network inputs of crops.

        Args:
            crops: Crops, values 0 to 255, each (n, 3, H, W), float; on the CPU also
                uint8, best in channels-last memory.

        Returns:
            Network inputs, (N, 3, H, W).
        """
        if self._channels is None:
            return self.inputs_of_crops(crops)
        counts = [len(block) for block in crops]
        inputs = torch.empty(
            (sum(counts), *crops[0].shape[1:]),
            device=crops[0].device,
            memory_format=self._memory_format,
        )
        for block, target in zip(crops, inputs.split(counts), strict=True):
            if block.dtype == torch.uint8 and self._byte_order is not None:
                self._scale_bytes(block, target, self._byte_order)
                continue
            for i, (source, scale, shift) in enumerate(self._channels):
                torch.add(shift, block[:, source], alpha=scale, out=target[:, i])
        return inputs

    @property
    def _byte_order(self) -> list[int] | None:
        """Order of the channels, where whole rows of bytes become whole rows."""
        order = [source for source, _, _ in self._channels or ()]
        last = self._memory_format == torch.channels_last
        return order if last and order in (KEPT, SWAPPED) else None

    def _scale_bytes(self, block: Tensor, target: Tensor, order: list[int]) -> None:
        """Write the inputs of bytes, both (n, 3, H, W) in channels-last memory.

        Channels lie side by side, so rows are scaled as vectors, a channel at a time
        would be slower by a factor of 5.
        """
        count, _, height, width = block.shape
        pixels = block.permute(0, 2, 3, 1).reshape(count * height, width, 3)
        if order == SWAPPED:
            swapped = cv2.cvtColor(pixels.numpy(), cv2.COLOR_BGR2RGB)
            pixels = torch.from_numpy(swapped)
        rows = target.permute(0, 2, 3, 1).view(count * height, width * 3)
        scales, shifts = self._row(width)
        rows.copy_(pixels.reshape(rows.shape))
        torch.addcmul(shifts, rows, scales, out=rows)

    def _row(self, width: int) -> tuple[Tensor, Tensor]:
        """Scales and shifts of a row of pixels, (3 * width,)."""
        if width not in self._rows:
            scales = torch.tensor([scale for _, scale, _ in self._channels or ()])
            shifts = torch.tensor([float(shift) for *_, shift in self._channels or ()])
            self._rows[width] = scales.repeat(width), shifts.repeat(width)
        return self._rows[width]

    def inputs_of_crops(self, crops: Sequence[Tensor]) -> Tensor:
        """Compute network inputs by the preprocessor itself, exact to the last digit.

        Args:
            crops: Crops, values 0 to 255, each (n, 3, H, W).

        Returns:
            Network inputs, (N, 3, H, W).
        """
        data = dict(inputs=torch.cat(list(crops)).float(), data_samples=[])
        inputs: Tensor = self._preprocessor(data)['inputs']
        return inputs.contiguous(memory_format=self._memory_format)

    @torch.no_grad()
    def _probe(self, images: Tensor) -> Tensor | None:
        """Outputs of the preprocessor, on the CPU; None if it is not affine."""
        device = getattr(self._preprocessor, 'device', images.device)
        data = dict(inputs=images.to(device), data_samples=[])
        outputs = self._preprocessor(data)['inputs']
        if not isinstance(outputs, Tensor) or outputs.shape != images.shape:
            return None
        outputs = outputs.float().cpu()
        one_source = ((outputs[1:] - outputs[0])[..., 0, 0] != 0).sum(0) == 1
        uniform = outputs == outputs[..., :1, :1]
        return outputs if bool(uniform.all() and one_source.all()) else None


def _uniform_images() -> Tensor:
    """Make a black image, and one for each channel with that channel at 255."""
    images = torch.zeros(4, 3, PROBE_SIDE, PROBE_SIDE)
    images[range(1, 4), range(3)] = 255
    return images
