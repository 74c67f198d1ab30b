"""Rank correlations of score and agreement with the error of labels.

A selection keeps what ranks highest by its score, by the agreement of the views, or by
the product of both ranks, so what matters of each is the order that it gives.
Spearman's correlation with the error says how good it is: -1 is perfect, 0 is chance.
"""

from __future__ import annotations

import numpy as np

from mmdistill.audits.candidates import MatchedCandidates
from mmdistill.audits.unlabeled_selection import UnlabeledSelection
from mmdistill.functional.ranking import (
    instance_agreement,
    rank_correlation,
    rank_product,
)

SCORE, AGREEMENT, PRODUCT = 'score', 'agreement', 'product'
"""Quantities that labels are ranked by."""


def correlate_with_errors(
    candidates: MatchedCandidates, unlabeled_selection: UnlabeledSelection
) -> dict[str, dict[str, float]]:
    """Correlate score, agreement and the product of their ranks with the error.

    Args:
        candidates: Matched candidates of the fused views.
        unlabeled_selection: The selection of the unlabeled set.

    Returns:
        Rank correlations by quantity, for each 'keypoint' of kept labels, visible or
        not, and for each 'instance' among all candidates, kept or not, by the mean of
        its visible keypoints. NaN where nothing can be compared.
    """
    kept = candidates.outcome.kept.any(axis=0)
    visible = unlabeled_selection.selection.visible(candidates.keypoint_scores)
    return {
        'keypoint': _correlations(
            candidates.keypoint_scores[kept].ravel(),
            candidates.keypoint_agreement[kept].ravel(),
            candidates.errors[kept].ravel(),
        ),
        'instance': _correlations(
            candidates.scores,
            instance_agreement(candidates.keypoint_agreement, visible),
            _mean_errors(candidates.errors, visible),
        ),
    }


def _mean_errors(errors: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Mean known error of the visible keypoints of each instance, (M,)."""
    known = visible & ~np.isnan(errors)
    counts = known.sum(axis=1)
    total = np.where(known, errors, 0).sum(axis=1)
    return np.where(counts > 0, total / np.maximum(counts, 1), np.nan)


def _correlations(
    scores: np.ndarray, agreement: np.ndarray, errors: np.ndarray
) -> dict[str, float]:
    """Rank correlations with the known errors, (M,) each."""
    known = ~np.isnan(errors)
    scores, agreement, errors = scores[known], agreement[known], errors[known]
    quantities = {
        SCORE: scores,
        AGREEMENT: agreement,
        PRODUCT: rank_product(scores, agreement),
    }
    return {name: rank_correlation(v, errors) for name, v in quantities.items()}
