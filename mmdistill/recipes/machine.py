"""The machine that a recipe will run on."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Machine:
    """Processors of a machine.

    Attributes:
        cpus: Number of CPU cores that this process may use.
        gpus: Number of GPUs.
        gpu_memory: Memory of the first GPU, GiB; 0 without one.
    """

    cpus: int
    gpus: int = 0
    gpu_memory: float = 0.0

    @staticmethod
    def current() -> Machine:
        """Look at this machine."""
        cpus = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else 0
        gpus = torch.cuda.device_count()
        memory = torch.cuda.get_device_properties(0).total_memory if gpus else 0
        return Machine(cpus or os.cpu_count() or 1, gpus, memory / 2**30)

    @property
    def description(self) -> str:
        """What is there, in words."""
        if self.gpus:
            return (
                f'{self.gpus} GPU of {self.gpu_memory:.0f} GiB, {self.cpus} CPU cores'
            )
        return f'{self.cpus} CPU cores, no GPU'

    @property
    def workers(self) -> int:
        """Processes that read images beside one training process."""
        return min(8, max(1, (self.cpus - 1) // max(self.gpus, 1)))
