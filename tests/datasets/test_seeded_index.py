import pickle
import random

import numpy as np
import torch

from mmdistill.datasets.seeded_dataset import SeededIndex, seeded


def drawn():
    """A number of each of the three sources that transforms draw from."""
    return random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002


def test_a_draw_is_an_index_that_keeps_its_seed_on_the_way_to_a_worker():
    draw = pickle.loads(pickle.dumps(SeededIndex(7, 2**32 - 1)))
    assert (draw, draw.seed) == (7, 2**32 - 1)
    assert list('abcdefgh')[draw] == 'h'


def test_the_same_seed_draws_the_same_numbers():
    numbers = []
    for seed in (5, 6, 5):
        with seeded(seed):
            numbers.append(drawn())
    assert numbers[0] == numbers[2]
    assert all(a != b for a, b in zip(numbers[0], numbers[1], strict=True))


def test_afterwards_others_draw_as_if_nothing_had_been():
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(3)
    expected = [drawn(), drawn()]
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(3)
    found = [drawn()]
    with seeded(9):
        drawn()
    assert [*found, drawn()] == expected
