"""Runs that are killed at random, and runs that meet on one store."""

from __future__ import annotations

import random
import resource
import subprocess
import time
from pathlib import Path

import mmpose
import pytest
from mmengine.config import Config

from mmdistill.errors import UserError
from mmdistill.store import LabelStore
from mmdistill.store.lock import run_alive
from mmdistill.store.status import store_status
from tests.helpers.killed_runs import (
    FORK,
    done_images,
    files,
    kill,
    labeled_since,
    start,
)
from tests.helpers.labeling import Teacher, run_loop
from tests.helpers.metainfo import COCO

KILLS = 24


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
