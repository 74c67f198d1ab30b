"""The figures of what a student sees: samples, labels and their share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmdistill.datasets.pseudo_box_dataset import PseudoBoxDataset
from mmdistill.datasets.pseudo_image_dataset import PseudoImageDataset
from mmdistill.datasets.pseudo_label_dataset import PseudoLabelDataset
from mmdistill.datasets.pseudo_sources import MixedImages, PseudoSource
from mmdistill.datasets.samplers.mixed_ratio_batch_sampler import (
    MixedRatioBatchSampler,
)
from mmdistill.selection.counts import count_members, join_counts
from mmdistill.utils.dataset_members import is_countable


def mix_scalars(
    labeled: Sequence[Any], pseudo: Sequence[PseudoSource], batches: Any
) -> dict[str, float]:
    """The figures of what the student sees by name, for MMEngine's visualizer.

    Args:
        labeled: The labeled data sets.
        pseudo: Those of pseudo-labels.
        batches: The batch sampler; without a fixed share the share is that of the
            samples.
    """
    sizes = [sum(map(len, sources)) for sources in (labeled, pseudo)]
    instances, share = sizes[0], sizes[0] / sum(sizes)
    if has_image_samples(pseudo):
        instances = sum(map(_num_instances, labeled))
    if isinstance(batches, MixedRatioBatchSampler):
        share = batches.num_labeled / batches.batch_size
    figures = {
        'mix/labeled_instances': instances,
        'mix/pseudo_labels': sum(source.num_labels for source in pseudo),
    }
    poses = [each for each in pseudo if isinstance(each, PseudoLabelDataset)]
    if poses:
        visible = sum(each.num_visible_keypoints for each in poses)
        figures['mix/visible_keypoints'] = visible
    return {**figures, 'mix/labeled_share': share}


def has_image_samples(pseudo: Sequence[PseudoSource]) -> bool:
    """Whether samples are whole images, and not instances as labels are.

    Args:
        pseudo: The data sets of pseudo-labels.
    """
    images = PseudoBoxDataset | PseudoImageDataset
    return any(isinstance(source, images) for source in pseudo)


def unmixed(source: Any) -> Any:
    """A labeled source without the wrapper that mixes its images.

    Args:
        source: A data set that batches are drawn from.
    """
    return source.dataset if isinstance(source, MixedImages) else source


def _num_instances(labeled: Any) -> int:
    """Number of instances of a labeled set; of its samples where none are listed."""
    if not is_countable(labeled):
        return len(labeled)
    return join_counts(count_members(labeled)).instances
