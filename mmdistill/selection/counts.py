"""Counts of the labeled and the unlabeled set, which count matching compares.

A labeled set is counted as training sees it: by the samples of its data set after all
filters, with its members repeated or resampled.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from json import JSONDecodeError
from typing import Any

import numpy as np
from mmengine.fileio import load
from mmengine.logging import print_log
from mmengine.registry import DefaultScope
from mmpose.registry import DATASETS

from mmdistill.config.datasets import members_of as listed
from mmdistill.errors import DataError, UserError
from mmdistill.utils.dataset_members import (
    Instances,
    Member,
    check_keypoints,
    instances_of,
    members_of,
)


@dataclass(frozen=True)
class LabeledCounts:
    """Counts of the labeled set, as training sees it.

    Attributes:
        images: All images of the set.
        annotated_images: Images with at least one instance that is trained on.
        instances: Instances that are trained on.
        fingerprint: Identity of the set: a hash over its images and instances.
        categories: Category and number of instances, by category.
        keypoints: Instances that have each keypoint visible, (K,).

    >>> counts = LabeledCounts(4, 2, 6, 'hash', categories=((1, 6),), keypoints=(6, 3))
    >>> counts.mean('all'), counts.mean('annotated'), counts.mean_keypoints
    (1.5, 3.0, 1.5)
    """

    images: int
    annotated_images: int
    instances: int
    fingerprint: str
    categories: tuple[tuple[int, int], ...] = ()
    keypoints: tuple[int, ...] = ()

    def mean(self, over: str, category_id: int | None = None) -> float:
        """Compute the mean number of instances per image.

        Args:
            over: 'all' images, or the 'annotated' ones, of whatever category.
            category_id: The category to count, all of them when None.
        """
        count = self.images if over == 'all' else self.annotated_images
        instances = self.instances
        if category_id is not None:
            instances = dict(self.categories).get(category_id, 0)
        return instances / count if count else 0.0

    @property
    def mean_keypoints(self) -> float:
        """Visible keypoints per instance."""
        return sum(self.keypoints) / self.instances if self.instances else 0.0


@dataclass(frozen=True)
class UnlabeledCounts:
    """Counts of the unlabeled set under a selection.

    Attributes:
        images: Images that could be read.
        failed: Images that could not be read.
        candidates: Candidates on them.
        kept: Candidates that are kept.
        kept_keypoints: Visible keypoints of those.
        dropped_keypoints: Their other keypoints: visibility 0.
        emptied: Images with candidates of which none is kept.

    >>> counts = UnlabeledCounts(images=4, failed=1, candidates=9, kept=6)
    >>> counts.dropped, counts.mean
    (3, 1.5)
    """

    images: int
    failed: int
    candidates: int
    kept: int
    kept_keypoints: int = 0
    dropped_keypoints: int = 0
    emptied: int = 0

    @property
    def dropped(self) -> int:
        """Candidates that are not kept."""
        return self.candidates - self.kept

    @property
    def mean(self) -> float:
        """Kept candidates per image."""
        return self.kept / self.images if self.images else 0.0

    @property
    def mean_keypoints(self) -> float:
        """Visible keypoints per kept candidate."""
        return self.kept_keypoints / self.kept if self.kept else 0.0


@dataclass(frozen=True)
class Part:
    """Counts of one source's candidates of one category under a selection.

    Attributes:
        source: The source.
        category_id: The category; None where all are one.
        score_thr: The threshold that holds here; None when nothing is kept.
        images: Images of the source that could be read.
        candidates: Candidates.
        kept: Candidates that are kept.
        kept_keypoints: Visible keypoints of those.
        dropped_keypoints: Their other keypoints.
        labeled_mean: Instances per labeled image that are matched.

    >>> Part('zoo', 1, 0.75, 4, 9, 6, 80, 22, 1.5).mean
    1.5
    """

    source: str
    category_id: int | None
    score_thr: float | None
    images: int
    candidates: int
    kept: int
    kept_keypoints: int
    dropped_keypoints: int
    labeled_mean: float

    @property
    def mean(self) -> float:
        """Kept candidates per image."""
        return self.kept / self.images if self.images else 0.0


BUILD_ERRORS = (
    *(AssertionError, AttributeError, IndexError, KeyError, OSError),
    *(TypeError, ValueError, ImportError),
)
"""Errors of data set classes on annotations that they cannot read."""


def build_labeled(config: Mapping[str, Any]) -> Any:
    """Build a labeled data set to be counted.

    MMEngine cannot serialize a set without samples and fails with an error of
    NumPy's. Kept as a list it is built, and can be refused with a clear error.

    Args:
        config: Config of the data set.

    Raises:
        UserError: If its annotations are not JSON, or not in the format of its class.

    >>> config = dict(type='CocoDataset', ann_file='labeled.json')
    >>> dataset = build_labeled(config)  # doctest: +ELLIPSIS
    loading annotations into memory...
    Done (t=...s)
    creating index...
    index created!
    >>> len(dataset)
    2
    """
    try:
        # A tool that runs no stage has no scope yet, in which members are looked up.
        scope = DefaultScope.get_current_instance()
        with DefaultScope.overwrite_default_scope(None if scope else 'mmpose'):
            return DATASETS.build(_unserialized(config))
    except JSONDecodeError as error:
        raise DataError(
            f'the annotations {config.get("ann_file")} are not valid JSON: {error}'
        ) from error
    except UserError:
        raise
    # Every class reads annotations in its own way, and checks them in its own.
    except BUILD_ERRORS as error:
        files = [f'{part["type"]} {part.get("ann_file")}' for part in listed(config)]
        reason = f'{type(error).__name__}: {error}'
        raise DataError(
            f'the data set of {" and ".join(files)} cannot be built: {reason}'
        ) from error


def count_labeled(dataset: Any) -> LabeledCounts:
    """Count instances and images of a labeled data set.

    Instances are the samples of the data set itself, so instances that its own filter
    drops (crowds, those without keypoints) do not count; where a sample is a whole
    image they are the same ones, and so are the counts. Of a set of several each
    member counts as often as training sees it: with a `sample_ratio_factor` of 0.5, or
    repeated twice, half or twice its instances and its images, so that the mean is that
    of the samples that are trained on. Images belong to their member, whatever ids the
    others have. Visible keypoints are those of the whole.

    Args:
        dataset: A data set of MMPose, of one sample per instance or image, or several
            in a `CombinedDataset`, `ConcatDataset` or `RepeatDataset`.

    Raises:
        UserError: If it or a member has no instance, or a member has other keypoints.

    >>> counts = count_labeled(dataset)
    >>> counts.images, counts.instances, counts.mean('all')
    (2, 2, 1.0)
    """
    return join_counts(count_members(dataset))


def count_members(dataset: Any) -> list[LabeledCounts]:
    """Count each member of a labeled set, see `count_labeled`.

    Args:
        dataset: The data set.

    Raises:
        UserError: If a member has no instance or other keypoints.

    >>> from mmengine.dataset import ConcatDataset
    >>> [counts.instances for counts in count_members(ConcatDataset([dataset] * 2))]
    [2, 2]
    """
    members = members_of(dataset)
    if not members:
        raise DataError(
            'the labeled set has no member that training sees: every '
            'sample_ratio_factor is 0'
        )
    whole = None if members[0].dataset is dataset else dataset
    return [_count(member, whole) for member in members]


def log_members(dataset: Any) -> LabeledCounts:
    """Count a labeled set, and log the counts of its members where it has several.

    Args:
        dataset: The data set.

    Raises:
        UserError: If a member has no instance or other keypoints.

    >>> log_members(dataset).instances
    2
    """
    counts = count_members(dataset)
    if len(counts) > 1:
        pairs = zip(members_of(dataset), counts, strict=True)
        listed = [
            f'{member.name} with {each.instances} instances on {each.images} images'
            for member, each in pairs
        ]
        print_log(
            f'the labeled set is made of {len(counts)} data sets, each counted as '
            f'often as training sees it: {"; ".join(listed)}',
            logger='current',
        )
    return join_counts(counts)


def join_counts(counts: Sequence[LabeledCounts]) -> LabeledCounts:
    """Sum the counts of several sets.

    Args:
        counts: Counts of each set, at least one, with the same keypoints.

    >>> counts = join_counts([labeled, labeled])
    >>> counts.images, counts.instances, counts.categories
    (4, 4, ((1, 4),))
    """
    if len(counts) == 1:
        return counts[0]
    categories: Counter[int] = Counter()
    for one in counts:
        categories.update(dict(one.categories))
    keypoints = [one.keypoints for one in counts]
    return LabeledCounts(
        images=sum(one.images for one in counts),
        annotated_images=sum(one.annotated_images for one in counts),
        instances=sum(one.instances for one in counts),
        fingerprint=_digest([one.fingerprint for one in counts]),
        categories=tuple(sorted(categories.items())),
        keypoints=tuple(map(sum, zip(*keypoints, strict=True))),
    )


@dataclass(frozen=True)
class LabeledStatistics:
    """Statistics of a labeled set: `N` instances of `K` keypoints on `J` images.

    Attributes:
        per_image: Instances of each image, (J,).
        visible: Mask of the annotated keypoints of each instance, (N, K), bool.

    >>> LabeledStatistics(np.array([2, 0]), np.ones((2, 17), dtype=bool)).visible.shape
    (2, 17)
    """

    per_image: np.ndarray
    visible: np.ndarray


def labeled_statistics(dataset: Any, num_images: int) -> LabeledStatistics:
    """Count instances of each image and keypoints of each instance.

    Of a set of several each member counts as often as training sees it.

    Args:
        dataset: A labeled data set of MMPose, of one sample an instance or image, or
            several in one.
        num_images: Number of its images, with those without an instance.

    Raises:
        UserError: If its keypoints cannot be converted, or a member has others.

    >>> statistics = labeled_statistics(dataset, num_images=3)
    >>> statistics.per_image.tolist(), statistics.visible.shape
    ([1, 1, 0], (2, 17))
    """
    per_image, visible = [], []
    for member in members_of(dataset):
        instances = instances_of(member)
        _, counts = np.unique(instances.image_ids, return_counts=True)
        per_image.append(_as_seen(np.sort(counts), member))
        visible.append(_as_seen(instances.visible, member))
    counts = np.concatenate(per_image)
    bare = np.zeros(max(num_images - len(counts), 0), dtype=counts.dtype)
    return LabeledStatistics(
        per_image=np.concatenate([counts, bare]), visible=np.concatenate(visible)
    )


def _count(member: Member, whole: Any) -> LabeledCounts:
    """Count one member; `whole` is the set that it belongs to, if any."""
    instances = instances_of(member)
    if whole is not None:
        check_keypoints(whole, member, instances)
    annotated = len(np.unique(instances.image_ids))
    categories, category_counts = np.unique(instances.category_ids, return_counts=True)
    fingerprint = _fingerprint(instances)
    times = member.times
    return LabeledCounts(
        images=times(max(_listed_images(member.dataset), annotated)),
        annotated_images=times(annotated),
        instances=times(len(instances)),
        fingerprint=fingerprint
        if member.factor == 1
        else _digest([fingerprint, member.factor]),
        categories=tuple(
            (category, times(count))
            for category, count in zip(
                categories.tolist(), category_counts.tolist(), strict=True
            )
        ),
        keypoints=tuple(map(times, instances.visible.sum(axis=0).tolist())),
    )


def _fingerprint(instances: Instances) -> str:
    """Hash over images and instances, independent of their order."""
    numbers = (instances.image_ids, instances.ids, instances.category_ids)
    keys = np.column_stack([*numbers, instances.visible.astype(np.int64)])
    # The last key sorts first.
    keys = keys[np.lexsort(keys.T[::-1])]
    return hashlib.sha256(keys.tobytes()).hexdigest()


def _digest(values: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def _listed_images(dataset: Any) -> int:
    """Number of images in the annotation file, with those without instances."""
    content = load(dataset.ann_file)
    return len(content.get('images', ())) if isinstance(content, dict) else 0


def _unserialized(config: Mapping[str, Any]) -> dict[str, Any]:
    """Change a data set's config so that all members keep their samples as a list."""
    if 'dataset' in config:
        return {**config, 'dataset': _unserialized(config['dataset'])}
    if 'datasets' in config:
        return {**config, 'datasets': [*map(_unserialized, config['datasets'])]}
    return {**config, 'serialize_data': False}


def _as_seen(rows: np.ndarray, member: Member) -> np.ndarray:
    """Resample the rows of a member evenly to the number that training sees."""
    indices = (np.arange(member.times(len(rows))) + 0.5) / member.factor
    return rows[np.minimum(indices.astype(int), len(rows) - 1)]
