"""What a selection does to a store, counted."""

from __future__ import annotations

import numpy as np

from mmdistill.labels import Selection
from mmdistill.labels.counts import Part, UnlabeledCounts
from mmdistill.labels.sources import Sources
from mmdistill.labels.store_scores import StoreScores
from mmdistill.labels.thresholds import threshold_index


def count_unlabeled(
    found: StoreScores, visible: np.ndarray, num_keypoints: int
) -> UnlabeledCounts:
    """Count what is kept.

    Args:
        found: The scores of a store.
        visible: Visible keypoints of each candidate, 0 where it is not kept, (M,).
        num_keypoints: Keypoints of each candidate.
    """
    kept = visible > 0
    numbers = np.repeat(np.arange(len(found.read)), found.num_candidates)
    left = np.bincount(numbers[kept], minlength=len(found.read))
    seen = int(visible.sum())
    return UnlabeledCounts(
        images=found.images,
        failed=found.failed,
        candidates=len(kept),
        kept=int(kept.sum()),
        kept_keypoints=seen,
        dropped_keypoints=int(kept.sum()) * num_keypoints - seen,
        emptied=int(((found.num_candidates > 0) & (left == 0)).sum()),
    )


def count_parts(
    found: StoreScores, visible: np.ndarray, selection: Selection, num_keypoints: int
) -> tuple[Part, ...]:
    """Count what is kept of each source and category.

    Args:
        found: The scores of a store.
        visible: Visible keypoints of each candidate, 0 where it is not kept, (M,).
        selection: Which thresholds hold.
        num_keypoints: Keypoints of each candidate.

    Returns:
        The parts, source by source in the order of their first image; categories that
        a source has no candidate of are left out when there are several.
    """
    scores, kept = found.scores, visible > 0
    names = scores.sources.names
    categories, columns = np.unique(scores.category_ids, return_inverse=True)
    shape = (len(names), max(len(categories), 1))
    index = scores.sources.index * shape[1] + columns
    candidates, kept_ones, seen = (
        np.bincount(index, weights, minlength=shape[0] * shape[1]).astype(int)
        for weights in (None, kept, visible)
    )
    of_sources = np.bincount(found.sources.index[found.read], minlength=shape[0])
    numbers = categories if len(categories) else np.array([1])
    cells = Sources(names, np.repeat(np.arange(shape[0]), shape[1]))
    of_cells = np.tile(numbers, shape[0])
    places = threshold_index(selection.thresholds, of_cells, cells)
    parts = []
    for cell in np.flatnonzero((candidates > 0) | (shape[1] == 1)).tolist():
        threshold = selection.thresholds[places[cell]]
        parts.append(
            Part(
                source=names[cells.index[cell]],
                category_id=int(of_cells[cell]),
                score_thr=threshold.score_thr,
                images=int(of_sources[cells.index[cell]]),
                candidates=int(candidates[cell]),
                kept=int(kept_ones[cell]),
                kept_keypoints=int(seen[cell]),
                dropped_keypoints=int(kept_ones[cell] * num_keypoints - seen[cell]),
                labeled_mean=selection.labeled.mean(
                    selection.over, threshold.category_id
                ),
            )
        )
    return tuple(parts)
