"""What a test runs on: devices that are there, a torch that is new enough."""

from __future__ import annotations

import pytest
import torch

from mmdistill.utils.torch_version import is_full

NEEDS_FULL_TORCH = pytest.mark.skipif(not is_full(), reason='needs torch 2.6')
CUDA = pytest.param(
    'cuda',
    marks=(
        pytest.mark.cuda,
        pytest.mark.skipif(not torch.cuda.is_available(), reason='needs CUDA'),
    ),
)
DEVICES = ('cpu', CUDA)
