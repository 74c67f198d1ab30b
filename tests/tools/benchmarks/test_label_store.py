import json

import pytest


@pytest.mark.slow
def test_a_small_run_prints_the_figures_as_its_last_line(
    load, tmp_path, capsys, monkeypatch
):
    benchmark = load('label_store')
    monkeypatch.setattr(benchmark, 'FED', 500)
    options = ['--candidates', '1000', '--images', '10', '40']

    benchmark.main([*options, '--plot', str(tmp_path / 'plot.png')])

    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures['candidates'] == 1000
    assert figures['coco_over_store_disk'] > 1
    for name in ('time', 'memory'):
        assert f'coco_over_store_{name}' in figures
    assert 'labeling_memory_growth' in figures
    assert (tmp_path / 'plot.png').read_bytes().startswith(b'\x89PNG')
