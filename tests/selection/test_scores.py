"""Scores of candidates in arrays are those of candidates in a store."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mmdistill.selection.scores import read_scores, scores_of


def test_scores_of_a_store_are_those_of_its_labels(tmp_path, make_rows, make_store):
    drawn = zip(make_rows((2, 0, None, 3)), 'baac', strict=True)
    rows = [replace(row, source=source) for row, source in drawn]
    store = make_store(tmp_path, rows)
    labels, found = store.read(), read_scores(store, 0.4, True).scores
    scores = scores_of(labels.candidates, labels.candidate_sources, 0.4, True)
    for name in ('instances', 'agreement', 'counted', 'category_ids'):
        assert np.array_equal(getattr(scores, name), getattr(found, name))
    assert scores.sources.names == found.sources.names
    assert np.array_equal(scores.sources.index, found.sources.index)
