"""Benchmark MixedRatioBatchSampler against MMPose's MultiSourceSampler.

Both mix a tenth of labeled samples with the rest, 39 to 25 in batches of 64, as the
paper's share of 0.6 asks. Set-up goes from nothing to the first batch; MMPose's
sampler makes all of an epoch's batches then, which its time of a batch is a part of.
Every figure comes from a child forked by this one process, in turns, the best of
some tries. Nothing is read: the data sets are numbers of samples.

The last line is JSON. Figures of a loaded machine mean little.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from mmengine.dataset import DefaultSampler
from mmpose.datasets import CombinedDataset
from mmpose.datasets.samplers import MultiSourceSampler

from mmdistill.cli.main import run
from mmdistill.datasets import MixedRatioBatchSampler, SeededDataset
from tools.benchmarks.children import in_child

BATCH, LABELED = 64, 39
DRAWN = 1000
"""Number of timed batches; fewer if MMPose's epoch has fewer."""


class Numbers(CombinedDataset):
    """Combined data set with lengths only."""

    def __init__(self, labeled: int, pseudo: int) -> None:
        self.datasets = [range(labeled), range(pseudo)]
        self._lens = [labeled, pseudo]
        self._len = labeled + pseudo


def ours(dataset: Numbers) -> Iterator[list[int]]:
    """Iterate over batches of mmdistill."""
    sampler = DefaultSampler(SeededDataset(dataset), seed=0)
    batches = MixedRatioBatchSampler(sampler, BATCH, LABELED / BATCH)
    batches.start_at(0)
    return iter(batches)


def theirs(dataset: Numbers) -> Iterator[list[int]]:
    """Iterate over batches of MMPose, cut as a loader does."""
    ratio = [LABELED, BATCH - LABELED]
    indices = iter(MultiSourceSampler(dataset, BATCH, ratio, seed=0))
    return iter(lambda: list(itertools.islice(indices, BATCH)), [])


def drawn(
    batches: Callable[[Numbers], Iterator[list[int]]], size: int
) -> dict[str, float]:
    """Measure seconds to the first batch, and per batch including its share of that."""
    dataset = Numbers(size // 10, size - size // 10)
    start = time.perf_counter()
    made = batches(dataset)
    first = next(made)
    setup = time.perf_counter() - start
    assert sum(index < size // 10 for index in first) == LABELED
    whole = -(-size // BATCH)
    start = time.perf_counter()
    count = sum(1 for _ in itertools.islice(made, min(DRAWN, whole - 1)))
    each = (time.perf_counter() - start) / count
    return dict(setup=setup, draw=each + setup / whole)


def measured(
    batches: Callable[[Numbers], Iterator[list[int]]], size: int, tries: int
) -> dict[str, float]:
    """Return the best figures of some children, each warmed up on few samples."""
    figures = [
        in_child(lambda: drawn(batches, size), lambda: drawn(batches, 1000))
        for _ in range(tries)
    ]
    return {key: min(each[key] for each in figures) for key in figures[0]}


def row(size: int, mine: dict[str, float], peer: dict[str, float]) -> str:
    """Format a line of the table."""
    cells = [f'{size:,}']
    for key, unit, factor in (
        ('setup', 'ms', 1e3),
        ('draw', 'ms', 1e3),
        ('memory', 'MiB', 1),
    ):
        cells += [f'{each[key] * factor:.3g} {unit}' for each in (mine, peer)]
        cells.append(f'{peer[key] / mine[key]:.3g} ×' if mine[key] else '–')
    return f'| {" | ".join(cells)} |'


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    sizes = [10_000, 100_000, 1_000_000, 10_000_000]
    parser.add_argument('--sizes', type=int, nargs='+', default=sizes)
    parser.add_argument('--tries', type=int, default=3)
    arguments = parser.parse_args(argv)
    heads = [
        f'{what}, {whose}'
        for what in ('set-up', 'a batch', 'memory')
        for whose in ('ours', 'MMPose', 'MMPose / ours')
    ]
    print(f'| samples | {" | ".join(heads)} |')
    print('|' + '---|' * (len(heads) + 1))
    setups = []
    for size in arguments.sizes:
        mine, peer = (measured(b, size, arguments.tries) for b in (ours, theirs))
        print(row(size, mine, peer), flush=True)
        setups.append(mine['setup'])
    growth = _three_digits(setups[-1] / setups[0])
    last = dict(mmpose_over_ours_setup=_three_digits(peer['setup'] / mine['setup']))
    print(json.dumps(dict(setup_growth_10k_to_10m=growth, **last)))


def _three_digits(value: float) -> float:
    """Format a ratio of any size, never rounded to zero."""
    return float(f'{value:.3g}')


if __name__ == '__main__':
    sys.exit(run(main))
