"""Forward pass of the wrapped model, in the fastest form that is safe."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from mmcv.cnn.utils import fuse_conv_bn
from mmengine.logging import print_log
from torch import Tensor
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mmdistill.errors import ConfigError
from mmdistill.utils.torch_version import is_full, require_full

Forward = Callable[[Tensor], Any]
"""Forward pass from network inputs to the output of the head."""
PRECISIONS = {
    'float32': torch.float32,
    'bfloat16': torch.bfloat16,
    'float16': torch.float16,
}
"""Precisions of the forward pass by name."""
FOLDING_TOLERANCE = 1e-4
"""Maximum change of an output by folding, relative to its largest value."""


class Network:
    """Forward pass of a pose estimator: `extract_feat`, then `head.forward`.

    The estimator is not modified: a folded or compiled copy of its weights is made when
    it first runs, and made again when they have changed.

    Args:
        module: The pose estimator.
        precision: 'float32', or 'bfloat16' or 'float16' for autocast.
        fold_batch_norm: Whether batch norms are folded into the convolutions before
            them, in a copy. Where that changes an output by more than rounding, the
            estimator runs unfolded.
        compile_network: Whether `torch.compile` compiles it.
        make_forward: Function that makes the forward pass of an estimator; by default
            one that ends at the output of the head.

    Raises:
        UserError: If the precision is none of these, or this torch is too old to
            compile.
    """

    def __init__(
        self,
        module: Any,
        precision: str = 'float32',
        fold_batch_norm: bool = True,
        compile_network: bool = False,
        make_forward: Callable[[Any], Forward] | None = None,
    ) -> None:
        if precision not in PRECISIONS:
            raise ConfigError(
                f'precision must be one of {list(PRECISIONS)}, got {precision!r}'
            )
        if compile_network:
            require_full('compile=True')
        self._module = module
        self._precision = precision
        self._fold = fold_batch_norm
        self._compile = compile_network
        self._make_forward = forward_of if make_forward is None else make_forward
        self._weights: list[tuple[int, int]] | None = None
        self._forward: Forward | None = None

    def refresh_if_changed(self) -> bool:
        """Discard the prepared forward pass if the weights have changed.

        Returns:
            Whether they have.
        """
        weights = _fingerprint(self._module)
        changed = weights != self._weights
        if changed:
            self._forward, self._weights = None, weights
        return changed

    def __call__(self, inputs: Tensor) -> Any:
        """Compute the output for network inputs, (N, 3, H, W)."""
        if self._module.training:
            return self._make_forward(self._module)(inputs)
        if self._forward is None:
            self._forward = self._make(inputs)
        with self._autocast(inputs.device):
            if self._compile:
                torch._dynamo.maybe_mark_dynamic(inputs, 0)
            return self._forward(inputs)

    def _autocast(self, device: torch.device) -> AbstractContextManager[Any]:
        if self._precision == 'float32':
            return nullcontext()
        return torch.autocast(device.type, PRECISIONS[self._precision])

    def _make(self, inputs: Tensor) -> Forward:
        self._check_precision(inputs.device)
        if self._compile:
            return self._compiled(inputs.device)
        return self._folded(inputs) if self._fold else self._make_forward(self._module)

    def _folded(self, inputs: Tensor) -> Forward:
        """Forward pass of a folded copy, if its output is the same."""
        plain = self._make_forward(self._module)
        try:
            copied = fuse_conv_bn(copy.deepcopy(self._module))
            folded = self._make_forward(fold_into_deconvolutions(copied))
            if _agree(plain(inputs[:1]), folded(inputs[:1])):
                return folded
        except RuntimeError:
            # A batch norm does not fit the convolution registered before it.
            pass
        print_log(
            f'{type(self._module).__name__} runs with its batch norms: folded into '
            'the convolutions before them they change what it returns',
            logger='current',
        )
        return plain

    def _compiled(self, device: torch.device) -> Forward:
        """Compiled forward pass; on a CPU the weights are compiled in."""
        # Code compiled for other weights would match this module as well.
        torch.compiler.reset()
        # Freezing folds the batch norms and arranges the weights for oneDNN.
        compiled = torch.compile(
            self._make_forward(self._module), options={'freezing': device.type == 'cpu'}
        )

        def forward(inputs: Tensor) -> Any:
            try:
                return compiled(inputs)
            except torch._inductor.exc.InductorError as error:
                raise ConfigError(
                    'compile=True needs a working compiler (g++ for a CPU): '
                    f'{str(error).strip().splitlines()[0]}'
                ) from error

        return forward

    def _check_precision(self, device: torch.device) -> None:
        """Refuse a precision that this torch lacks, and warn of a slow one."""
        if device.type == 'cpu' and self._precision != 'float32':
            require_full(f'precision={self._precision!r} on a CPU')
        if device.type == 'cpu' and not _is_native(self._precision):
            print_log(
                f'this CPU has no instructions for {self._precision}, which will be '
                "slower than precision='float32'",
                logger='current',
                level=logging.WARNING,
            )


def forward_of(module: Any) -> Forward:
    """Return the forward pass of a pose estimator up to the output of its head."""

    def forward(inputs: Tensor) -> Any:
        return module.head.forward(module.extract_feat(inputs))

    return forward


def features_of(module: Any) -> Forward:
    """Return the forward pass of a pose estimator up to the input of its head."""
    features: Forward = module.extract_feat
    return features


def fold_into_deconvolutions(module: torch.nn.Module) -> torch.nn.Module:
    """Fold batch norms into the transposed convolutions right before them.

    Args:
        module: A network in evaluation mode, which is modified; batch norms after other
            convolutions are kept.
    """
    previous: tuple[str, torch.nn.Module] = '', module
    for name, child in list(module.named_children()):
        previous_name, deconvolution = previous
        if isinstance(child, torch.nn.BatchNorm2d) and isinstance(
            deconvolution, torch.nn.ConvTranspose2d
        ):
            folded = fuse_conv_bn_eval(deconvolution, child, transpose=True)
            setattr(module, previous_name, folded)
            setattr(module, name, torch.nn.Identity())
        else:
            fold_into_deconvolutions(child)
        previous = name, child
    return module


def batch_size_on(device: torch.device) -> int:
    """Return the default number of crops in a forward pass, by cache and device."""
    return 8 if device.type == 'cpu' else 64


def best_precision() -> str:
    """Return the narrowest precision native to this CPU, 'bfloat16' or 'float32'."""
    return 'bfloat16' if _is_native('bfloat16') else 'float32'


def _is_native(precision: str) -> bool:
    if precision != 'float32' and not is_full():
        return False
    if precision == 'bfloat16':
        return torch.cpu._is_avx512_bf16_supported() or (
            torch.cpu._is_amx_tile_supported()
        )
    if precision == 'float16':
        return bool(torch.ops.mkldnn._is_mkldnn_fp16_supported())
    return True


def _fingerprint(module: torch.nn.Module) -> list[tuple[int, int]]:
    """Addresses and versions of all tensors, which change with their values."""
    tensors = [*module.parameters(), *module.buffers()]
    return [(tensor.data_ptr(), tensor._version) for tensor in tensors]


def _agree(one: Any, other: Any) -> bool:
    """Whether two outputs of a head differ only by rounding."""
    if isinstance(one, Tensor):
        # Non-finite values must agree; they do not count in the comparison.
        finite = one.isfinite()
        if not torch.equal(finite, other.isfinite()):
            return False
        one, other = (values.masked_fill(~finite, 0) for values in (one, other))
        largest = one.abs().max().clamp(min=torch.finfo(torch.float32).tiny)
        return bool((one - other).abs().max() <= FOLDING_TOLERANCE * largest)
    if isinstance(one, (list, tuple)):
        return all(map(_agree, one, other))
    return one is None and other is None
