"""Count matching: which candidates of a store become pseudo-labels."""

from mmdistill.selection.selection import Selection

__all__ = ['Selection']
