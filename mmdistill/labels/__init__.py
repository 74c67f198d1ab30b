"""The label store: what the teacher found, on disk, before any threshold."""

from mmdistill.labels.columns import Candidates, ImageRow, StoredLabels
from mmdistill.labels.selection import Selection
from mmdistill.labels.store import LabelStore

__all__ = ['Candidates', 'ImageRow', 'LabelStore', 'Selection', 'StoredLabels']
