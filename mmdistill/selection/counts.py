"""Counts of both sets: what count matching compares.

Counting a labeled set the way training sees it.

The labeled set as training sees it, to stand beside the labels.
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
from mmdistill.errors import UserError
from mmdistill.utils.dataset_members import (
    Instances,
    Member,
    check_keypoints,
    instances_of,
    members_of,
)


@dataclass(frozen=True)
class LabeledCounts:
    """How many instances the labeled set has, as training sees it.

    Attributes:
        images: All images of the set.
        annotated_images: Images with at least one instance that is trained on.
        instances: Instances that are trained on.
        fingerprint: Names the set: a hash over its images and instances.
        categories: Category and number of instances, by category.
        keypoints: Instances that have each keypoint visible, (K,).
    """

    images: int
    annotated_images: int
    instances: int
    fingerprint: str
    categories: tuple[tuple[int, int], ...] = ()
    keypoints: tuple[int, ...] = ()

    def mean(self, over: str, category_id: int | None = None) -> float:
        """Instances per image.

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
    """What a selection does to the candidates.

    Attributes:
        images: Images that could be read.
        failed: Images that could not.
        candidates: Candidates on them.
        kept: Candidates that are kept.
        kept_keypoints: Visible keypoints of those.
        dropped_keypoints: Their other keypoints: visibility 0.
        emptied: Images with candidates of which none is kept.
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
    """What a selection does to one source's candidates of one category.

    Attributes:
        source: The source.
        category_id: The category; None where all are one.
        score_thr: The threshold that holds here; None when nothing is kept.
        images: Images of the source that could be read.
        candidates: Candidates.
        kept: Candidates that are kept.
        kept_keypoints: Visible keypoints of those.
        dropped_keypoints: Their other keypoints.
        labeled_mean: Instances per labeled image that they were compared with.
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


def build_labeled(config: Mapping[str, Any]) -> Any:
    """Build a labeled data set to be counted.

    MMEngine cannot serialise a set without samples and stops with an error of
    numpy's. Left as a list it is built, and can be refused with a sentence.

    Args:
        config: Config of the data set.

    Raises:
        UserError: If its annotations are no JSON, or not what its class reads.
    """
    try:
        # A tool that runs no stage has no scope yet, in which members are looked up.
        scope = DefaultScope.get_current_instance()
        with DefaultScope.overwrite_default_scope(None if scope else 'mmpose'):
            return DATASETS.build(_unserialized(config))
    except JSONDecodeError as error:
        raise UserError(
            f'the annotations {config.get("ann_file")} are not valid JSON: {error}'
        ) from error
    except UserError:
        raise
    # Every class reads annotations in its own way, and checks them in its own.
    except BUILD_ERRORS as error:
        files = [f'{part["type"]} {part.get("ann_file")}' for part in listed(config)]
        reason = f'{type(error).__name__}: {error}'
        raise UserError(
            f'the data set of {" and ".join(files)} cannot be built: {reason}'
        ) from error


def count_labeled(dataset: Any) -> LabeledCounts:
    """Count instances and images of a labeled top-down data set.

    Instances are the samples of the data set itself, so whatever its own filter
    drops (crowds, instances without keypoints) does not count here either. Of a set
    made of several each member counts as often as training sees it: with a
    `sample_ratio_factor` of 0.5, or repeated twice, half or twice its instances and
    its images, so that the mean is that of the samples that are trained on. Images
    belong to their member, whatever ids the others have. Visible keypoints are those
    of the whole.

    Args:
        dataset: A data set of MMPose, of one sample per instance, or several such in
            a `CombinedDataset`, `ConcatDataset` or `RepeatDataset`.

    Raises:
        UserError: If it or a member has no instance, or a member has other keypoints.
    """
    return join_counts(count_members(dataset))


def count_members(dataset: Any) -> list[LabeledCounts]:
    """The counts of each member of a labeled set, see `count_labeled`.

    Args:
        dataset: The data set.

    Raises:
        UserError: If a member has no instance or other keypoints.
    """
    members = members_of(dataset)
    if not members:
        raise UserError(
            'the labeled set has no member that training sees: every '
            'sample_ratio_factor is 0'
        )
    whole = None if members[0].dataset is dataset else dataset
    return [_count(member, whole) for member in members]


