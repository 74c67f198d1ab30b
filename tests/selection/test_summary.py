"""A selection in words and figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mmdistill.selection.counts import Part
from mmdistill.selection.summary import (
    scalars,
    selection_table,
    store_names,
    summarize,
    warnings,
)
from mmdistill.selection.threshold_groups import Threshold


def test_the_log_names_both_denominators(make_selection):
    text = summarize(make_selection(0.5))
    assert '6 instances on 3 of 4 images' in text
    assert '1.500 over all, 2.000 over annotated' in text


def test_the_log_names_what_is_kept_and_dropped(make_selection):
    text = summarize(make_selection(0.5))
    assert 'threshold 0.5000 (set by hand): 7 of 9 candidates kept, 2 dropped' in text
    assert '1.400 instances per unlabeled image (5 read, 1 failed)' in text
    assert '1 images lost all their candidates' in text
    assert 'threshold 0.2000 (set by hand): 80 keypoints kept, 39 of kept' in text
    assert '11.429 visible keypoints per pseudo-label against 5.667' in text


@pytest.mark.parametrize(
    ('score_thr', 'words'), [(0.4, 'below the floor'), (0.6, 'above the cap')]
)
def test_a_threshold_that_was_moved_is_warned_of(make_selection, score_thr, words):
    moved = Threshold('video', None, 0.5, score_thr)
    (line,) = warnings(replace(make_selection(0.5), thresholds=(moved,)))
    assert f'{score_thr:.4f} of video lies {words} and became 0.5000' in line


def test_categories_without_labels_are_warned_of(make_selection):
    thresholds = (Threshold(None, 1, 0.5, 0.5), Threshold(None, 8, None))
    (line,) = warnings(replace(make_selection(0.5), thresholds=thresholds))
    assert 'categories that the labeled set does not have: 8;' in line


def test_nothing_is_warned_of_where_all_is_matched(make_selection):
    assert warnings(make_selection(0.5)) == []


def test_figures_name_every_threshold(make_selection):
    thresholds = (Threshold('a', 1, 0.5, 0.5), Threshold('b', 1, None))
    found = scalars(replace(make_selection(0.5), thresholds=thresholds))
    assert found['count_matching/threshold/a/category 1'] == 0.5
    assert [name for name in found if 'threshold' in name] == [
        'count_matching/threshold/a/category 1'
    ]
    assert found['count_matching/kept_instances'] == 7
    assert found['count_matching/dropped_instances'] == 2
    assert found['count_matching/instances_per_labeled_image'] == 1.5


@pytest.mark.parametrize(
    ('roots', 'names'),
    [
        (['runs/a'], ['']),
        (['runs/a', 'runs/./a'], ['', '']),
        (['runs/a', 'runs/b'], ['a', 'b']),
        (['a/labels', 'b/labels', 'c'], ['a/labels', 'b/labels', 'c']),
        (['/', '/a'], ['/', 'a']),
    ],
)
def test_several_stores_have_names_as_short_as_may_be(roots, names):
    found = store_names([Path(root) for root in roots])
    assert [name.removeprefix(f'{Path.cwd().name}/') for name in found] == names


def test_figures_of_several_stores_do_not_replace_each_other(make_selection):
    one, other = (scalars(make_selection(thr), str(thr)) for thr in (0.5, 0.6))
    assert not set(one) & set(other)
    assert other['count_matching/0.6/threshold'] == 0.6


def test_the_table_has_a_line_for_each_part_and_one_for_all(make_selection):
    parts = (
        Part('a', 1, 0.5, 3, 5, 4, 50, 18, 1.5),
        Part('b', 1, None, 2, 4, 0, 0, 0, 1.5),
    )
    lines = selection_table(replace(make_selection(0.5), parts=parts)).split('\n')
    assert [' '.join(line.split()) for line in lines[2:]] == [
        'a 1 0.5000 3 5 4 1 1.333 1.500 50 18 12.50',
        'b 1 infinity 2 4 0 4 0.000 1.500 0 0 0.00',
        'all all 5 9 7 2 1.400 1.500 80 39 11.43',
    ]
