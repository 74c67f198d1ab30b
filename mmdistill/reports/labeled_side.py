"""The labelled set as training sees it, to stand beside the labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mmdistill.dataset_members import Member, instances_of, members_of


@dataclass(frozen=True)
class LabeledSide:
    """`N` instances of `K` keypoints on `J` images.

    Attributes:
        per_image: Instances of each image, (J,).
        visible: Which keypoints of an instance are annotated, (N, K), bool.
    """

    per_image: np.ndarray
    visible: np.ndarray


def look_at_labeled(dataset: Any, num_images: int) -> LabeledSide:
    """Count instances of each image and keypoints of each instance.

    Of a set made of several each member counts as often as training sees it.

    Args:
        dataset: A labelled data set of MMPose, of one sample an instance, or several
            in one.
        num_images: Its images, those without an instance included.
    """
    per_image, visible = [], []
    for member in members_of(dataset):
        found = instances_of(member)
        _, counts = np.unique(found.image_ids, return_counts=True)
        per_image.append(_as_seen(np.sort(counts), member))
        visible.append(_as_seen(found.visible, member))
    counts = np.concatenate(per_image)
    bare = np.zeros(max(num_images - len(counts), 0), dtype=counts.dtype)
    return LabeledSide(
        per_image=np.concatenate([counts, bare]), visible=np.concatenate(visible)
    )


def _as_seen(rows: np.ndarray, member: Member) -> np.ndarray:
    """Rows of a member, as many as training sees of it, evenly taken or repeated."""
    places = (np.arange(member.times(len(rows))) + 0.5) / member.factor
    return rows[np.minimum(places.astype(int), len(rows) - 1)]
