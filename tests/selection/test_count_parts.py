"""Counts of stores at their edges; test_matching_rules.py counts the others."""

from __future__ import annotations

import numpy as np

from mmdistill.selection.scores import read_scores
from mmdistill.selection.threshold_matching import count_parts, count_unlabeled


def test_a_store_without_candidates_has_one_part(
    tmp_path, make_rows, make_store, make_selection
):
    found = read_scores(make_store(tmp_path, make_rows((0, None, 0))), 0.2, False)
    (part,) = count_parts(found, np.zeros(0, np.int16), make_selection(0.5), 17)
    assert (part.images, part.candidates, part.kept, part.source) == (2, 0, 0, '')


def test_images_without_candidates_are_not_emptied(tmp_path, make_rows, make_store):
    found = read_scores(make_store(tmp_path, make_rows((2, 0, 1, 2))), 0.2, False)
    counts = count_unlabeled(found, np.array([0, 0, 3, 0, 1]), 17)
    assert (counts.emptied, counts.kept, counts.kept_keypoints) == (1, 2, 4)
    assert counts.dropped_keypoints == 2 * 17 - 4
