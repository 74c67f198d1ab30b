import json
import subprocess
import sys

import pytest

from tests.tools.conftest import REPOSITORY


@pytest.mark.slow
def test_a_small_run_prints_the_figures_as_its_last_line(tmp_path):
    command = [sys.executable, '-m', 'tools.benchmarks.label_store']
    command += ['--candidates', '1000', '--images', '10', '40']
    command += ['--plot', str(tmp_path / 'plot.png')]

    done = subprocess.run(
        command, check=True, capture_output=True, timeout=280, cwd=REPOSITORY
    )

    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures['candidates'] == 1000
    assert figures['coco_over_store_disk'] > 1
    for name in ('time', 'memory'):
        assert f'coco_over_store_{name}' in figures
    assert 'labeling_memory_growth' in figures
    assert (tmp_path / 'plot.png').read_bytes().startswith(b'\x89PNG')
