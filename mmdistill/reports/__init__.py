"""Pictures and tables of what labeling and training did."""

from mmdistill.reports.gallery import draw_labels
from mmdistill.reports.results_table import compare

__all__ = ['compare', 'draw_labels']
