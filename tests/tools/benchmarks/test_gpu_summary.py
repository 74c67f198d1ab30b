"""What the steps of gpu.sh left becomes one JSON object, failed steps included."""

from __future__ import annotations

import json

REPORT = """<testsuites><testsuite>
<testcase name="runs"/>
<testcase name="differs"><failure message="far"/></testcase>
<testcase name="waits"><skipped/></testcase>
</testsuite></testsuites>"""


def test_outcomes_and_figures_are_joined(load, tmp_path):
    (tmp_path / 'tests.xml').write_text(REPORT)
    (tmp_path / 'labeling.txt').write_text('a table\n{"crops": 7}\n')
    out = tmp_path / 'gpu.json'

    load('gpu_summary').main([str(tmp_path), 'cpu', '1', '0', str(out)])

    found = json.loads(out.read_text())
    expected = dict(runs='passed', differs='failure', waits='skipped')
    assert found['tests'] == dict(exit_code=1, outcomes=expected)
    assert found['labeling'] == dict(exit_code=0, crops=7)
    assert found['machine']['device'] == 'cpu'


def test_steps_that_left_nothing_are_told_by_their_exit_codes(load, tmp_path):
    (tmp_path / 'labeling.txt').write_text('a table that was cut')
    out = tmp_path / 'gpu.json'

    load('gpu_summary').main([str(tmp_path), 'cpu', '124', '2', str(out)])

    found = json.loads(out.read_text())
    assert found['tests'] == dict(exit_code=124, outcomes={})
    assert found['labeling'] == dict(exit_code=2)
