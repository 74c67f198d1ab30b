"""What training gets, against the rows one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmdistill.config.weight_options import WeightsConfig
from mmdistill.errors import StoreError
from mmdistill.selection.threshold_groups import Threshold
from mmdistill.selection.training_labels import read_training_labels
from mmdistill.store import LabelStore

COUNTS = (2, 0, None, 3, 1, None, 4, 0)


@pytest.fixture
def rows(make_rows):
    """Images with candidates, some of them off their image."""
    rows = make_rows(COUNTS)
    rows[3].candidates.bboxes[1] = [63.5, 2, 80, 40]
    rows[6].candidates.bboxes[0] = [-9, -7, 20, 30]
    return rows


@pytest.mark.parametrize('score_thr', [0, 0.3, 0.5])
@pytest.mark.parametrize('keypoint_thr', [0.3, 0.9])
def test_labels_are_the_rows_that_train_something(
    tmp_path, rows, make_store, make_selection, score_thr, keypoint_thr
):
    selection = make_selection(score_thr, keypoint_thr)
    labels = read_training_labels(make_store(tmp_path, rows), selection)
    expected = [
        (row.path, number, box, row.candidates.keypoints[i], seen, category)
        for number, row in enumerate(rows)
        for i in range(len(row.candidates))
        for box in [np.clip(row.candidates.bboxes[i], 0, [63, 47, 63, 47])]
        for seen in [row.candidates.keypoint_scores[i] > keypoint_thr]
        for category in [row.candidates.category_ids[i]]
        if row.candidates.instance_scores[i] >= score_thr
        and any(seen)
        and box[2] > box[0]
    ]
    assert len(labels) == len(expected) > 0
    for i, (path, number, box, keypoints, seen, category) in enumerate(expected):
        assert labels.paths[int(labels.path_index[i])].as_py() == path
        assert labels.image_index[i] == number
        assert np.array_equal(labels.bboxes[i], box)
        assert np.array_equal(labels.keypoints[i], keypoints)
        assert np.array_equal(labels.visible[i], seen)
        assert labels.category_ids[i] == category


def test_only_paths_with_labels_are_held(tmp_path, rows, make_store, make_selection):
    store = make_store(tmp_path, rows)
    labels = read_training_labels(store, make_selection(0, 0.3))
    assert labels.paths.to_pylist() == ['000.png', '003.png', '004.png', '006.png']


def test_all_candidates_are_counted(tmp_path, rows, make_store, make_selection):
    store = make_store(tmp_path, rows)
    labels = read_training_labels(store, make_selection(2, 0.3))
    best = max(row.candidates.instance_scores.max(initial=0) for row in rows)
    assert (len(labels), labels.num_candidates, labels.num_seen) == (0, 10, 10)
    assert labels.best_score == best


@pytest.mark.parametrize('by', ['agreement', 'both'])
@pytest.mark.parametrize('per', ['all', 'source'])
def test_labels_are_those_that_the_selection_keeps(
    tmp_path, make_rows, make_store, make_selection, by, per
):
    rows = [
        replace(row, source='ab'[number % 2])
        for number, row in enumerate(make_rows(COUNTS))
    ]
    store = make_store(tmp_path, rows)
    limits = dict(a=0.2, b=0.4) if by == 'both' else dict(a=0.5, b=0.45)
    sources = limits if per == 'source' else {None: 0.45}
    drawn = make_selection(0.5)
    selection = replace(
        drawn,
        options=replace(drawn.options, criterion=by, group_by=per),
        thresholds=tuple(Threshold(s, None, limit) for s, limit in sources.items()),
    )
    labels, whole = read_training_labels(store, selection), store.read()
    kept = selection.kept(whole.candidates, whole.candidate_sources)
    assert np.array_equal(labels.keypoints, whole.candidates.keypoints[kept])
    assert 0 < len(labels) < len(kept)


@pytest.mark.parametrize('criterion', ['score', 'agreement', 'both'])
@pytest.mark.parametrize('normalize', [True, False])
def test_keypoints_weigh_by_what_the_store_says(
    tmp_path, rows, make_store, make_selection, criterion, normalize
):
    store, selection = make_store(tmp_path, rows), make_selection(0.3, 0.3)
    options = WeightsConfig(criterion, power=2.0, floor=0.2, normalize=normalize)
    labels = read_training_labels(store, selection, options)

    expected = []
    for row in rows:
        candidates = row.candidates
        for i in range(len(candidates)):
            scores, agreement = (
                candidates.keypoint_scores[i].astype(float),
                candidates.keypoint_agreement[i].astype(float),
            )
            values = dict(
                score=scores, agreement=agreement, both=(scores * agreement) ** 0.5
            )
            box = np.clip(candidates.bboxes[i], 0, [63, 47, 63, 47])
            if candidates.instance_scores[i] >= 0.3 and box[2] > box[0]:
                weights = [max(0.2, value**2) for value in values[criterion]]
                expected.append(np.where(scores > 0.3, weights, 0))
    mean = np.sum(expected) / labels.visible.sum() if normalize else 1
    np.testing.assert_allclose(
        labels.keypoint_weights, np.array(expected) / mean, rtol=1e-5
    )


def test_agreement_is_read_only_where_it_is_needed(
    tmp_path, rows, make_store, make_selection, monkeypatch
):
    store, read = make_store(tmp_path, rows), []
    scan = LabelStore.scan
    monkeypatch.setattr(
        LabelStore, 'scan', lambda s, c=None: (read.extend(c), scan(s, c))[1]
    )
    for options, needed in (
        (None, False),
        (WeightsConfig('score'), False),
        (WeightsConfig(power=0), False),
        (WeightsConfig('agreement'), True),
        (WeightsConfig('both'), True),
    ):
        read.clear()
        labels = read_training_labels(store, make_selection(0, 0.3), options)
        assert ('keypoint_agreement' in read) is needed
        assert (labels.keypoint_weights is None) is (options is None)


def test_weights_that_are_all_0_are_refused_and_a_floor_is_the_way_out(
    tmp_path, rows, make_store, make_selection
):
    for row in rows:
        row.candidates.keypoint_agreement[:] = 0
    store, selection = make_store(tmp_path, rows), make_selection(0, 0.3)
    with pytest.raises(StoreError, match=r'state weights\.floor above 0'):
        read_training_labels(store, selection, WeightsConfig())

    labels = read_training_labels(store, selection, WeightsConfig(floor=0.1))
    assert (labels.keypoint_weights[labels.visible] == 1).all()
