"""Sets as long as a mix has them, of nothing but numbers."""

from __future__ import annotations


class Sampler:
    """What MMEngine's sampler tells of its rank."""

    epoch = 0

    def __init__(self, dataset, rank=0, world_size=1, seed=0):
        self.dataset, self.seed = dataset, seed
        self.rank, self.world_size = rank, world_size

    def set_epoch(self, epoch):
        self.epoch = epoch
