"""The devices on which a test runs, those without hardware skipped."""

from __future__ import annotations

import pytest
import torch

CUDA = pytest.param(
    'cuda',
    marks=(
        pytest.mark.cuda,
        pytest.mark.skipif(not torch.cuda.is_available(), reason='needs CUDA'),
    ),
)
DEVICES = ('cpu', CUDA)
