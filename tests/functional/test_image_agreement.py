"""Agreement of images."""

from __future__ import annotations

import numpy as np
import pytest

from mmdistill.functional.scoring import image_agreement


def test_the_best_candidate_counts_as_a_loop_finds_it():
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 4, 50)
    values = rng.random((counts.sum(), 17), dtype=np.float32)
    expected, rest = [], values.tolist()
    for count in counts:
        mine, rest = rest[:count], rest[count:]
        expected.append(sum(mine[0]) / 17 if mine else 0)
    assert image_agreement(values, counts) == pytest.approx(expected)


def test_without_images_there_is_nothing():
    assert image_agreement(np.zeros((0, 17)), np.zeros(0, int)).tolist() == []
