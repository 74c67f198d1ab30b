import numpy as np
import pyarrow as pa
import pytest

from mmdistill.reports.sources import (
    ONE_SOURCE,
    ImageCounts,
    SourceCounts,
    Sources,
    sources_of,
    threshold_of,
)


def counts_of(read, candidates, kept):
    kept = np.array(kept)
    return ImageCounts(np.array(read), np.array(candidates), kept, kept * 0.5, kept / 4)


def test_images_without_a_source_share_one():
    assert sources_of(pa.table({'path': ['a', 'b']})) == [ONE_SOURCE] * 2


def test_the_column_names_the_source_and_empty_means_the_one():
    table = pa.table({'path': ['a', 'b'], 'source': ['video', '']})
    assert sources_of(table) == ['video', ONE_SOURCE]


def test_counts_are_those_of_each_source_over_several_parts():
    sources = Sources()
    sources.add(['a', 'b', 'a'], counts_of([True, True, False], [3, 1, 0], [2, 0, 0]))
    sources.add(['b'], counts_of([True], [4], [3]))
    assert sources.counts['a'] == SourceCounts(1, 1, 0, 3, 2, 1.0, 0.5)
    assert sources.counts['b'] == SourceCounts(2, 0, 1, 5, 3, 1.5, 0.75)


def test_means_are_per_image_and_per_label():
    counts = SourceCounts(images=4, kept=2, score_sum=1.5, agreement_sum=0.5)
    assert (counts.mean, counts.score, counts.agreement) == (0.5, 0.75, 0.25)


def test_a_source_without_labels_has_no_mean_score():
    counts = SourceCounts(failed=3)
    assert counts.mean == 0
    assert np.isnan([counts.score, counts.agreement]).all()


def test_the_threshold_is_that_of_the_selection(make_selection):
    assert threshold_of(make_selection(0.375), 'a') == pytest.approx(0.375)
