"""Which samples of a batch are pseudo-labelled: a mark that travels with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

MARK = 'pseudo'
"""Meta field of the data samples that are pseudo-labelled; labelled ones have none."""


def marked(sample: Any) -> Any:
    """A packed sample that says it is pseudo-labelled.

    Args:
        sample: What a pipeline gave; one that is not packed, or None, stays as it is.
    """
    if isinstance(sample, dict) and 'data_samples' in sample:
        sample['data_samples'].set_metainfo({MARK: True})
    return sample


def count_pseudo(samples: Sequence[Any]) -> int:
    """How many samples of a batch are marked.

    Args:
        samples: The data samples of the batch.
    """
    return sum(sample.get(MARK, False) for sample in samples)
