"""Members of built data sets, and their instances as training sees them.

A `CombinedDataset`, a concatenation or a repetition has no annotations of its own.
Its members have; ids of images and instances are unique within one member only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, Protocol, runtime_checkable

import numpy as np
from mmengine.dataset import BaseDataset, ConcatDataset, RepeatDataset
from mmpose.datasets import CombinedDataset
from mmpose.datasets.datasets.base import BaseCocoStyleDataset
from mmpose.datasets.transforms import KeypointConverter, SingleHandConverter

from mmdistill.errors import DataError

ROWS = 4096
"""Number of instances that are converted at once."""
OF_EACH = (
    *('bbox', 'bbox_score', 'keypoints', 'keypoints_visible', 'area'),
    *('iscrowd', 'num_keypoints', 'id', 'category_id', 'hand_type'),
)
"""Keys of a sample of a whole image that have an entry for each of its instances."""


INSTANCES = 'instances'
"""Key of the boxes in a sample of MMDetection."""


@runtime_checkable
class Concatenation(Protocol):
    """A data set of several side by side, as the host's concatenated or combined one.

    Attributes:
        datasets: The data sets.
    """

    datasets: Sequence[Any]


@runtime_checkable
class Wrapper(Protocol):
    """A data set around another one, as the host's `RepeatDataset`.

    Attributes:
        dataset: The other one.
    """

    dataset: Any


@runtime_checkable
class AnnotatedDataset(Protocol):
    """A data set with an annotation file of its own, as all of MMPose's.

    Attributes:
        ann_file: The file.
    """

    ann_file: str


@runtime_checkable
class NumberedCategories(Protocol):
    """A data set of MMDetection whose categories have ids, as COCO's.

    Attributes:
        cat_ids: Id of each class, in the order of the classes.
    """

    cat_ids: Sequence[int]


@dataclass(frozen=True)
class Member:
    """Data set with annotations of its own, alone or inside of another.

    Attributes:
        dataset: The data set, of one sample an instance or an image.
        converters: Converters of its keypoints to those of the whole, in this order.
        factor: Number of times that training sees each of its samples in one pass; 1
            unless it is repeated or resampled.
    """

    dataset: Any
    converters: tuple[Any, ...] = ()
    factor: float = 1.0

    @property
    def name(self) -> str:
        """Class and annotation file, for messages."""
        return f'{type(self.dataset).__name__} {self.dataset.ann_file}'

    def times(self, count: int) -> int:
        """Scale a number of samples or images to those that training sees in one pass.

        Args:
            count: Number of samples or images of the data set.
        """
        return round(count * self.factor)


@dataclass(frozen=True)
class Instances:
    """Instances of a member (`N`), with the keypoints of the whole (`K`).

    Attributes:
        image_ids: Image of each, unique within the member, (N,).
        ids: Id of each, (N,).
        category_ids: Category of each, 1 where the set has none, (N,).
        visible: Mask of the annotated keypoints, (N, K), bool.
    """

    image_ids: np.ndarray
    ids: np.ndarray
    category_ids: np.ndarray
    visible: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)


def concatenated(dataset: Any) -> Sequence[Any]:
    """The data sets that a data set concatenates, or itself where it is a single one.

    Args:
        dataset: A data set that was built.
    """
    return dataset.datasets if isinstance(dataset, Concatenation) else [dataset]


def members_of(dataset: Any) -> list[Member]:
    """List the members of a data set, in their order.

    Members that training never sees are left out.

    Args:
        dataset: A built data set; one that does not combine others is its only
            member.
    """
    return [member for member in _members(dataset, (), 1.0) if member.factor > 0]


def is_countable(dataset: Any) -> bool:
    """Whether all members of a data set have an annotation file to count.

    Args:
        dataset: A built data set.
    """
    return all(
        isinstance(each.dataset, AnnotatedDataset) for each in members_of(dataset)
    )


def instances_of(member: Member) -> Instances:
    """Collect the instances of a member as training sees them.

    Those of a set whose samples are whole images, `data_mode='bottomup'`, are the ones
    that it would have with a sample for each.

    Args:
        member: A member.

    Raises:
        UserError: If it has no instance, its keypoints cannot be converted, or their
            number differs from that of the whole.
    """
    dataset = member.dataset
    if len(dataset) and INSTANCES in dataset.get_data_info(0):
        return _box_instances(member)
    infos = map(_reader(dataset), range(len(dataset)))
    rows = [*map(_row, chain.from_iterable(map(single_instances, infos)))]
    if not rows:
        raise DataError(
            f'the labeled set {dataset.ann_file} has no instance that would be '
            'trained on, so there is no count to match'
        )
    numbers, visible, hands = zip(*rows, strict=True)
    shown = np.stack(visible)
    for converter in member.converters:
        shown = _converted(member, converter, shown, hands)
    image_ids, ids, categories = np.array(numbers, dtype=np.int64).T
    return Instances(image_ids, ids, categories, shown)


def single_instances(info: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Iterate over the instances of a sample that train.

    Args:
        info: Annotation of a sample: of one instance, which is yielded as it is, or of
            a whole image, whose instances of crowds, without keypoints and without
            extent are left out as the host leaves them out one by one.
    """
    if not isinstance(info.get('id'), list):
        yield info
        return
    rest = {key: value for key, value in info.items() if key not in OF_EACH}
    for number in range(len(info['id'])):
        one = {
            key: _entry(info[key], number)
            for key in OF_EACH
            if info.get(key) is not None
        }
        if BaseCocoStyleDataset._is_valid_instance(one):
            yield {**rest, **one}


