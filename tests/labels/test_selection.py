"""The selection and its file."""

from __future__ import annotations

import json

import pytest

from mmdistill.errors import UserError
from mmdistill.labels.selection import (
    LabeledCounts,
    UnlabeledCounts,
    read_selection,
)


def test_round_trip(tmp_path, make_selection):
    selection = make_selection(0.1 + 0.2)
    selection.write(tmp_path)
    assert read_selection(tmp_path) == selection


def test_means_of_the_labelled_set():
    counts = LabeledCounts(images=80, annotated_images=28, instances=86, fingerprint='')
    assert (counts.mean('all'), counts.mean('annotated')) == (86 / 80, 86 / 28)


def test_mean_of_no_images_is_zero():
    assert LabeledCounts(0, 0, 0, '').mean('annotated') == 0
    assert UnlabeledCounts(0, 3, 0, 0).mean == 0


def test_file_holds_both_means_and_the_drops(tmp_path, make_selection):
    make_selection(0.5).write(tmp_path)
    content = json.loads((tmp_path / 'selection.json').read_text())
    assert content['labeled']['mean'] == 6 / 4
    assert content['unlabeled']['mean'] == 7 / 5
    assert content['unlabeled']['dropped'] == 9 - 7


def test_a_score_equal_to_the_threshold_is_kept(make_candidates, make_selection):
    # 0.3 has no exact float32: kept must compare what the store really holds.
    candidates = make_candidates(3, scores=[0.29, 0.3, 0.31])
    assert make_selection(0.3).kept(candidates).tolist() == [False, True, True]


def test_a_missing_selection_is_named(tmp_path):
    with pytest.raises(UserError, match=r'the selection .*selection\.json can not'):
        read_selection(tmp_path)


@pytest.mark.parametrize(
    'content',
    [
        {},
        [],
        None,
        {'labeled': 1, 'unlabeled': 2},
        {'labeled': {'mean': 1}, 'unlabeled': {'mean': 1, 'dropped': 0}},
    ],
)
def test_a_foreign_json_is_refused(tmp_path, content):
    (tmp_path / 'selection.json').write_text(json.dumps(content))
    with pytest.raises(UserError, match='is not one of ours'):
        read_selection(tmp_path)


def test_a_selection_with_one_entry_too_many_is_refused(tmp_path, make_selection):
    make_selection(0.5).write(tmp_path)
    content = json.loads((tmp_path / 'selection.json').read_text())
    (tmp_path / 'selection.json').write_text(json.dumps({**content, 'colour': 1}))
    with pytest.raises(UserError, match=r'not one of ours.*colour'):
        read_selection(tmp_path)


def test_a_score_equal_to_the_stored_threshold_is_kept(make_candidates, make_selection):
    candidates = make_candidates(3, scores=[0.3, 0.4, 0.5])
    threshold = float(candidates.instance_scores[1])

    kept = make_selection(threshold, keypoint_thr=-1).kept(candidates)

    assert kept.tolist() == [False, True, True]
