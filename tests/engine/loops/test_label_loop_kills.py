"""Runs that are killed at random, and runs that meet on one store."""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import signal
import subprocess
import time
from pathlib import Path

import mmpose
import pytest
import torch.distributed
from mmengine.config import Config

from mmdistill.errors import UserError
from mmdistill.store import LabelStore
from mmdistill.store.lock import run_alive
from mmdistill.store.status import store_status
from tests.conftest import COCO
from tests.helpers.labeling import Teacher, run_loop

FORK = multiprocessing.get_context('fork')
NUM_IMAGES = 120
KILLS = 24


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


def test_a_run_killed_at_random_ends_in_the_files_of_one_that_was_not(piled):
    dice = random.Random(0)
    store = LabelStore(piled / 'labels')
    diaries: set[Path] = set()
    kills = 0
    while kills < KILLS:
        if store.exists and store.complete:
            for chunk in dice.sample(range(store.num_chunks), store.num_chunks // 2):
                (store.root / f'chunks/{chunk:06d}.parquet').unlink()
        before = done_images(store)
        group = start(piled, dice.choice([1, 2]))
        time.sleep(dice.uniform(0.05, 0.6))
        kills += group.is_alive()
        kill(group)
        assert labeled_since(piled, diaries).isdisjoint(before)
    group = start(piled, 2)
    group.join()
    assert group.exitcode == 0

    alone = Teacher()
    run_loop(piled / 'pile', piled / 'once', COCO, alone, chunk_size=4)
    assert files(piled / 'labels') == files(piled / 'once')


def test_a_second_run_is_refused_while_the_first_lives(piled):
    group = start(piled, 1, seconds=0.5)
    while not (piled / 'labels/manifest.json').exists():
        time.sleep(0.01)

    with pytest.raises(UserError, match=r'another run writes into .*\(process \d+ on'):
        run_loop(piled / 'pile', piled / 'labels', COCO, Teacher(), chunk_size=4)

    assert run_alive(piled / 'labels')
    kill(group)
    while run_alive(piled / 'labels'):
        time.sleep(0.01)  # The kernel takes a moment to bury the group.
    run_loop(piled / 'pile', piled / 'labels', COCO, Teacher(), chunk_size=4)
    assert LabelStore(piled / 'labels').complete


@pytest.fixture
def small_disk(piled):
    """The folder of the labels as a disk of 96 KiB; gives a way to enlarge it."""
    folder = piled / 'labels'
    folder.mkdir()

    def mount(options: str) -> bool:
        command = ['mount', '-t', 'tmpfs', '-o', options, 'tmpfs', str(folder)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    if not mount('size=96k'):
        pytest.skip('mounting a small disk needs the rights to')
    yield lambda: mount('remount,size=8m')
    subprocess.run(['umount', str(folder)], check=True)


def check_valid_but_not_complete(store: LabelStore) -> None:
    status = store_status(store)
    assert status.damaged == []
    assert 0 < status.missing <= status.chunks
    assert list(store.root.rglob('*.part')) == []


def test_a_full_disk_is_a_sentence_and_a_larger_one_completes(piled, small_disk):
    folders = [piled / 'pile', piled / 'labels', COCO]

    with pytest.raises(UserError, match='could not be written: No space left on dev'):
        run_loop(*folders, Teacher(), chunk_size=4)

    check_valid_but_not_complete(LabelStore(piled / 'labels'))
    assert small_disk()
    run_loop(*folders, Teacher(), chunk_size=4)
    run_loop(piled / 'pile', piled / 'once', COCO, Teacher(), chunk_size=4)
    assert files(piled / 'labels') == files(piled / 'once')


def run_limited(root: Path) -> None:
    base = Path(mmpose.__file__).parent / '.mim/configs/_base_/datasets/coco.py'
    metainfo = Config.fromfile(base).dataset_info
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
    with pytest.raises(UserError, match='could not be written: File too large'):
        run_loop(root / 'pile', root / 'labels', metainfo, Teacher(), chunk_size=4)


def test_a_file_that_the_system_refuses_is_a_sentence(piled):
    process = FORK.Process(target=run_limited, args=(piled,))
    process.start()
    process.join()
    assert process.exitcode == 0

    check_valid_but_not_complete(LabelStore(piled / 'labels'))
    run_loop(piled / 'pile', piled / 'labels', COCO, Teacher(), chunk_size=4)
    run_loop(piled / 'pile', piled / 'once', COCO, Teacher(), chunk_size=4)
    assert files(piled / 'labels') == files(piled / 'once')
