"""Pictures, tables and the HTML page that report on labels and trained models."""

from mmdistill.reports.gallery import draw_labels
from mmdistill.reports.results_table import compare

__all__ = ['compare', 'draw_labels']
