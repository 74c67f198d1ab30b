from __future__ import annotations

import pytest


@pytest.fixture
def reports(load):
    return load('gap_recovery.report')


@pytest.fixture
def report(reports):
    def scores(*values):
        return {seed: {'coco/AP': value} for seed, value in enumerate(values)}

    return reports.Report(
        scores=dict(
            best_supervised=scores(0.30, 0.40),
            supervised=scores(0.20, 0.30),
            fusion=scores(0.50, 0.60),
            upper_bound=scores(0.70, 0.80),
            single_view=scores(0.45),
            all_candidates={},
            flip={},
        ),
        metrics=['coco/AP'],
        iterations=1000,
        best=500,
        tried={500: 0.3, 1000: 0.2},
        hours=1.5,
    )


def row(text: str, title: str) -> list[str]:
    (line,) = (line for line in text.splitlines() if line.startswith(f'| {title} |'))
    return [cell.strip() for cell in line.strip('|').split('|')]


def test_a_row_has_mean_deviation_and_share_of_the_gap(reports, report):
    found = row(reports.table(report), 'student, full fusion')
    assert found[1:] == ['1,000', '2', '0.550 ± 0.071', '50%']


def test_the_best_supervised_row_has_its_own_length(reports, report):
    found = row(reports.table(report), 'supervised, its own best schedule')
    assert found[1:] == ['500', '2', '0.350 ± 0.071', '0%']


def test_an_arm_is_compared_on_the_seeds_it_has(reports, report):
    found = row(reports.table(report), 'student, a single view')
    assert found[1:] == ['1,000', '1', '0.450', '38%']


def test_arms_that_were_not_run_have_no_row(reports, report):
    assert 'flip only' not in reports.table(report)


def test_full_fusion_is_compared_with_each_arm_seed_by_seed(reports, report):
    lines = reports.table(report).splitlines()
    assert 'full fusion minus student, a single view: AP 0.050' in lines
    assert 'full fusion minus upper bound: true labels: AP -0.200 ± 0.000' in lines


def test_the_last_line_has_the_better_supervised_mean(reports, report):
    found = reports.figures(report)
    assert found['baseline'] == pytest.approx(0.35)
    assert found['gap_closed'] == pytest.approx(0.5)
    assert found['seeds'] == [0, 1]


def test_the_plot_is_a_picture_also_without_all_arms(reports, report, tmp_path):
    reports.draw_plot(report, str(tmp_path / 'plot.png'))
    assert (tmp_path / 'plot.png').read_bytes().startswith(b'\x89PNG')


def test_nothing_finished_is_a_table_without_rows(reports, load):
    arms = load('gap_recovery.plan').ARMS
    empty = reports.Report({arm: {} for arm in arms}, ['PCK'], 1000, None, {}, 0.0)
    lines = reports.table(empty).strip().splitlines()
    assert [line[:5] for line in lines] == ['| arm', '|---|']
    assert reports.figures(empty)['gap_closed'] is None
