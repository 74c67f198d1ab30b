"""Labeling runs in processes that a test kills, and the images they label."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import pytest
import torch.distributed

from mmdistill.store import LabelStore
from tests.helpers.labeling import Teacher, run_loop
from tests.helpers.metainfo import COCO

FORK = multiprocessing.get_context('fork')
NUM_IMAGES = 120


def run_rank(
    root: Path, rank: int, world_size: int, seconds: float, meeting: Path | None
) -> None:
    if meeting is not None:
        torch.distributed.init_process_group(
            'gloo', init_method=f'file://{meeting}', rank=rank, world_size=world_size
        )
    teacher = Teacher(seconds=seconds, diary=root / f'diary{os.getpid()}')
    run_loop(root / 'pile', root / 'labels', COCO, teacher, chunk_size=4)


def run_group(root: Path, world_size: int, seconds: float) -> None:
    """A run of some processes, which can be killed as one group."""
    os.setpgrp()
    meeting = root / f'meeting{os.getpid()}' if world_size > 1 else None
    ranks = [
        FORK.Process(target=run_rank, args=(root, rank, world_size, seconds, meeting))
        for rank in range(world_size)
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join()
    os._exit(max(process.exitcode for process in ranks))


def start(
    root: Path, world_size: int, seconds: float = 0.01
) -> multiprocessing.Process:
    process = FORK.Process(target=run_group, args=(root, world_size, seconds))
    process.start()
    return process


def kill(group: multiprocessing.Process) -> None:
    try:
        os.killpg(group.pid, signal.SIGKILL)
    except ProcessLookupError:
        group.kill()
    group.join()


def files(root: Path) -> dict[str, bytes]:
    found = (path for path in root.rglob('*') if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


def done_images(store: LabelStore) -> set[str]:
    """Paths of the images whose chunks are written."""
    if not store.exists:
        return set()
    missing, paths = set(store.missing_chunks()), store.paths()
    return {
        path
        for chunk, place in enumerate(store.chunk_spans())
        if chunk not in missing
        for path in paths[place.start : place.stop]
    }


def labeled_since(root: Path, known: set[Path]) -> set[str]:
    """Paths of the images that the diaries of new processes name."""
    diaries = set(root.glob('diary*')) - known
    known |= diaries
    return {line for diary in diaries for line in diary.read_text().splitlines()}


@pytest.fixture
def piled(tmp_path, write_images) -> Path:
    """A folder with a pile of images, nothing labeled yet."""
    write_images(tmp_path / 'pile', *(f'{i:03d}.png' for i in range(NUM_IMAGES)))
    return tmp_path
