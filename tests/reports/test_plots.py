import copy

import numpy as np
import pytest
from matplotlib.figure import Figure

from mmdistill.audits.result import Audit, Curve
from mmdistill.functional.label_quality import Binned
from mmdistill.reports import plots
from tests.helpers.audit_example import EXAMPLE

BINS = Binned(np.arange(2), np.ones(1), np.ones(1, dtype=int))
CURVE = Curve(np.ones(1), {}, {'0.5': np.ones(1)})


@pytest.fixture
def axes():
    return Figure().subplots()


def heights(container):
    return [float(bar.get_height()) for bar in container]


def test_all_candidates_are_in_the_histogram(axes):
    plots.draw_all_scores(axes, np.linspace(0, 1, 99))
    assert sum(heights(axes.containers[0])) == 99


def test_shares_are_in_per_cent_of_their_own_side(axes):
    counts = {'a': np.array([0, 0, 1, 3]), 'b': np.array([1, 1])}
    plots.draw_shares(axes, counts, ('red', 'blue'), most=10)
    assert heights(axes.containers[0]) == [50, 25, 0, 25]
    assert heights(axes.containers[1]) == [0, 100, 0, 0]
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ['a', 'b']


def test_the_last_bar_holds_all_that_is_more(axes):
    plots.draw_shares(axes, {'a': np.array([0, 2, 7, 9])}, ('red',), most=2)
    assert heights(axes.containers[0]) == [25, 0, 75]
    assert axes.get_xticklabels()[-1].get_text() == '2+'


def test_no_counts_give_an_empty_plot(axes):
    plots.draw_shares(axes, {'a': np.zeros(0, int)}, ('red',), most=2)
    assert heights(axes.containers[0]) == [0]


def test_types_have_their_names_and_shares(axes):
    shares = {'a': np.array([0.25, 1.0]), 'b': np.array([0.5, 0.75])}
    plots.draw_keypoint_shares(axes, ['left_eye', 'nose'], shares)
    widths = [[float(bar.get_width()) for bar in c] for c in axes.containers]
    assert widths == [[25, 100], [50, 75]]
    assert [t.get_text() for t in axes.get_yticklabels()] == ['left eye', 'nose']


def test_many_types_are_numbered(axes):
    count = plots.MAX_NAMES + 1
    plots.draw_keypoint_shares(axes, ['name'] * count, {'a': np.ones(count)})
    assert 'name' not in [t.get_text() for t in axes.get_yticklabels()]
    assert axes.get_ylabel() == 'number of the keypoint'


def test_every_candidate_is_in_a_cell(axes):
    rng = np.random.default_rng(0)
    count = plots.MAX_POINTS + 1
    kept = rng.random(count) > 0.5
    plots.draw_agreement(axes, rng.random(count), rng.random(count), kept, [0.5])
    assert axes.images[0].get_array().sum() == count
    assert set(axes.lines[0].get_xdata()) == {0.5}


def test_equal_candidates_are_in_one_cell(axes):
    count = plots.MAX_POINTS + 1
    values, kept = np.full(count, 0.5), np.ones(count, dtype=bool)
    plots.draw_agreement(axes, values, values, kept, [])
    assert axes.images[0].get_array().compressed().tolist() == [count]


def test_few_candidates_are_points_of_their_side(axes):
    kept = np.array([True, False, True])
    scores, agreement = np.array([0.5, 0.25, 0.75]), np.array([0.1, 0.2, 0.3])
    plots.draw_agreement(axes, scores, agreement, kept, [])
    rejected, held = axes.collections
    assert rejected.get_offsets().tolist() == [[0.25, 0.2]]
    assert held.get_offsets().tolist() == [[0.5, 0.1], [0.75, 0.3]]


def test_curves_and_the_matched_thresholds_are_drawn(axes):
    example = copy.deepcopy(EXAMPLE)
    example['curve'] = dict(
        thresholds=[0.25, 0.75], precision={'0.5': [0.5, None]}, recall={}
    )
    example['matched'].update(score_thrs=[0.5, 0.6], by='score')
    audit = Audit.from_json(example)
    plots.draw_precision_recall(axes, audit.curve, audit.matched)
    curve, point, threshold, other = axes.lines
    assert curve.get_xdata().tolist() == [0.25, 0.75]
    assert point.get_xydata().tolist() == [[0.42, 0.875]]
    assert set(threshold.get_xdata()) == {0.5}
    assert set(other.get_xdata()) == {0.6}
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ['precision at OKS 0.5', 'matched threshold']
    assert axes.get_xlabel() == 'score threshold'


def test_the_legend_of_curves_stands_above_them():
    figure = Figure((4.4, 3.2), layout='constrained')
    axes = figure.subplots()
    audit = Audit.from_json(EXAMPLE)
    plots.draw_precision_recall(axes, audit.curve, audit.matched)
    figure.draw_without_rendering()
    bottom = axes.get_legend().get_window_extent().y0
    assert bottom > axes.transData.transform((0, 1))[1]


def test_empty_bins_have_no_bar(axes):
    error = np.array([np.nan, 0.5])
    bins = Binned(np.array([0, 0.25, 1]), error, np.array([0, 3]))
    plots.draw_calibration(axes, bins, 'score', 'px')
    ((bar,),) = axes.containers
    assert (bar.get_x(), bar.get_width(), bar.get_height()) == (0.25, 0.75, 0.5)
    assert axes.get_ylabel() == 'mean error (px)'


def test_remarks_stand_behind_the_value_within_the_plot():
    figure = Figure((4.4, 3), layout='constrained')
    axes = figure.subplots()
    remarks = {'a': ', error 0.125', 'b': ', error 0.250'}
    plots.draw_bars(axes, {'a': (0.25, 0.0), 'b': (0.5, 0.0)}, 'AP', remarks)
    texts = [text.get_text().strip() for text in axes.texts]
    assert texts == ['0.250, error 0.125', '0.500, error 0.250']
    figure.draw_without_rendering()
    right = max(text.get_window_extent().x1 for text in axes.texts)
    assert right <= axes.get_window_extent().x1


def test_no_bars_leave_an_empty_plot(axes):
    plots.draw_bars(axes, {}, 'AP')
    assert not axes.patches
    assert axes.get_xlabel() == 'AP'


def test_bars_have_their_value_beside_them(axes):
    plots.draw_bars(axes, {'a': (0.25, 0.0), 'b': (0.5, 0.125)}, 'AP')
    assert [t.get_text().strip() for t in axes.texts] == ['0.250', '0.500']
    assert [float(bar.get_width()) for bar in axes.patches] == [0.25, 0.5]


def test_every_plot_names_its_axes():
    draws = (
        lambda axes: plots.draw_all_scores(axes, np.ones(2)),
        lambda axes: plots.draw_agreement(axes, *np.ones((2, 2)), np.ones(2, bool), []),
        lambda axes: plots.draw_precision_recall(axes, CURVE, None),
        lambda axes: plots.draw_calibration(axes, BINS, 's', 'px'),
    )
    for draw in draws:
        axes = Figure().subplots()
        draw(axes)
        assert axes.get_xlabel()
        assert axes.get_ylabel()
