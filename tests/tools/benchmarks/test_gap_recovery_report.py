from __future__ import annotations

from dataclasses import replace

import pytest


@pytest.fixture
def reports(load):
    return load('gap_recovery.report')


@pytest.fixture
def metric(load):
    return load('gap_recovery.metrics').Metric


@pytest.fixture
def report(reports, metric):
    def row(name, title, before, iterations, in_all, *values):
        scores = {seed: {'coco/AP': value} for seed, value in enumerate(values)}
        return reports.Row(name, title, before, iterations, in_all, scores)

    ap = metric('coco/AP', 'AP')
    return reports.Report(
        rows=[
            row('best_supervised', 'supervised, best', (), 500, 500, 0.30, 0.40),
            row('supervised', 'supervised, as long', (), 1000, 1000, 0.20, 0.30),
            row('upper_bound', 'true labels', (), 1000, 1000, 0.70, 0.80),
            row('fusion', 'fusion', ('single_view', 'flip'), 1000, 1500, 0.50, 0.60),
            row('finish', 'fusion + finish', ('fusion',), 1100, 1600, 0.61, 0.60),
            row('single_view', 'a single view', (), 1000, 1500, 0.45),
            row('flip', 'flip only', ('single_view',), 1000, None),
        ],
        metrics=[ap],
        chosen_by=ap,
        tried={'supervised': {1000: 0.2, 500: 0.3}},
        hours=1.5,
        student='finish',
    )


def rows(text: str, *titles: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith('|')]
    cells = [[cell.strip() for cell in line.strip('|').split('|')] for line in lines]
    return [each[len(titles) :] for each in cells if each[: len(titles)] == [*titles]]


def test_a_row_has_lengths_mean_deviation_and_share_of_the_gap(reports, report):
    ((*lengths, seeds, value, share),) = rows(reports.table(report), 'fusion')[:1]
    assert lengths == ['1,000', '1,500']
    assert (seeds, value, share) == ('2', '0.550 ± 0.071', '50%')


def test_the_columns_are_named(reports, report):
    ((iterations, in_all, *rest), *_) = rows(reports.table(report), 'arm')
    assert (iterations, in_all) == ('iterations', 'in all')
    assert rest == ['seeds', 'AP', 'gap closed']


def test_the_best_supervised_row_has_its_own_length(reports, report):
    (row,) = rows(reports.table(report), 'supervised, best')
    assert row == ['500', '500', '2', '0.350 ± 0.071', '0%']


def test_an_arm_is_compared_on_the_seeds_it_has(reports, report):
    (row,) = rows(reports.table(report), 'a single view')
    assert row == ['1,000', '1,500', '1', '0.450', '38%']


def test_arms_that_were_not_run_have_no_row(reports, report):
    assert 'flip only' not in reports.table(report)


def test_each_arm_is_compared_with_those_before_it_seed_by_seed(reports, report):
    text = reports.table(report)
    assert rows(text, 'fusion', 'a single view') == [['1', '+0.050']]
    # 0.11 with one seed and nothing with the other.
    assert rows(text, 'fusion + finish', 'fusion') == [['2', '+0.055 ± 0.078']]


def test_the_choice_names_its_metric_and_all_tried_schedules(reports, report):
    lines = reports.table(report).splitlines()
    assert 'schedule and teacher are chosen by AP' in lines
    tried = 'supervised, AP of the first seed by iterations: 500: 0.3000, 1,000: 0.2000'
    assert tried in lines
    assert lines[-1] == '1.5 hours of a core so far'


def test_the_better_supervised_training_and_upper_bound_bound_the_gap(reports, report):
    def stacked(name, value):
        return reports.Row(name, name, (), 1, 1, {0: {'coco/AP': value}})

    more = [stacked('best_stacked', 0.40), stacked('stacked_upper_bound', 0.90)]
    report = replace(report, rows=[*report.rows, *more])
    # From 0.40 to 0.90 with the seed that all have.
    assert report.gap_closed(report.row('fusion'), report.metrics[0]) == (
        pytest.approx(0.2)
    )
    found = reports.figures(report)
    assert (found['baseline'], found['upper_bound']) == (0.40, 0.90)


def test_an_error_is_named_as_one_and_its_gap_is_closed_downwards(
    reports, report, metric
):
    error = metric('left/NME', 'NME')
    rows_of_errors = [
        replace(
            row,
            scores={
                seed: {'left/NME': 1 - values['coco/AP']}
                for seed, values in row.scores.items()
            },
        )
        for row in report.rows
    ]
    errors = replace(report, rows=rows_of_errors, metrics=[error], chosen_by=error)
    text = reports.table(errors)
    assert 'NME (less is better)' in text
    ((*_, value, share), *_) = rows(text, 'fusion')
    assert (value, share) == ('0.4500 ± 0.0707', '50%')
    found = reports.figures(errors)
    assert found['baseline'] == pytest.approx(0.65)
    assert found['upper_bound'] == pytest.approx(0.25)
    assert found['gap_closed'] == pytest.approx(0.6375)


def test_without_true_labels_no_gap_is_shown(reports, report):
    rows_without = [row for row in report.rows if row.name != 'upper_bound']
    report = replace(report, rows=rows_without)
    assert 'gap' not in reports.table(report)
    assert reports.figures(report)['gap_closed'] is None


def test_the_last_line_has_the_student_and_the_better_supervised_mean(reports, report):
    found = reports.figures(report)
    assert found['metric'] == 'AP'
    assert found['baseline'] == pytest.approx(0.35)
    assert found['upper_bound'] == pytest.approx(0.75)
    assert (found['student_arm'], found['student']) == ('finish', pytest.approx(0.605))
    assert found['gap_closed'] == pytest.approx(0.6375)
    assert found['seeds'] == [0, 1]


def test_the_last_line_has_all_of_every_arm(reports, report):
    arms = reports.figures(report)['arms']
    assert 'flip' not in arms
    finish = arms['finish']
    assert (finish['iterations'], finish['in_all']) == (1100, 1600)
    values = finish['metrics']['AP']
    assert values['mean'] == pytest.approx(0.605)
    assert values['gap_closed'] == pytest.approx(0.6375)
    assert values['minus']['fusion']['mean'] == pytest.approx(0.055)
    assert arms['single_view']['metrics']['AP']['deviation'] is None


def test_the_plot_is_a_picture_also_without_all_arms(reports, report, tmp_path):
    reports.draw_plot(report, str(tmp_path / 'plot.png'))
    assert (tmp_path / 'plot.png').read_bytes().startswith(b'\x89PNG')


def test_nothing_finished_is_a_table_without_rows(reports, report, tmp_path):
    nothing = [replace(row, scores={}) for row in report.rows]
    empty = replace(report, rows=nothing, tried={}, hours=0.0)
    lines = reports.table(empty).strip().splitlines()
    assert [line[:5] for line in lines] == ['| arm', '|---|']
    assert reports.figures(empty)['gap_closed'] is None
    reports.draw_plot(empty, str(tmp_path / 'plot.png'))
