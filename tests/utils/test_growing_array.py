"""An array that grows."""

from __future__ import annotations

import numpy as np
import pytest

from mmdistill.utils.growing_array import GrowingArray


@pytest.mark.parametrize('lengths', [(), (0,), (3, 0, 5), (1,) * 50, (700, 900, 3000)])
def test_rows_come_in_the_order_they_were_appended(lengths):
    rng = np.random.default_rng(0)
    blocks = [rng.normal(size=(n, 2, 3)).astype(np.float32) for n in lengths]
    growing = GrowingArray((2, 3), np.float32)
    for block in blocks:
        growing.append(block)
    expected = np.concatenate([np.zeros((0, 2, 3), np.float32), *blocks])
    np.testing.assert_array_equal(growing.finish(), expected, strict=True)
