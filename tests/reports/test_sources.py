from dataclasses import replace

import numpy as np

from mmdistill.reports.statistics import (
    ONE_SOURCE,
    ImageCounts,
    SourceCounts,
    SourceTotals,
    category_rows,
    format_thresholds,
)
from mmdistill.selection.counts import Part
from mmdistill.selection.threshold_groups import Threshold
from mmdistill.store.image_sources import Sources


def counts_of(read, candidates, kept):
    kept = np.array(kept)
    return ImageCounts(np.array(read), np.array(candidates), kept, kept * 0.5, kept / 4)


def test_images_without_a_source_share_one():
    sources = SourceTotals()
    named = Sources(('video', ''), np.array([0, 1, 1], dtype=np.int32))
    sources.add(named, counts_of([True, True, True], [1, 2, 3], [1, 0, 2]))
    assert list(sources.counts) == ['video', ONE_SOURCE]
    assert sources.counts[ONE_SOURCE].candidates == 5


def test_counts_are_those_of_each_source_over_several_parts():
    sources = SourceTotals()
    sources.add(
        Sources(('a', 'b'), np.array([0, 1, 0])),
        counts_of([True, True, False], [3, 1, 0], [2, 0, 0]),
    )
    sources.add(Sources(('b',), np.array([0])), counts_of([True], [4], [3]))
    assert sources.counts['a'] == SourceCounts(1, 1, 0, 3, 2, 1.0, 0.5)
    assert sources.counts['b'] == SourceCounts(2, 0, 1, 5, 3, 1.5, 0.75)


def test_means_are_per_image_and_per_label():
    counts = SourceCounts(images=4, kept=2, score_sum=1.5, agreement_sum=0.5)
    assert (counts.mean, counts.score, counts.agreement) == (0.5, 0.75, 0.25)


def test_a_source_without_labels_has_no_mean_score():
    counts = SourceCounts(failed=3)
    assert counts.mean == 0
    assert np.isnan([counts.score, counts.agreement]).all()


def test_a_threshold_for_all_holds_for_each(make_selection):
    assert format_thresholds(make_selection(0.375), 'a') == '0.375'


def test_a_source_has_its_own_thresholds(make_selection):
    own = [('a', 1, 0.25), ('a', 2, 0.5), ('', 1, 0.75)]
    thresholds = tuple(Threshold(*each) for each in own)
    selection = replace(make_selection(0.375), thresholds=thresholds)
    assert format_thresholds(selection, 'a') == '0.250 to 0.500'
    assert format_thresholds(selection, ONE_SOURCE) == '0.750'


def test_a_category_is_counted_over_all_sources(make_selection):
    parts = (
        Part('a', 1, 0.25, 5, 9, 7, 80, 39, 1.5),
        Part('b', 1, 0.5, 5, 4, 1, 80, 39, 1.5),
        Part('b', 2, None, 5, 3, 0, 0, 0, 0.0),
    )
    first, second = category_rows(replace(make_selection(0.5), parts=parts))
    assert first == dict(
        category_id=1,
        candidates=13,
        kept=8,
        mean=8 / 5,
        labeled_mean=1.5,
        threshold='0.250 to 0.500',
    )
    assert (second['kept'], second['threshold']) == (0, 'infinity')


def test_one_category_has_no_table(make_selection):
    assert category_rows(make_selection(0.5)) == []
