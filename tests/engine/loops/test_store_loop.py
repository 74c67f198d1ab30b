"""What every loop shares that writes rows to a store.

The rest is seen through the labeling loop and the detecting one.
"""

from __future__ import annotations

import pytest

from mmdistill.engine.loops.store_loop import StoreLoop


def test_a_loop_must_say_what_it_writes():
    with pytest.raises(TypeError, match='abstract'):
        StoreLoop(None, {}, None, 1, 0.0)
