"""Scores of a store against its rows, one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmdistill.selection.scores import read_keypoint_scores, read_scores

COUNTS = (2, 0, None, 3, 1, None, 4)
SOURCES = ('b', 'a', 'a', 'b', '', 'a', 'c')


@pytest.fixture
def rows(make_rows):
    """Images of four sources."""
    drawn = make_rows(COUNTS)
    return [replace(row, source=s) for row, s in zip(drawn, SOURCES, strict=True)]


@pytest.mark.parametrize('counted_thr', [0.2, 0.95, 2])
def test_scores_are_those_of_the_rows(tmp_path, rows, make_store, counted_thr):
    found = read_scores(make_store(tmp_path, rows), counted_thr, True)
    row = 0
    for image in rows:
        for i in range(len(image.candidates)):
            keypoints = zip(
                image.candidates.keypoint_scores[i],
                image.candidates.keypoint_agreement[i],
                strict=True,
            )
            agreements = [float(a) for score, a in keypoints if score > counted_thr]
            scores = found.scores
            assert scores.instances[row] == image.candidates.instance_scores[i]
            assert scores.counted[row] == len(agreements)
            mean = np.mean(agreements) if agreements else 0
            assert scores.agreement[row] == pytest.approx(mean, abs=1e-6)
            assert scores.category_ids[row] == image.candidates.category_ids[i]
            assert scores.sources.names[scores.sources.index[row]] == image.source
            row += 1
    assert row == len(found.scores) == 10


def test_images_are_counted(tmp_path, rows, make_store):
    found = read_scores(make_store(tmp_path, rows), 0.2, False)
    assert (found.images, found.failed, found.first_failure) == (5, 2, 'no such file')
    assert found.num_candidates.tolist() == [count or 0 for count in COUNTS]
    assert found.read.tolist() == [count is not None for count in COUNTS]
    assert [found.sources.names[i] for i in found.sources.index] == list(SOURCES)


def test_agreement_is_left_out_when_it_is_not_asked_for(tmp_path, rows, make_store):
    found = read_scores(make_store(tmp_path, rows), 0.2, False)
    assert found.scores.agreement.tolist() == [0] * 10


def test_keypoint_scores_are_those_of_the_chosen(tmp_path, rows, make_store):
    store = make_store(tmp_path, rows)
    chosen = np.arange(10) % 3 == 1
    expected = store.read().candidates.keypoint_scores[chosen]
    assert np.array_equal(read_keypoint_scores(store, chosen), expected)


def test_a_store_without_failures_has_no_reason(tmp_path, make_rows, make_store):
    found = read_scores(make_store(tmp_path, make_rows((1, 0))), 0.2, False)
    assert (found.failed, found.first_failure) == (0, '')