def log_members(dataset: Any) -> LabeledCounts:
    """Count a labeled set, and say in the log what each of several members counts.

    Args:
        dataset: The data set.

    Raises:
        UserError: If a member has no instance or other keypoints.
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
    """The counts of several sets together.

    Args:
        counts: Those of each, at least one, with the same keypoints.
    """
    if len(counts) == 1:
        return counts[0]
    categories: Counter[int] = Counter()
    for each in counts:
        categories.update(dict(each.categories))
    keypoints = [each.keypoints for each in counts]
    return LabeledCounts(
        images=sum(each.images for each in counts),
        annotated_images=sum(each.annotated_images for each in counts),
        instances=sum(each.instances for each in counts),
        fingerprint=_digest([each.fingerprint for each in counts]),
        categories=tuple(sorted(categories.items())),
        keypoints=tuple(map(sum, zip(*keypoints, strict=True))),
    )


def _count(member: Member, whole: Any) -> LabeledCounts:
    dataset = member.dataset
    if len(dataset) == 0:
        raise UserError(
            f'the labeled set {dataset.ann_file} has no instance that would be '
            'trained on, so there is no count to match'
        )
    found = instances_of(member)
    if whole is not None:
        check_keypoints(whole, member, found)
    annotated = len(np.unique(found.image_ids))
    categories, instances = np.unique(found.category_ids, return_counts=True)
    fingerprint = _fingerprint(found)
    times = member.times
    return LabeledCounts(
        images=times(max(_listed_images(dataset), annotated)),
        annotated_images=times(annotated),
        instances=times(len(found)),
        fingerprint=fingerprint
        if member.factor == 1
        else _digest([fingerprint, member.factor]),
        categories=tuple(
            (category, times(count))
            for category, count in zip(
                categories.tolist(), instances.tolist(), strict=True
            )
        ),
        keypoints=tuple(map(times, found.visible.sum(axis=0).tolist())),
    )


def _fingerprint(found: Instances) -> str:
    """A hash over images and instances, whatever order they come in."""
    numbers = (found.image_ids, found.ids, found.category_ids)
    keys = np.column_stack([*numbers, found.visible.astype(np.int64)])
    # The last key sorts first.
    keys = keys[np.lexsort(keys.T[::-1])]
    return hashlib.sha256(keys.tobytes()).hexdigest()


def _digest(parts: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _listed_images(dataset: Any) -> int:
    """Images that the annotation file lists, those without instances included."""
    content = load(dataset.ann_file)
    return len(content.get('images', ())) if isinstance(content, dict) else 0


def _unserialized(config: Mapping[str, Any]) -> dict[str, Any]:
    """A data set's config whose members keep their samples as a list."""
    if 'dataset' in config:
        return {**config, 'dataset': _unserialized(config['dataset'])}
    if 'datasets' in config:
        return {**config, 'datasets': [*map(_unserialized, config['datasets'])]}
    return {**config, 'serialize_data': False}


@dataclass(frozen=True)
class LabeledStatistics:
    """`N` instances of `K` keypoints on `J` images.

    Attributes:
        per_image: Instances of each image, (J,).
        visible: Which keypoints of an instance are annotated, (N, K), bool.
    """

    per_image: np.ndarray
    visible: np.ndarray


def labeled_statistics(dataset: Any, num_images: int) -> LabeledStatistics:
    """Count instances of each image and keypoints of each instance.

    Of a set made of several each member counts as often as training sees it.

    Args:
        dataset: A labeled data set of MMPose, of one sample an instance, or several
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
    return LabeledStatistics(
        per_image=np.concatenate([counts, bare]), visible=np.concatenate(visible)
    )


def _as_seen(rows: np.ndarray, member: Member) -> np.ndarray:
    """Rows of a member, as many as training sees of it, evenly taken or repeated."""
    places = (np.arange(member.times(len(rows))) + 0.5) / member.factor
    return rows[np.minimum(places.astype(int), len(rows) - 1)]
