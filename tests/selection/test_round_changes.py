"""Figures of a round, and what moved since the one before."""

from dataclasses import replace

import numpy as np
import pytest

from mmdistill.functional.churn import (
    PosedInstances,
    moved_keypoints,
    same_instances,
)
from mmdistill.selection import round_changes
from mmdistill.selection.round_changes import label_figures, moved_share

SIGMAS = np.full(17, 0.3)


def shifted(rows, rng, scale):
    return [
        replace(
            row,
            candidates=replace(
                row.candidates,
                keypoints=row.candidates.keypoints
                + rng.normal(0, scale, row.candidates.keypoints.shape).astype('f4'),
            ),
        )
        for row in rows
    ]


@pytest.fixture
def rows(make_rows):
    return make_rows((2, 1, None, 3, 0, 2, 1))


def test_figures_are_those_of_a_slow_loop(tmp_path, rows, make_store, make_selection):
    store = make_store(tmp_path / 'now', rows)
    selection = make_selection(0.4, 0.5)
    kept, scores, agreements, keypoints, total = 0, [], [], 0, 0
    for row in rows:
        c = row.candidates
        for i in range(len(c)):
            total += 1
            visible = c.keypoint_scores[i] > 0.5
            if c.instance_scores[i] >= np.float32(0.4) and visible.any():
                kept += 1
                keypoints += visible.sum()
                scores.append(c.instance_scores[i])
                agreements.append(c.keypoint_agreement[i][visible].mean())

    figures = label_figures(store, selection)

    assert (figures.candidates, figures.kept) == (total, kept)
    assert figures.keypoints == keypoints
    assert figures.score == pytest.approx(np.mean(scores))
    assert figures.agreement == pytest.approx(np.mean(agreements))
    assert figures.thresholds == (0.4,)


def test_nothing_moves_where_nothing_changed(
    tmp_path, rows, make_store, make_selection
):
    now, before = (make_store(tmp_path / name, rows) for name in ('now', 'before'))
    make_selection(0.0, -1).write(now)
    assert moved_share(now, before, SIGMAS) == 0


@pytest.mark.parametrize('block', [1, 2, 4096])
def test_the_share_is_that_of_a_slow_loop(
    tmp_path, rows, make_store, make_selection, block, monkeypatch
):
    monkeypatch.setattr(round_changes, 'IMAGES_AT_ONCE', block)
    now = make_store(tmp_path / 'now', rows)
    earlier = shifted(rows, np.random.default_rng(1), 1.0)
    # A store that grew has its images in another order, and one of them is gone.
    earlier = [earlier[i] for i in (3, 0, 5, 1, 6)]
    before = make_store(tmp_path / 'before', earlier)
    selection = make_selection(0.3, 0.4)
    selection.write(now)

    moved = total = 0
    known = {row.path: row.candidates for row in earlier}
    for row in rows:
        c = row.candidates
        keep = (c.instance_scores >= np.float32(0.3)) & (c.keypoint_scores > 0.4).any(1)
        if not keep.any():
            continue
        here = PosedInstances(c.keypoints[keep], c.bboxes[keep], np.zeros(keep.sum()))
        visible = c.keypoint_scores[keep] > 0.4
        total += visible.sum()
        there = known.get(row.path)
        if there is None:
            moved += visible.sum()
            continue
        other = PosedInstances(there.keypoints, there.bboxes, np.zeros(len(there)))
        matches = same_instances(here, other, SIGMAS)
        moved += (moved_keypoints(here, other, matches) & visible).sum()

    share = moved_share(now, before, SIGMAS)
    assert share == pytest.approx(moved / total)
    assert 0 < share < 1


def test_a_store_that_keeps_nothing_moves_nothing(
    tmp_path, rows, make_store, make_selection
):
    store = make_store(tmp_path / 'now', rows)
    make_selection(5.0).write(store)
    assert moved_share(store, store, SIGMAS) == 0
    assert label_figures(store).score == 0
