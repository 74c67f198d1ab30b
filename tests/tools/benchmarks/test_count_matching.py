"""The benchmark measures every rule."""

from __future__ import annotations

import json


def test_a_small_run_prints_the_figures_as_its_last_line(load, capsys):
    benchmark = load('count_matching')

    benchmark.main(['--scores', '1700', '--repeats', '1'])

    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures['scores'] == 1700
    assert set(figures['seconds']) == set(benchmark.rules(17))
    assert min(figures['seconds'].values()) > 0
