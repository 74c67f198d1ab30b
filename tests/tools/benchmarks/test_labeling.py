"""The benchmark runs, and both sides find the same keypoints."""

from __future__ import annotations

import json

import pytest

KEYS = {'stock_over_ours', 'ours_over_bare', 'mean_px_diff', 'median_px_diff'}


@pytest.fixture
def benchmark(load):
    return load('labeling.__main__')


@pytest.mark.slow
def test_both_sides_find_the_same_keypoints(benchmark, toy_root, capsys):
    options = ['--models', 'mobilenetv2', '--images', '2', '--scales', '0.8', '1']
    options += ['--annotations', str(toy_root / 'annotations/labeled.json')]
    options += ['--image-folder', str(toy_root / 'images/labeled')]

    benchmark.main([*options, '--repeats', '1', '--no-fast'])

    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(result) >= KEYS
    assert result['mobilenetv2'].keys() >= KEYS
    assert result['mean_px_diff'] < 0.05
