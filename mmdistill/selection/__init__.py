"""Count matching: selection of pseudo-labels among the candidates of a store.

In the examples of this package `store` is a complete store of three images: one with
candidates of scores 0.875 and 0.5, one with a candidate of score 0.75 and one that
could not be read. `labeled` are the counts of a labeled set of 2 instances on 2 images,
`dataset` is such a set, and `selection` is what `select` makes of `store` and
`labeled`.
"""

from mmdistill.selection.selection import Selection

__all__ = ['Selection']
