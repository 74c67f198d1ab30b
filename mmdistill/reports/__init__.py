"""Pictures and tables of what labelling and training did."""

from mmdistill.reports.labels_picture import draw_labels
from mmdistill.reports.table import compare

__all__ = ['compare', 'draw_labels']
