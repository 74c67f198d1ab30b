"""Comparison of label stores by the share of images on which the views agree.

Agreement needs no ground truth: it compares the labels of a teacher with those of its
student on images of another domain.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmdistill.errors import ConfigError, StoreError
from mmdistill.functional.scoring import image_agreement
from mmdistill.store import LabelStore
from mmdistill.store.manifest import differences
from mmdistill.store.schema import OK, candidate_column, candidate_counts
from mmdistill.utils.logging import format_table

THRESHOLDS = (0.5, 0.75, 0.95)
"""Lowest, middle and highest OKS threshold of COCO's AP."""
COMPARABLE_KEYS = ('views', 'boxes', 'keypoints', 'score_floor', 'images')
"""Entries of a manifest that must be equal for two stores to be compared."""


def compare_agreement(
    folders: Sequence[str], thresholds: Sequence[float] = THRESHOLDS
) -> str:
    """Format a table of the shares of images on which the views agree, a row per store.

    The views agree on an image where the mean agreement of all keypoints of its best
    candidate, on the scale of OKS, is at least a threshold. Images that could not be
    read do not count.

    Args:
        folders: Folders of complete stores of the same images, boxes and views.
        thresholds: Thresholds of the columns, above 0, up to 1.

    Returns:
        The table, without a line break at its end.

    Raises:
        UserError: If a store is not complete or not comparable with the first, or a
            threshold is out of its range.
    """
    for threshold in thresholds:
        if not 0 < threshold <= 1:
            raise ConfigError(f'a threshold must be above 0, up to 1, got {threshold}')
    stores = [LabelStore(folder) for folder in folders]
    for store in stores[1:]:
        _check_comparable(stores[0], store)
    cells = [['', 'images', *(f'>= {t:g}' for t in thresholds), 'mean']]
    for folder, store in zip(folders, stores, strict=True):
        agreement = mean_agreement(store)
        shares = [f'{(agreement >= t).mean():.1%}' for t in thresholds]
        mean = f'{agreement.mean():.3f}'
        cells.append([folder, str(len(agreement)), *shares, mean])
    return format_table(cells)


def mean_agreement(store: LabelStore) -> np.ndarray:
    """Compute the agreement of the views on each readable image of a store, (I,).

    Args:
        store: A complete store.

    Raises:
        UserError: If a chunk is missing or damaged, or no image could be read.
    """
    chunks = []
    for table in store.scan(['status', 'keypoint_agreement', 'instance_scores']):
        column = candidate_column(table, 'keypoint_agreement', store.num_keypoints)
        read = np.array([status == OK for status in table['status'].to_pylist()])
        chunks.append(image_agreement(column, candidate_counts(table))[read])
    agreement = np.concatenate(chunks)
    if not len(agreement):
        raise StoreError(f'no image of the label store {store.root} could be read')
    return agreement


def _check_comparable(first: LabelStore, other: LabelStore) -> None:
    rules = [
        {key: s.manifest.get(key) for key in COMPARABLE_KEYS} for s in (first, other)
    ]
    lines = differences(*rules)
    if lines:
        raise StoreError(
            f'the label stores {first.root} and {other.root} were not labeled alike, '
            'so their agreement cannot be compared (the first is called the store)'
            + ''.join(f'\n- {line}' for line in lines)
        )
