"""Students that see whole images: bottom-up and one-stage ones.

What of theirs MMPose can train, how pseudo-labels are given to them, and what counts as
a sample: an image, while labels are instances for every student.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config

from mmdistill.config.datasets import end_pipelines, gives_images
from mmdistill.config.schema import dicts_within, is_type
from mmdistill.errors import ConfigError, DataError
from mmdistill.selection.counts import LabeledCounts
from mmdistill.selection.selection import read_selection
from mmdistill.selection.training_labels import read_training_labels
from mmdistill.stages.image_teachers import head_name
from mmdistill.store import LabelStore

UNTRAINED = {
    'AssociativeEmbeddingHead': 'the targets of its codec do not fit its loss',
    'EDPoseHead': 'its loss returns nothing',
}
"""Heads that MMPose 1.3 evaluates and cannot train, with the reason."""
INSTEAD = 'DEKR, CID, YOLOX-Pose and RTMO train'
IMAGES = 'PseudoImageDataset'
CODEC = 'YOLOXPoseAnnotationProcessor'
OWN_CODEC = 'PoseAnnotationProcessor'
"""Codec of heads that learn categories and visibilities, and ours in its place."""
GUARD = 'InstanceGuardHook'
MASK = 'mmdistill.MaskIgnored'
TARGET = 'GenerateTarget'
FILTER = 'FilterAnnotations'
"""Transform that removes instances without a visible keypoint."""
PIPELINES = ('pipeline', 'new_train_pipeline', 'switch_pipeline')
"""Keys of data sets and hooks that hold a pipeline."""
WARP, FLIP = 'BottomupRandomAffine', 'RandomFlip'


def check_student(config: Config) -> None:
    """Refuse a student that cannot be trained, by its config alone.

    Args:
        config: A training config; one without a model or a training set is fit.

    Raises:
        UserError: If MMPose cannot train its head, its samples are no images where it
            sees images, or instances where it sees crops, or its input is not square.
    """
    # The models of MMPose take seconds to import, which choosing labels need not.
    from mmdistill.models.adapters.build import check_estimator
    from mmdistill.models.finders.build import finds_instances

    model = config.get('model')
    dataset = (config.get('train_dataloader') or {}).get('dataset')
    if not model:
        return
    if not finds_instances(model):
        check_estimator(model)
        if dataset and gives_images(dataset):
            raise ConfigError(
                f'the student {head_name(model)} sees crops of instances, and the data '
                "set of train_dataloader has data_mode='bottomup', whole images; leave "
                'data_mode out'
            )
        return
    name = head_name(model)
    if name in UNTRAINED:
        raise ConfigError(
            f'{name} cannot be a student: MMPose cannot train it, {UNTRAINED[name]}; '
            f'{INSTEAD}'
        )
    if dataset and not gives_images(dataset):
        raise ConfigError(
            f'the student {name} sees whole images, and the data set of '
            "train_dataloader gives single instances; state data_mode='bottomup'"
        )
    for pipeline in _pipelines(config):
        _check_square(pipeline)


def check_categories(config: Config, labeled: LabeledCounts) -> None:
    """Refuse labeled categories that the student's codec cannot hold.

    Args:
        config: A training config.
        labeled: Counts of its labeled set.

    Raises:
        DataError: If one is not from 1 to the number of classes of its head.
    """
    if not _learns_categories(config):
        return
    last = _num_classes(config)
    others = [number for number, _ in labeled.categories if not 1 <= number <= last]
    if others:
        raise DataError(
            f'the codec of {head_name(config.model)} takes category i for class i - 1 '
            f'of {last}: categories of the labeled set must be from 1 to {last}, got '
            f'{others}; number them so, or train a head of more classes'
        )


def fit_image_sources(config: Config) -> None:
    """Let pseudo-labels of whole images teach what their student learns.

    Where the student learns visibilities, a keypoint that the teacher did not see is
    unknown; where it learns categories, those of the labels must be among its classes.
    Where rejected candidates are ignored, so are people without keypoints.

    Args:
        config: A training config; it is changed, unless it has no such pseudo-labels.
    """
    dataset = config.train_dataloader.dataset
    sources = [each for each in dicts_within(dataset) if is_type(each, IMAGES)]
    if any(source.get('ignore_rejected') for source in sources):
        _mask_ignored(config)
    if not sources or not _learns_categories(config):
        return
    for part in (dataset, config.get('custom_hooks') or []):
        for codec in dicts_within(part):
            if is_type(codec, CODEC):
                codec['type'] = f'mmdistill.{OWN_CODEC}'
    for source in sources:
        source.setdefault('visibility_weights', True)
        source.setdefault('num_classes', _num_classes(config))
    hooks = config.get('custom_hooks') or []
    if not any(is_type(hook, GUARD) for hook in hooks):
        config.custom_hooks = [*hooks, dict(type=f'mmdistill.{GUARD}')]


def _mask_ignored(config: Config) -> None:
    """Let all pipelines of a training make masks of whom its losses ignore."""
    for part in (config.train_dataloader.dataset, config.get('custom_hooks') or []):
        for owner in dicts_within(part):
            for key in PIPELINES:
                steps = owner.get(key)
                if steps and any(is_type(step, TARGET) for step in steps):
                    owner[key] = _masked(steps)


def _masked(pipeline: Sequence[Mapping[str, Any]]) -> list[Any]:
    """A pipeline that encodes, with the mask where its codec takes it."""
    steps = [dict(step) for step in pipeline]
    if any(is_type(step, 'MaskIgnored') for step in steps):
        return steps
    at = next(i for i, step in enumerate(steps) if is_type(step, TARGET))
    encoder = steps[at]['encoder']
    if not (is_type(encoder, CODEC) or is_type(encoder, OWN_CODEC)):
        packing = [i for i, step in enumerate(steps) if is_type(step, 'PackPoseInputs')]
        steps.insert(packing[0] if packing else len(steps), dict(type=MASK))
        return steps
    filters = [
        i
        for i, step in enumerate(steps[:at])
        if is_type(step, FILTER) and step.get('by_kpt', True)
    ]
    mask = dict(type=MASK, get_invalid=True)
    steps[at:at] = [] if filters else [dict(type=FILTER, keep_empty=False)]
    steps.insert(filters[0] if filters else at, mask)
    return steps


def selected_samples(config: Config, store: LabelStore) -> tuple[int, int]:
    """Count the labeled and the pseudo-labeled samples that a student will have.

    Args:
        config: Config of the student.
        store: The store, with its selection.

    Returns:
        Instances, or images where the student sees whole images.

    Raises:
        StoreError: If there is no selection.
    """
    selection = read_selection(store)
    if not has_image_samples(config):
        return selection.labeled.instances, selection.unlabeled.kept
    labels = read_training_labels(store, selection)
    return selection.labeled.annotated_images, len(labels.paths)


def has_image_samples(config: Config) -> bool:
    """Whether the pseudo-labeled samples of a training are whole images.

    Args:
        config: Config of a student.
    """
    dataset = config.train_dataloader.dataset
    return any(is_type(each, IMAGES) for each in dicts_within(dataset))


def _pipelines(config: Config) -> Iterator[Any]:
    """Pipelines of the training set, and those that a hook switches to."""
    dataset = (config.get('train_dataloader') or {}).get('dataset')
    if dataset:
        yield from end_pipelines(dataset)
    for hook in config.get('custom_hooks') or []:
        yield hook.get('new_train_pipeline') or hook.get('switch_pipeline') or ()


def _check_square(pipeline: Any) -> None:
    flips = any(is_type(step, FLIP) for step in pipeline)
    for step in pipeline:
        size = step.get('input_size')
        if flips and is_type(step, WARP) and size and size[0] != size[1]:
            raise ConfigError(
                f'the input of a student of whole images must be square, since {FLIP} '
                f'of MMPose takes its width for its height, got {tuple(size)} of {WARP}'
            )


def _learns_categories(config: Config) -> bool:
    """Whether the labels of a training are encoded by the codec of YOLOX-Pose."""
    dataset = (config.get('train_dataloader') or {}).get('dataset')
    return any(
        is_type(each, CODEC) or is_type(each, OWN_CODEC)
        for each in dicts_within(dataset)
    )


def _num_classes(config: Config) -> int:
    head = (config.get('model') or {}).get('head') or {}
    return int(head.get('num_classes', 1))
