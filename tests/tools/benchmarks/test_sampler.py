import json
import subprocess
import sys

from tests.tools.conftest import REPOSITORY


def test_a_small_run_prints_the_table_and_the_figures():
    command = [sys.executable, '-m', 'tools.benchmarks.sampler']
    command += ['--sizes', '1000', '2000', '--tries', '1']

    done = subprocess.run(
        command, check=True, capture_output=True, timeout=280, cwd=REPOSITORY
    )

    *table, last = done.stdout.decode().splitlines()
    assert [line.split()[1] for line in table[-2:]] == ['1,000', '2,000']
    assert {line.count('|') for line in table[-4:]} == {11}
    figures = json.loads(last)
    assert figures['setup_growth_10k_to_10m'] > 0
    assert figures['mmpose_over_ours_setup'] > 0
