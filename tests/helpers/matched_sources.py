"""Candidates of two sources, and the labeled set that they are matched to."""

from __future__ import annotations

from mmdistill.selection.counts import LabeledCounts

COUNTS = (4, 6, None, 3, 5, 5, 8)
SOURCES = ('a', 'b', 'a', 'a', 'b', 'b', 'a')
LABELED = LabeledCounts(
    images=4,
    annotated_images=3,
    instances=8,
    fingerprint='f',
    categories=((1, 5), (2, 3)),
    keypoints=(8, 6, 4, 2, 0, *(4,) * 12),
)
