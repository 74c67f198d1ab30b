"""What the student is about to see, in the words of the log and as figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.logging import print_log

from mmdistill.engine.told_selection import described


def tell_mix(
    labeled: Sequence[Any], pseudo: Sequence[Any], batches: Any, iterations: int
) -> None:
    """Log what the student sees and how often, and what it was chosen by.

    Args:
        labeled: The labelled data sets.
        pseudo: Those of pseudo-labels.
        batches: The batch sampler.
        iterations: Length of the training.
    """
    found = mix_figures(labeled, pseudo, batches)
    share = f'{found["mix/labeled_share"]:.3f} of the samples are labelled, by chance'
    if hasattr(batches, 'num_labeled'):
        share = (
            f'{batches.num_labeled} of {batches.batch_size} in a batch are labelled '
            f'({found["mix/labeled_share"]:.3f}); '
            f'{_told_passes(labeled, pseudo, batches, iterations)}'
        )
    print_log(
        f'the student sees {found["mix/labeled_instances"]} labelled instances and '
        f'{found["mix/pseudo_labels"]} pseudo-labels with '
        f'{found["mix/visible_keypoints"]} visible keypoints; {share}',
        logger='current',
    )
    for source in pseudo:
        print_log(
            f'pseudo-labels of {source.store.root}: {described(source.selection)}',
            logger='current',
        )


def _told_passes(
    labeled: Sequence[Any], pseudo: Sequence[Any], batches: Any, iterations: int
) -> str:
    """How often each sample comes: a small labelled set is soon learnt by heart."""
    slots = (batches.num_labeled, batches.batch_size - batches.num_labeled)
    steps = iterations * batches.world_size
    labeled_passes, pseudo_passes = (
        steps * slot / sum(map(len, sources))
        for slot, sources in zip(slots, (labeled, pseudo), strict=True)
    )
    return (
        f'in {iterations} iterations each labelled instance comes {labeled_passes:.1f} '
        f'times and each pseudo-label {pseudo_passes:.1f} times'
    )


def mix_figures(
    labeled: Sequence[Any], pseudo: Sequence[Any], batches: Any
) -> dict[str, float]:
    """The figures of what the student sees by name, for MMEngine's visualizer.

    Args:
        labeled: The labelled data sets.
        pseudo: Those of pseudo-labels.
        batches: The batch sampler; without a fixed share the share is that of the
            samples.
    """
    instances = sum(len(source) for source in labeled)
    kept = sum(len(source) for source in pseudo)
    share = instances / (instances + kept)
    if hasattr(batches, 'num_labeled'):
        share = batches.num_labeled / batches.batch_size
    return {
        'mix/labeled_instances': instances,
        'mix/pseudo_labels': kept,
        'mix/visible_keypoints': sum(s.num_visible_keypoints for s in pseudo),
        'mix/labeled_share': share,
    }
