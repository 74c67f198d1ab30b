"""Which samples of a batch are pseudo-labeled: a mark that travels with them.

What pseudo-labels weigh in the loss, in a sample that is ready for the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

MARK = 'pseudo'
"""Meta field of the data samples that are pseudo-labeled; labeled ones have none."""


def tag_pseudo(sample: Any) -> Any:
    """A packed sample that says it is pseudo-labeled.

    Args:
        sample: What a pipeline gave; one that is not packed, or None, stays as it is.
    """
    if isinstance(sample, dict) and 'data_samples' in sample:
        sample['data_samples'].set_metainfo({MARK: True})
    return sample


def count_pseudo_labels(samples: Sequence[Any]) -> int:
    """How many samples of a batch are marked.

    Args:
        samples: The data samples of the batch.
    """
    return sum(sample.get(MARK, False) for sample in samples)


WEIGHTS = ('keypoint_weights', 'keypoints_visible_weights')
"""Labels that losses of MMPose multiply each keypoint's part with."""


def scale_keypoint_weights(sample: Any, weight: float) -> Any:
    """A packed sample whose keypoints weigh as much as `weight` times before.

    Codecs make weights of visibilities in ways of their own: those of regression
    round them, those of heatmaps leave targets below one half empty. What all heads
    multiply with is there after the codec only.

    Args:
        sample: What a pipeline gave; one that is not packed stays as it is.
        weight: The factor, at least 0; keypoints that weigh 0 stay so.
    """
    if weight == 1 or not isinstance(sample, dict) or 'data_samples' not in sample:
        return sample
    labels = sample['data_samples'].gt_instance_labels
    for key in WEIGHTS:
        if key in labels:
            labels.set_field(labels[key] * weight, key)
    return sample
