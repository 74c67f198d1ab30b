"""The selection and its file."""

from __future__ import annotations

import json

import pytest

from mmdistill.errors import UserError
from mmdistill.labels import LabelStore
from mmdistill.labels.files import json_sha256
from mmdistill.labels.selection import (
    LabeledCounts,
    UnlabeledCounts,
    read_selection,
    standing_selection,
)


@pytest.fixture
def store(tmp_path, make_store, make_rows):
    """Three images with a candidate each."""
    return make_store(tmp_path, make_rows((1, 1, 1)))


def test_round_trip(store, make_selection):
    selection = make_selection(0.1 + 0.2)
    selection.write(store)
    assert read_selection(store) == selection


def test_a_selection_is_stale_once_images_joined_the_store(
    store, make_pile, make_selection
):
    make_selection(0.5).write(store)
    store.claim(store.manifest, make_pile(['000.png', '001.png', '002.png', 'x.png']))
    with pytest.raises(UserError, match='made before the store became what it is'):
        read_selection(store)
    assert standing_selection(store) == (make_selection(0.5), False)


def test_any_changed_digit_is_noticed(store, make_selection):
    make_selection(0.5).write(store)
    path = store.root / 'selection.json'
    written = path.read_bytes()
    changed = []
    for place, byte in enumerate(written):
        if chr(byte) in '0123456789':
            other = ord('7' if chr(byte) != '7' else '3')
            path.write_bytes(written[:place] + bytes([other]) + written[place + 1 :])
            with pytest.raises(UserError, match='not one of ours'):
                read_selection(store)
            changed.append(place)
    assert len(changed) > 50


def test_means_of_the_labelled_set():
    counts = LabeledCounts(images=80, annotated_images=28, instances=86, fingerprint='')
    assert (counts.mean('all'), counts.mean('annotated')) == (86 / 80, 86 / 28)


def test_mean_of_no_images_is_zero():
    assert LabeledCounts(0, 0, 0, '').mean('annotated') == 0
    assert UnlabeledCounts(0, 3, 0, 0).mean == 0


def test_file_holds_both_means_and_the_drops(store, tmp_path, make_selection):
    make_selection(0.5).write(store)
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
        read_selection(LabelStore(tmp_path))


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
        read_selection(LabelStore(tmp_path))


def test_a_selection_with_one_entry_too_many_is_refused(
    store, tmp_path, make_selection
):
    make_selection(0.5).write(store)
    content = json.loads((tmp_path / 'selection.json').read_text())
    del content['sha256']
    content['colour'] = 1
    content['sha256'] = json_sha256(content)
    (tmp_path / 'selection.json').write_text(json.dumps(content))
    with pytest.raises(UserError, match=r'not one of ours.*colour'):
        read_selection(store)


def test_a_score_equal_to_the_stored_threshold_is_kept(make_candidates, make_selection):
    candidates = make_candidates(3, scores=[0.3, 0.4, 0.5])
    threshold = float(candidates.instance_scores[1])

    kept = make_selection(threshold, keypoint_thr=-1).kept(candidates)

    assert kept.tolist() == [False, True, True]
