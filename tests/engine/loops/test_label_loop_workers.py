"""A worker process that dies while images are labeled."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch

from mmdistill.datasets import UnlabeledDataset
from mmdistill.errors import UserError
from mmdistill.store import LabelStore


def files(store: LabelStore) -> dict[Path, bytes]:
    return {
        path.relative_to(store.root): path.read_bytes()
        for path in store.root.rglob('*.parquet')
    }


def test_a_killed_worker_is_told_and_the_next_run_goes_on(label, monkeypatch, tmp_path):
    read = UnlabeledDataset.__getitem__

    def dies(self, number):
        if number == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return read(self, number)

    with monkeypatch.context() as patch:
        patch.setattr(UnlabeledDataset, '__getitem__', dies)
        with pytest.raises(
            UserError, match=r'a worker process .*distill\.labeling\.num_workers=0'
        ):
            label(loader=dict(num_workers=1))

    _, continued = label()
    _, whole = label('whole')
    assert files(continued) == files(whole)


class Hungry(torch.nn.Linear):
    """A teacher that needs more memory than there is."""

    ensemble = ()

    def provenance(self):
        return {}

    def test_step(self, batch):
        return torch.zeros(10**15)


def test_memory_that_is_full_without_workers_names_the_batch(label):
    teacher = Hungry(1, 1)
    teacher.module = torch.nn.Linear(1, 1)
    with pytest.raises(
        UserError, match=r'memory of this machine .*batch_size=1 \(now 2\): it goes on'
    ) as caught:
        label(teacher=teacher)
    assert 'num_workers=0' not in str(caught.value)
