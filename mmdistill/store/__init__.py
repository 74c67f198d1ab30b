"""Label store: the predictions of the teacher on disk, before any threshold."""

from mmdistill.store.schema import Candidates, ImageRow, StoredLabels
from mmdistill.store.store import LabelStore

__all__ = ['Candidates', 'ImageRow', 'LabelStore', 'StoredLabels']
