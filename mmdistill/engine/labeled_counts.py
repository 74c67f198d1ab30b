"""Counting a labelled set the way training sees it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from json import JSONDecodeError
from typing import Any

import numpy as np
from mmengine.fileio import load
from mmengine.logging import print_log
from mmengine.registry import DefaultScope
from mmpose.registry import DATASETS

from mmdistill.dataset_configs import members_of as listed
from mmdistill.dataset_members import (
    Instances,
    Member,
    check_keypoints,
    instances_of,
    members_of,
)
from mmdistill.errors import UserError
from mmdistill.labels.counts import LabeledCounts

BUILD_ERRORS = (
    *(AssertionError, AttributeError, IndexError, KeyError, OSError),
    *(TypeError, ValueError, ImportError),
)


def build_labeled(config: Mapping[str, Any]) -> Any:
    """Build a labelled data set to be counted.

    MMEngine can not serialise a set without samples and stops with an error of
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
            f'the data set of {" and ".join(files)} can not be built: {reason}'
        ) from error


def count_labeled(dataset: Any) -> LabeledCounts:
    """Count instances and images of a labelled top-down data set.

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
    """The counts of each member of a labelled set, see `count_labeled`.

    Args:
        dataset: The data set.

    Raises:
        UserError: If a member has no instance or other keypoints.
    """
    members = members_of(dataset)
    if not members:
        raise UserError(
            'the labelled set has no member that training sees: every '
            'sample_ratio_factor is 0'
        )
    whole = None if members[0].dataset is dataset else dataset
    return [_count(member, whole) for member in members]


def log_members(dataset: Any) -> LabeledCounts:
    """Count a labelled set, and say in the log what each of several members counts.

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
            f'the labelled set is made of {len(counts)} data sets, each counted as '
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
            f'the labelled set {dataset.ann_file} has no instance that would be '
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
