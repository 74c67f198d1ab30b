"""Real launches by torchrun, one rank or all of them killed while they label."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from mmdistill.store import LabelStore
from tests.helpers.killed_runs import (
    done_images,
    files,
    labeled_since,
)
from tests.helpers.labeling import Teacher, run_loop
from tests.helpers.launches import ROOT, launch_forked, run_ranks, torchrun
from tests.helpers.metainfo import COCO

SCRIPT = Path(__file__).with_name('launched_rank.py')


def launch(root: Path, ranks: int) -> subprocess.Popen:
    return subprocess.Popen(
        torchrun(SCRIPT, str(root), ranks=ranks),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
    )


def kill(pids) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def wait_for_chunks(store: LabelStore, count: int, process: subprocess.Popen) -> None:
    while len(list(store.root.glob('chunks/*.parquet'))) < count:
        assert process.poll() is None
        time.sleep(0.01)


def test_launches_killed_while_they_label_end_in_the_same_files(piled):
    dice = random.Random(0)
    store = LabelStore(piled / 'labels')
    diaries: set[Path] = set()
    for ranks, every in ((2, False), (3, True)):
        before, written = done_images(store), len(list(store.root.glob('chunks/*')))
        process = launch(piled, ranks)
        wait_for_chunks(store, written + dice.randint(1, 4), process)
        mine = set(piled.glob('diary*')) - diaries
        pids = sorted(int(path.name.removeprefix('diary')) for path in mine)
        kill([process.pid, *pids] if every else [dice.choice(pids)])
        assert process.wait(60) != 0
        assert labeled_since(piled, diaries).isdisjoint(before)
        assert not store.complete
    launch_forked(SCRIPT, str(piled), ranks=1)

    run_loop(piled / 'pile', piled / 'once', COCO, Teacher(), chunk_size=4)
    assert files(piled / 'labels') == files(piled / 'once')


def test_the_sentence_of_another_rank_is_told_once(piled):
    code, told = run_ranks(SCRIPT, str(piled), '1')

    assert code != 0
    assert told.count('could not be written: File too large') == 1
    assert 'Error: ' not in told.partition('could not be written')[0]
    assert LabelStore(piled / 'labels').missing_chunks()
