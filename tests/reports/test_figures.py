from dataclasses import replace

import numpy as np
import pytest

from mmdistill.audits.result import Audit
from mmdistill.functional.label_quality import Binned
from mmdistill.reports import captions, figures
from mmdistill.reports.results_table import Results
from mmdistill.reports.statistics import collect
from mmdistill.selection.counts import LabeledStatistics

NOTHING = Audit()


@pytest.fixture
def selection(make_selection):
    return make_selection(0.5, 0.2)


@pytest.fixture
def data(make_rows, make_store, selection, tmp_path):
    return collect(make_store(tmp_path / 'labels', make_rows([2, 0, 3])), selection)


def titles(shown):
    return [plot.title for plot in shown]


def test_the_curve_is_drawn_where_there_is_a_selection(data, selection):
    assert titles(figures.threshold_plots(data, selection)) == [
        'Scores of all candidates',
        'Count matching',
    ]
    assert len(figures.threshold_plots(data, None)) == 1


def test_a_selection_without_a_curve_has_no_plot_of_it(data, selection):
    bare = replace(selection, curve_thresholds=(), curve_means=())
    assert len(figures.threshold_plots(data, bare)) == 1


def test_the_labeled_set_stands_beside_the_labels(data, coco_names, parse):
    side = LabeledStatistics(np.array([1, 2]), np.ones((3, 17), dtype=bool))
    for plot in figures.count_plots(data, side, coco_names):
        words = [element.text for element in parse(plot.svg).all('text')]
        assert {'labeled set', 'labeled images'} & set(words)
        assert '{' not in plot.caption


def test_the_description_is_the_title_and_the_caption(data, coco_names, parse):
    for plot in figures.count_plots(data, None, coco_names):
        label = parse(plot.svg).children[0].attributes['aria-label']
        assert label == f'{plot.title}. {plot.caption}'


def test_agreement_is_drawn_of_what_has_a_visible_keypoint(data, selection):
    assert 'Rank correlation' in figures.agreement_plot(data, selection).caption
    blind = replace(data, visible=np.zeros_like(data.visible))
    assert 'nothing to compare' in figures.agreement_plot(blind, selection).caption


def test_an_audit_without_parts_has_no_plots():
    assert figures.audit_plots(NOTHING) == []


@pytest.mark.parametrize(
    ('error', 'words'),
    [
        ([0.5, np.nan, 0.25], 'predicts the error'),
        ([0.25, 0.5, 0.5], 'does not predict'),
    ],
)
def test_calibration_says_whether_the_error_falls(error, words):
    part = Binned(np.arange(4) / 3, np.array(error), np.array([1, 2, 3]))
    (plot,) = figures.audit_plots(replace(NOTHING, calibration={'score': part}))
    assert words in plot.caption
    assert plot.caption.startswith('6 keypoints')


def test_calibration_has_its_rank_correlation():
    part = Binned(np.arange(3) / 2, np.array([0.5, 0.25]), np.array([1, 2]))
    correlations = dict(keypoint=dict(score=-0.25, product=-0.5))
    audit = replace(
        NOTHING, calibration={'score': part}, rank_correlations=correlations
    )
    (plot,) = figures.audit_plots(audit)
    assert 'Rank correlation with the error -0.25' in plot.caption


def test_empty_calibration_is_left_out():
    part = Binned(np.arange(2), np.array([np.nan]), np.zeros(1))
    assert figures.audit_plots(replace(NOTHING, calibration={'score': part})) == []


def test_the_gain_of_fusing_is_reported_against_each_other_way():
    gains = {'fused': 0.5, 'single view': 0.25, 'flip': 0.375}
    caption = figures.gains_plot(replace(NOTHING, gains=gains)).caption
    assert caption == 'Fused views: +0.250 against single view, +0.125 against flip.'


def test_gains_that_are_not_known_are_left_out(parse):
    gains = {'single view': 0.25, 'flip': np.nan, 'fused': 0.5}
    plot = figures.gains_plot(replace(NOTHING, gains=gains))
    assert plot.caption == 'Fused views: +0.250 against single view.'
    assert 'flip' not in {element.text for element in parse(plot.svg).all('text')}
    assert figures.gains_plot(replace(NOTHING, gains={'fused': np.nan})) is None
    assert figures.gains_plot(NOTHING) is None


@pytest.mark.parametrize(
    ('student', 'words'),
    [(0.75, 'ahead of'), (0.25, 'behind'), (0.5, 'level with')],
)
def test_the_lead_says_who_is_ahead(student, words):
    rows = {'student': [[student]], 'baseline': [[0.25, 0.75]]}
    assert f'{words} the baseline' in captions.student_lead(Results(['AP'], rows))


def test_other_names_have_no_lead():
    results = Results(['AP'], {'mine': [[0.5]], 'yours': [[0.25, 0.5]]})
    assert captions.student_lead(results) == ''
    assert figures.results_plot(results).caption.startswith('Bars are means')
