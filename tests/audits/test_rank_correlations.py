"""Rank correlations of score and agreement with the error, against SciPy's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from mmdistill.audits.candidates import MatchedCandidates, match_candidates
from mmdistill.audits.rank_correlations import correlate_with_errors
from tests.helpers.metainfo import SIGMAS


@pytest.fixture
def matched(perfect, selection_at) -> MatchedCandidates:
    """Six candidates with random numbers, one not matched, some errors unknown."""
    found = match_candidates(*perfect, SIGMAS, selection_at())
    rng = np.random.default_rng(3)
    # Steps of 1/64, so that some values are equal.
    scores, agreement, errors = rng.integers(1, 64, (3, *found.errors.shape)) / 64
    errors[0] = np.nan
    errors[rng.random(errors.shape) < 0.2] = np.nan
    return replace(
        found, keypoint_scores=scores, keypoint_agreement=agreement, errors=errors
    )


def expected(scores, agreement, errors) -> dict[str, float]:
    known = ~np.isnan(errors)
    scores, agreement, errors = scores[known], agreement[known], errors[known]
    product = rankdata(scores) * rankdata(agreement)
    pairs = dict(score=scores, agreement=agreement, product=product)
    return {name: spearmanr(v, errors).statistic for name, v in pairs.items()}


def test_keypoints_are_those_of_kept_labels(matched, selection_at):
    kept = matched.outcome.kept.copy()
    kept[:, 4] = False
    matched = replace(matched, outcome=replace(matched.outcome, kept=kept))

    found = correlate_with_errors(matched, selection_at())['keypoint']

    rows = [0, 1, 2, 3, 5]
    values = matched.keypoint_scores, matched.keypoint_agreement, matched.errors
    assert found == pytest.approx(
        expected(*(v[rows].ravel() for v in values)), abs=1e-3
    )


def test_instances_are_compared_by_their_visible_keypoints(matched, selection_at):
    selection = selection_at(keypoint_thrs=0.3)
    visible = matched.keypoint_scores >= 0.3
    agreement = [
        row[seen].mean()
        for row, seen in zip(matched.keypoint_agreement, visible, strict=True)
    ]
    errors = [
        np.nanmean(row[seen]) if i else np.nan
        for i, (row, seen) in enumerate(zip(matched.errors, visible, strict=True))
    ]

    found = correlate_with_errors(matched, selection)['instance']

    assert found == pytest.approx(
        expected(matched.scores, np.array(agreement), np.array(errors)), abs=1e-3
    )


def test_without_matches_nothing_is_known(matched, selection_at):
    blind = replace(matched, errors=np.full_like(matched.errors, np.nan))
    found = correlate_with_errors(blind, selection_at())
    assert np.isnan([*found['keypoint'].values(), *found['instance'].values()]).all()