def check_keypoints(whole: Any, member: Member, instances: Instances) -> None:
    """Check that a member has the keypoints of the data set that contains it.

    Args:
        whole: The data set that contains it.
        member: The member.
        instances: Its instances.

    Raises:
        UserError: If it has another number of keypoints.
    """
    received = instances.visible.shape[1]
    # Boxes have none; their classes are compared by MMEngine.
    expected = whole.metainfo.get('num_keypoints', received)
    if expected != received:
        raise DataError(
            f'{member.name} gives {received} keypoints to a {type(whole).__name__} of '
            f'{expected}; its pipeline needs a KeypointConverter to those'
        )


def _members(dataset: Any, outer: tuple[Any, ...], factor: float) -> Iterator[Member]:
    # Converters of a member run before those of the whole.
    converters = (*_converters(dataset), *outer)
    if isinstance(dataset, CombinedDataset):
        for member, seen in zip(dataset.datasets, dataset.lens, strict=True):
            # An empty member has no share, but must not be overlooked.
            share = seen / len(member) if len(member) else 1.0
            yield from _members(member, converters, factor * share)
    elif isinstance(dataset, ConcatDataset):
        for member in dataset.datasets:
            yield from _members(member, converters, factor)
    elif isinstance(dataset, RepeatDataset):
        yield from _members(dataset.dataset, converters, factor * dataset.times)
    else:
        yield Member(dataset, converters, factor)


def _converters(dataset: Any) -> list[Any]:
    # Concatenations have no pipeline, and that of a set not of the host no steps.
    steps = getattr(getattr(dataset, 'pipeline', None), 'transforms', ())
    kinds = (KeypointConverter, SingleHandConverter)
    return [step for step in steps if isinstance(step, kinds)]


def _entry(values: Any, number: int) -> Any:
    """An instance's entry, with the leading dimension that a single one has."""
    if isinstance(values, np.ndarray) and values.ndim > 1:
        return values[number : number + 1]
    return values[number]


def _reader(dataset: Any) -> Callable[[int], Mapping[str, Any]]:
    """Function that reads an instance of a data set, without the metainfo.

    The host copies the metainfo into every instance, which takes most of the time.
    """
    host = BaseCocoStyleDataset.get_data_info
    if type(dataset).get_data_info is host:
        return partial(BaseDataset.get_data_info, dataset)
    return dataset.get_data_info


def _row(info: Mapping[str, Any]) -> tuple[list[int], np.ndarray, Any]:
    """Ids of image, instance and category, visible keypoints, and type of the hand."""
    shown = np.asarray(info['keypoints_visible'])
    # Some sets give a weight with each visibility.
    shown = shown[..., 0] if shown.ndim > 2 else shown
    ids = (info['img_id'], info['id'], info.get('category_id', 1))
    numbers = [_number(value) for value in ids]
    return numbers, shown.reshape(-1) > 0, info.get('hand_type')


def _box_instances(member: Member) -> Instances:
    """Instances of a data set of MMDetection, whose samples are images with boxes.

    What its losses ignore, as crowds, is left out. The id of a box is its position in
    its image. A category is the json's, or else its number among the classes, from 1.
    """
    dataset = member.dataset
    names = dataset.metainfo['classes']
    numbered = isinstance(dataset, NumberedCategories)
    numbers = dataset.cat_ids if numbered else range(1, len(names) + 1)
    rows = []
    for image in range(len(dataset)):
        info = dataset.get_data_info(image)
        # Ids of images may be texts, which are unique as their positions are.
        image_id = info['img_id'] if isinstance(info['img_id'], int) else image
        rows += [
            (image_id, position, numbers[box['bbox_label']])
            for position, box in enumerate(info[INSTANCES])
            if not box['ignore_flag']
        ]
    if not rows:
        raise DataError(
            f'the labeled set {dataset.ann_file} has no box that would be trained on, '
            'so there is no count to match'
        )
    image_ids, ids, categories = np.array(rows, dtype=np.int64).T
    return Instances(image_ids, ids, categories, np.zeros((len(rows), 0), dtype=bool))


def _number(value: Any) -> int:
    """Convert a number, or a list of one as MPII's categories are."""
    try:
        return int(value)
    except TypeError:
        return int(np.ravel(value)[0])


def _converted(
    member: Member, converter: Any, visible: np.ndarray, hands: Sequence[Any]
) -> np.ndarray:
    """Convert visibilities, (N, K), by a converter of MMPose, to (N, L)."""
    # A hand's type decides its mapping; all other instances are mapped alike.
    step = 1 if isinstance(converter, SingleHandConverter) else ROWS
    blocks = []
    for start in range(0, len(visible), step):
        rows = visible[start : start + step]
        results = dict(
            keypoints=np.zeros((*rows.shape, 2)),
            keypoints_visible=rows.astype(np.float32),
            hand_type=hands[start],
        )
        try:
            results = converter(results)
        except (AssertionError, IndexError, TypeError, ValueError) as error:
            raise DataError(
                f'the {type(converter).__name__} of {member.name} does not fit its '
                f'{visible.shape[1]} keypoints: {error}'
            ) from error
        blocks.append(results['keypoints_visible'][..., 0] > 0)
    return np.concatenate(blocks)
