"""Numbers that survive JSON to the last bit."""

from __future__ import annotations

import json

import numpy as np

from mmdistill.utils.files import shortest, xywh


def drawn_boxes() -> np.ndarray:
    low = np.random.default_rng(0).uniform(0, 4000, (500, 4))
    return np.concatenate([low[:, :2], low[:, :2] + low[:, 2:]], axis=1).astype(
        np.float32
    )


def test_a_number_has_no_more_digits_than_it_needs():
    assert shortest(np.float32([0.1, 1 / 3])).tolist() == [0.1, 0.33333334]


def test_numbers_come_back_to_the_last_bit():
    values = drawn_boxes()
    again = json.loads(json.dumps(shortest(values).tolist()))
    assert np.array_equal(np.float32(again), values)


def test_corner_and_sides_give_the_far_corner_to_the_last_bit():
    boxes = drawn_boxes()
    again = np.array(json.loads(json.dumps(xywh(boxes).tolist())))
    assert np.array_equal(np.float32(again[:, :2] + again[:, 2:]), boxes[:, 2:])
    assert np.array_equal(np.float32(again[:, :2]), boxes[:, :2])
