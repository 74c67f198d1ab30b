"""Benchmark count matching of ten million scores: seconds of each rule.

Scores are random; those of keypoints are multiples of 1/1024, as a label store has
them, and so full of ties. The last line is JSON. Figures of a loaded machine mean
little.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np

from mmdistill.cli.main import run
from mmdistill.functional.count_matching import (
    match_count,
    match_groups,
    match_keypoint_types,
    match_keypoints,
)
from mmdistill.functional.quantization import STEPS_OF_SCORE, rounded
from mmdistill.functional.ranking import rank_product

K = 17
SOURCES = 100
SHARE = 0.4


def rules(count: int) -> dict[str, Callable[[], object]]:
    """Return each rule as a function on `count` scores."""
    rng = np.random.default_rng(0)
    scores, agreement = rng.random((2, count), dtype=np.float32)
    sources = rng.integers(0, SOURCES, count, dtype=np.int32)
    keypoints = rounded(rng.random((count // K, K)), STEPS_OF_SCORE)
    targets = [SHARE * count / SOURCES] * SOURCES
    return {
        'instances': lambda: match_count(scores, SHARE * count),
        'sources': lambda: match_groups(scores, sources, targets),
        'keypoints': lambda: match_keypoints(keypoints, SHARE * K),
        'keypoint_types': lambda: match_keypoint_types(keypoints, np.full(K, SHARE)),
        'rank_product': lambda: match_count(
            rank_product(scores, agreement), SHARE * count
        ),
    }


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Measure the shortest time of some calls."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--scores', type=int, default=10_000_000)
    parser.add_argument('--repeats', type=int, default=3)
    arguments = parser.parse_args(argv)
    seconds_of = {
        name: seconds(work, arguments.repeats)
        for name, work in rules(arguments.scores).items()
    }
    lines = [f'{name:<16}{value:>8.3f} s' for name, value in seconds_of.items()]
    figures = dict(scores=arguments.scores, seconds=seconds_of)
    if arguments.scores == 10_000_000:
        figures['seconds_10m'] = seconds_of['instances']
    sys.stdout.write('\n'.join([*lines, json.dumps(figures), '']))


if __name__ == '__main__':
    sys.exit(run(main))
