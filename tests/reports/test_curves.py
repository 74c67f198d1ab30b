from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure

from mmdistill.reports.plots import (
    draw_counting_curve,
    draw_score_histogram,
    legend_above_bars,
)


def test_the_curve_marks_threshold_and_labeled_mean(make_selection):
    axes = Figure().subplots()
    draw_counting_curve(axes, make_selection(0.375))
    curve, labeled, threshold, chosen = axes.lines
    assert curve.get_xydata().tolist() == [[0.25, 1.8], [0.5, 1.4]]
    assert set(labeled.get_ydata()) == {6 / 4}
    assert set(threshold.get_xdata()) == {0.375}
    assert chosen.get_xydata().tolist() == [[0.375, 7 / 5]]


def over_annotated(selection):
    return replace(
        selection, options=replace(selection.options, labeled_images='annotated')
    )


def test_the_labeled_mean_is_the_one_that_was_matched(make_selection):
    axes = Figure().subplots()
    draw_counting_curve(axes, over_annotated(make_selection(0.375)))
    assert set(axes.lines[1].get_ydata()) == {6 / 3}


def test_the_legend_stands_above_the_labeled_mean(make_selection):
    figure = Figure(layout='constrained')
    axes = figure.subplots()
    selection = make_selection(0.375)
    flat = np.full_like(np.asarray(selection.curve_means), 1.5)
    draw_counting_curve(axes, replace(selection, curve_means=flat))
    figure.draw_without_rendering()
    bottom = axes.get_legend().get_window_extent().y0
    assert bottom > axes.transData.transform((0, 1.5))[1]


def test_a_curve_without_points_has_its_mean(make_selection):
    axes = Figure().subplots()
    empty = replace(make_selection(0.375), curve_thresholds=(), curve_means=())
    draw_counting_curve(axes, empty)
    assert axes.get_ylim() == (0, 1.25 * 6 / 4)


def test_the_histogram_counts_every_candidate_on_its_side(make_selection):
    axes = Figure().subplots()
    scores = np.array([0.1, 0.2, 0.5, 0.5, 0.9], dtype=np.float32)
    draw_score_histogram(axes, scores, scores >= 0.5, [0.5])
    kept, rejected = (sum(bar.get_height() for bar in c) for c in axes.containers)
    assert (kept, rejected) == (3, 2)
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ['3 kept', '2 rejected']


def test_the_legend_stands_above_the_highest_bar():
    figure = Figure()
    axes = figure.subplots()
    axes.bar([0, 1, 2], [1, 2, 3], label='bars')
    legend_above_bars(axes)
    figure.draw_without_rendering()
    bottom = axes.get_legend().get_window_extent().y0
    assert bottom > axes.transData.transform((2, 3))[1]
