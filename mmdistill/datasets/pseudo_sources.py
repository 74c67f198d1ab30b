"""The pseudo-labels among the sources of a training, of whatever kind they are."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from mmengine.dataset import BaseDataset

from mmdistill.datasets.pseudo_box_dataset import PseudoBoxDataset
from mmdistill.datasets.pseudo_label_dataset import PseudoLabelDataset
from mmdistill.utils.dataset_members import Wrapper

PseudoSource = PseudoLabelDataset | PseudoBoxDataset
"""A data set of pseudo-labels: of poses, or of boxes."""


@runtime_checkable
class MixedImages(Protocol):
    """A data set whose samples are mixed of several images, by steps left out later.

    Attributes:
        dataset: The data set of the images.
    """

    dataset: Any

    def update_skip_type_keys(self, skip_type_keys: Any) -> None:
        """Set the steps that are left out.

        Args:
            skip_type_keys: Names of their types.
        """


def pseudo_of(source: Any) -> PseudoSource | None:
    """The pseudo-labels of a source of a training; None of a labeled one.

    Args:
        source: One of the data sets that a batch is drawn from, or a wrapper of it, as
            MMDetection's that mixes images.
    """
    while isinstance(source, Wrapper) and not isinstance(source, BaseDataset):
        source = source.dataset
    return source if isinstance(source, PseudoSource) else None
