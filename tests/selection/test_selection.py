"""The selection and its file."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mmdistill.errors import UserError
from mmdistill.selection.selection import (
    load_selection,
    read_selection,
)
from mmdistill.selection.threshold_groups import Threshold
from mmdistill.store import LabelStore
from mmdistill.store.image_sources import Sources
from mmdistill.utils.files import json_sha256


@pytest.fixture
def store(tmp_path, make_store, make_rows):
    """Three images with a candidate each."""
    return make_store(tmp_path, make_rows((1, 1, 1)))


def test_round_trip(store, make_selection):
    selection = make_selection(0.1 + 0.2)
    selection.write(store)
    assert read_selection(store) == selection


def test_a_selection_is_stale_once_images_joined_the_store(
    store, make_unlabeled, make_selection
):
    make_selection(0.5).write(store)
    store.claim(
        store.manifest, make_unlabeled(['000.png', '001.png', '002.png', 'x.png'])
    )
    with pytest.raises(UserError, match='made before the store changed'):
        read_selection(store)
    assert load_selection(store) == (make_selection(0.5), False)


def test_any_changed_digit_is_noticed(store, make_selection):
    make_selection(0.5).write(store)
    path = store.root / 'selection.json'
    written = path.read_bytes()
    changed = []
    for place, byte in enumerate(written):
        if chr(byte) in '0123456789':
            other = ord('7' if chr(byte) != '7' else '3')
            path.write_bytes(written[:place] + bytes([other]) + written[place + 1 :])
            with pytest.raises(UserError, match='not a selection of mmdistill'):
                read_selection(store)
            changed.append(place)
    assert len(changed) > 50


def test_the_file_holds_the_means_of_both_sets(store, tmp_path, make_selection):
    make_selection(0.5).write(store)
    content = json.loads((tmp_path / 'selection.json').read_text())
    means = content['means']
    assert means['instances_per_labeled_image'] == 6 / 4
    assert means['instances_per_unlabeled_image'] == 7 / 5
    assert means['keypoints_per_labeled_instance'] == 2 * 17 / 6
    assert means['keypoints_per_kept_instance'] == 80 / 7


def test_a_score_equal_to_the_threshold_is_kept(make_candidates, make_selection):
    # 0.3 has no exact float32: kept must compare what the store really holds.
    candidates = make_candidates(3, scores=[0.29, 0.3, 0.31])
    assert make_selection(0.3).kept(candidates).tolist() == [False, True, True]


def test_a_missing_selection_is_named(tmp_path):
    with pytest.raises(UserError, match=r'the selection .*selection\.json cannot'):
        read_selection(LabelStore(tmp_path))


@pytest.mark.parametrize(
    'content',
    [
        {},
        [],
        None,
        {'labeled': 1, 'unlabeled': 2},
        {'labeled': {'categories': []}, 'means': {}, 'sha256': '', 'store': ''},
    ],
)
def test_a_foreign_json_is_refused(tmp_path, content):
    (tmp_path / 'selection.json').write_text(json.dumps(content))
    with pytest.raises(UserError, match='is not a selection of mmdistill'):
        read_selection(LabelStore(tmp_path))


def test_a_selection_with_one_entry_too_many_is_refused(
    store, tmp_path, make_selection
):
    make_selection(0.5).write(store)
    content = json.loads((tmp_path / 'selection.json').read_text())
    del content['sha256']
    content['color'] = 1
    content['sha256'] = json_sha256(content)
    (tmp_path / 'selection.json').write_text(json.dumps(content))
    with pytest.raises(UserError, match=r'not a selection of mmdistill.*color'):
        read_selection(store)


def test_a_score_equal_to_the_stored_threshold_is_kept(make_candidates, make_selection):
    candidates = make_candidates(3, scores=[0.3, 0.4, 0.5])
    threshold = float(candidates.instance_scores[1])

    kept = make_selection(threshold, keypoint_thr=-1).kept(candidates)

    assert kept.tolist() == [False, True, True]


def by(selection, **options):
    return replace(selection, options=replace(selection.options, **options))


def slow_agreement(candidates, row, keypoint_thr):
    seen = candidates.keypoint_scores[row] > keypoint_thr
    return float(np.mean(candidates.keypoint_agreement[row][seen])) if any(seen) else 0


def test_agreement_decides_where_it_is_asked(make_candidates, make_selection):
    candidates = make_candidates(30)
    kept = by(make_selection(0.5, 0.3), criterion='agreement').kept(candidates)
    expected = [slow_agreement(candidates, row, 0.3) >= 0.5 for row in range(30)]
    assert kept.tolist() == expected
    assert 0 < sum(expected) < 30


def test_both_decide_by_their_ranks(make_candidates, make_selection):
    candidates = make_candidates(30)
    agreement = [slow_agreement(candidates, row, 0.2) for row in range(30)]
    places = [
        (np.argsort(np.argsort(values)) + 1) / 30
        for values in (candidates.instance_scores, agreement)
    ]
    kept = by(make_selection(0.25), criterion='both').kept(candidates)
    assert kept.tolist() == (places[0] * places[1] >= 0.25).tolist()
    assert 0 < kept.sum() < 30


def test_each_source_and_category_has_its_threshold(make_candidates, make_selection):
    candidates = make_candidates(40)
    sources = Sources(('a', 'b', 'c'), np.arange(40, dtype=np.int32) % 3)
    limits = {('a', 1): 0.3, ('a', 2): 0.6, ('b', 1): 0.9, ('b', 2): None}
    thresholds = tuple(Threshold(*key, limit) for key, limit in limits.items())
    selection = replace(make_selection(0.5), thresholds=thresholds)
    kept = by(selection, group_by='source').kept(candidates, sources)
    expected = []
    for row, score in enumerate(candidates.instance_scores.tolist()):
        key = ('abc'[row % 3], int(candidates.category_ids[row]))
        expected.append(limits.get(key) is not None and score >= limits[key])
    assert kept.tolist() == expected
    assert 0 < sum(expected) < 40


def test_keypoints_have_thresholds_of_their_own(make_candidates, make_selection):
    candidates = make_candidates(20, num_keypoints=3)
    selection = replace(make_selection(0), keypoint_thrs=(0.5, None, 0.875))
    visible = selection.visible(candidates.keypoint_scores)
    assert not visible[:, 1].any()
    for column, limit in ((0, 0.5), (2, 0.875)):
        expected = candidates.keypoint_scores[:, column] > limit
        assert np.array_equal(visible[:, column], expected)


def test_a_candidate_without_a_visible_keypoint_is_not_kept(
    make_candidates, make_selection
):
    candidates = make_candidates(20, num_keypoints=3)
    selection = by(make_selection(0), keypoint_thr='count')
    selection = replace(selection, keypoint_thrs=(0.75,) * 3)
    expected = (candidates.keypoint_scores > 0.75).any(axis=1)
    assert selection.kept(candidates).tolist() == expected.tolist()
    assert 0 < expected.sum() < 20


def test_thresholds_are_overridden_by_hand(make_candidates, make_selection):
    candidates = make_candidates(30)
    first = by(make_selection(0.25), criterion='both')
    changed = first.overridden(0.7, 0.9)
    seen = (candidates.keypoint_scores > np.float32(0.9)).any(axis=1)
    expected = (candidates.instance_scores >= np.float32(0.7)) & seen
    assert changed.kept(candidates).tolist() == expected.tolist()
    assert first.overridden(None, None) == first


def test_a_matched_selection_is_read_back(store, make_selection):
    selection = replace(
        by(
            make_selection(0.5), group_by='source', score_thr=None, keypoint_thr='count'
        ),
        thresholds=(Threshold('ä', 3, None), Threshold('', 1, 0.1, 0.3)),
        keypoint_thrs=(None, *(0.1 + 0.2,) * 16),
    )
    selection.write(store)
    assert read_selection(store) == selection
