"""The benchmark measures every rule."""

from __future__ import annotations

import importlib
import json

from tests.tools.conftest import REPOSITORY


def test_a_small_run_prints_the_figures_as_its_last_line(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(REPOSITORY / 'tools' / 'benchmarks'))
    benchmark = importlib.import_module('count_matching')

    benchmark.main(['--scores', '1700', '--repeats', '1'])

    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures['scores'] == 1700
    assert set(figures['seconds']) == set(benchmark.rules(17))
    assert min(figures['seconds'].values()) > 0
