"""The config of stage 2: training on the labeled set beside the pseudo-labels.

A student's training that can be stopped and resumed, and what its log reports.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from mmdistill.config.datasets import (
    end_pipeline,
    end_pipelines,
    gives_images,
    has_pseudo,
    is_pseudo,
    labeled_part,
    members_of,
    sources_of,
    unparsed_metainfo,
)
from mmdistill.config.detectors import distills_boxes
from mmdistill.config.loops import check_loaders
from mmdistill.config.loss_power import with_loss_power
from mmdistill.config.mixed_loader import (
    BATCHES,
    SAMPLER,
    batch_settings,
    mixed_loader,
)
from mmdistill.config.recipe import Recipe
from mmdistill.config.schema import MixingConfig, dicts_within, is_type, stated
from mmdistill.config.weight_options import WeightsConfig
from mmdistill.datasets.seeded_dataset import last_pipelines
from mmdistill.engine.hooks.count_matching_hook import NOT_FOR_TRAINING
from mmdistill.engine.initial_weights import initial_weights
from mmdistill.errors import ConfigError
from mmdistill.functional.mixing import balanced_slots, labeled_slots, source_slots
from mmdistill.stages.box_students import (
    ignore_regions,
    pseudo_boxes,
    without_aspect_ratios,
)
from mmdistill.stages.finish import check_finish
from mmdistill.stages.image_students import fit_image_sources
from mmdistill.stages.label_config import check_models
from mmdistill.stages.pipeline_switch import switch_all_sources, switch_modes


def student_config(recipe: Recipe) -> Config:
    """The config of stage 2: a plain training config, also for MMPose's own tools.

    A config that trains on a labeled set alone gets the pseudo-labels beside it: the
    labeled set's own pipeline and keypoints, every batch with its labeled share,
    and the `LabelMixHook` that checks the selection. One that states a
    `PseudoLabelDataset` itself stays as it is.

    Args:
        recipe: The recipe.

    Raises:
        UserError: If the config trains on other pseudo-labels than it makes, on
            something else than one labeled set, states its mix twice, has batches
            without room for both kinds, a hook that is for labeling, a finish that its
            training cannot have, or a model that cannot train with the weights stated.
    """
    check_models(recipe)
    boxes = distills_boxes(recipe)
    store, mixing = recipe.distill.store, recipe.distill.mixing
    config = copy.deepcopy(recipe.config)
    check_loaders(config)
    loader = config.get('train_dataloader') or {}
    if not loader.get('dataset'):
        raise ConfigError(
            f'{config.filename} has no train_dataloader with a dataset, so there is no '
            'student to train; its labels are made by tools/label.py'
        )
    if states_mix(config):
        _check_not_stated_twice(mixing)
        switch_modes(config)
    else:
        loader = without_aspect_ratios(loader) if boxes else loader
        loader = mixed_loader(loader, batch_settings(mixing))
        loader['dataset'] = _mixed(loader['dataset'], store, mixing, boxes)
        config.train_dataloader = loader
        loader = config.train_dataloader
        switch_all_sources(config)
        config.custom_hooks = _hooks(config)
    if mixing.ignore_rejected:
        _check_ignores(boxes, loader['dataset'])
        if boxes:
            ignore_regions(config.model)
    _state_weights(loader['dataset'], recipe.distill.weights)
    fit_image_sources(config)
    _check_hooks(config)
    _check_trained_store(config, store)
    _check_slots(loader)
    if recipe.distill.finish is not None:
        check_finish(config, recipe.distill.finish)
    return with_loss_power(config)


def states_mix(config: Config) -> bool:
    """Whether a training config puts pseudo-labels beside its labeled set itself.

    Args:
        config: A training config with a data set.
    """
    return has_pseudo(config.train_dataloader.dataset)


def _state_weights(dataset: Any, weights: WeightsConfig | None) -> None:
    """Give `distill.weights` to all pseudo-labels that state none themselves."""
    if weights is not None:
        for source in filter(is_pseudo, dicts_within(dataset)):
            if is_type(source, 'PseudoImageDataset'):
                raise ConfigError(
                    'distill.weights is for students of single instances: those of '
                    f'whole images weight no keypoint, got {weights}; leave it out'
                )
            source.setdefault('weights', weights.arguments)


def _check_not_stated_twice(mixing: MixingConfig) -> None:
    for key, value in stated(mixing).items():
        owner = 'batch_sampler' if key in BATCHES else 'PseudoLabelDataset'
        raise ConfigError(
            f'distill.mixing.{key} is for a config that does not state its mix, got '
            f'{value!r}; give it to the {owner} of train_dataloader'
        )


def _check_ignores(boxes: bool, dataset: Any) -> None:
    if not boxes and not gives_images(labeled_part(dataset)):
        raise ConfigError(
            'distill.mixing.ignore_rejected is for detectors and students of whole '
            'images, whose losses can ignore regions, and this student sees crops; '
            'leave it out'
        )


def _check_hooks(config: Config) -> None:
    """Refuse before the labels are made what `CountMatchingHook` refuses after."""
    hooks = config.get('custom_hooks') or []
    if any(is_type(hook, 'CountMatchingHook') for hook in hooks):
        raise ConfigError(NOT_FOR_TRAINING)


def _check_trained_store(config: Config, store: str) -> None:
    """Make sure that training reads the store that labeling writes."""
    sources = filter(is_pseudo, members_of(config.train_dataloader.dataset))
    trained = [str(source.get('store')) for source in sources]
    if store not in trained:
        raise ConfigError(
            f'training must read the label store {store} of distill.store, its '
            f'PseudoLabelDatasets read {trained}'
        )


def _check_slots(loader: Mapping[str, Any]) -> None:
    """Refuse now what the sampler would refuse once the labels are made."""
    batches = loader.get('batch_sampler') or {}
    if not is_type(batches, SAMPLER):
        return
    size, ratio = loader.get('batch_size', 0), batches.get('source_ratio')
    try:
        if ratio is None:
            share = batches.get('labeled_share')
            if share is None:
                balanced_slots(size, num_labeled=1, num_pseudo=1)
            else:
                labeled_slots(size, share)
            return
        sources = sources_of(loader['dataset'])
        if len(ratio) != len(sources):
            raise ConfigError(
                f'source_ratio needs a part for each of the {len(sources)} sources, '
                f'the labeled set and the pseudo-labels, got {list(ratio)}'
            )
        labeled = [i for i, each in enumerate(sources) if not has_pseudo(each)]
        source_slots(size, ratio, labeled)
    except ValueError as error:
        raise ConfigError(f'train_dataloader: {error}') from error


def _mixed(
    dataset: Any, store: str, mixing: MixingConfig, boxes: bool
) -> dict[str, Any]:
    """The labeled set, whole, and the pseudo-labels, seen as its samples are."""
    labeled = labeled_part(dataset)
    pipelines = list(end_pipelines(labeled))
    if any(pipeline != pipelines[0] for pipeline in pipelines):
        print_log(
            f'the labeled set of {len(pipelines)} data sets has several pipelines; '
            'pseudo-labels are seen through that of the first',
            logger='current',
        )
    if boxes:
        pseudo = pseudo_boxes(labeled, store, mixing)
    else:
        kind = 'PseudoImageDataset' if gives_images(labeled) else 'PseudoLabelDataset'
        pseudo = dict(
            type=f'mmdistill.{kind}',
            store=store,
            metainfo=unparsed_metainfo(labeled),
            pipeline=end_pipeline(labeled),
            **{k: v for k, v in stated(mixing).items() if k not in BATCHES},
        )
    return dict(type='ConcatDataset', ignore_keys='CLASSES', datasets=[labeled, pseudo])


def _hooks(config: Config) -> list[dict[str, Any]]:
    """The config's hooks, and the check of the selection."""
    hooks = [dict(hook) for hook in config.get('custom_hooks') or []]
    if not any(is_type(hook, 'LabelMixHook') for hook in hooks):
        hooks.append(dict(type='mmdistill.LabelMixHook'))
    return hooks


LOG_HOOK = 'mmdistill.StudentLogHook'
UNSEEDED = {
    'BatchSyncRandomResize': 'input sizes, which the training process draws',
    'CachedMosaic': 'images to mix, which each worker remembers',
    'CachedMixUp': 'images to mix, which each worker remembers',
}
"""Parts of the hosts that the seed of a sample does not repeat, and what they draw."""


def resumable_config(config: Config) -> Config:
    """The config of a training that can be stopped and resumed exactly.

    The host's loops make way for those that know where a resumed training stands,
    the data set is wrapped so that each sample depends on its draw alone, and loss
    and accuracy of both kinds of samples are logged. What the config states itself
    stays. Of a config without a `MixedRatioBatchSampler` all stays but what its losses
    need to know of weights.

    Args:
        config: A training config.

    Raises:
        UserError: If the model cannot train with the weights or the sigma stated for
            pseudo-labels.
    """
    config = with_loss_power(config)
    loader = config.get('train_dataloader') or {}
    batches = loader.get('batch_sampler') or {}
    if not is_type(batches, 'MixedRatioBatchSampler'):
        return config
    config = copy.deepcopy(config)
    loop, loader = config.train_cfg, config.train_dataloader
    by_epoch = loop.get('by_epoch', True)
    if is_type(loop, 'EpochBasedTrainLoop') or ('type' not in loop and by_epoch):
        loop.type = 'mmdistill.ResumableEpochLoop'
    elif is_type(loop, 'IterBasedTrainLoop') or 'type' not in loop:
        loop.type = 'mmdistill.ResumableIterLoop'
    loop.pop('by_epoch', None)
    if not is_type(loader.dataset, 'SeededDataset'):
        loader.dataset = dict(type='mmdistill.SeededDataset', dataset=loader.dataset)
    _state_last_step(loader.dataset)
    _log_unseeded(config)
    hooks = config.get('custom_hooks') or []
    if not any(is_type(hook, 'StudentLogHook') for hook in hooks):
        config.custom_hooks = [*hooks, dict(type=LOG_HOOK)]
    return config


def _log_unseeded(config: Config) -> None:
    """Say what a resumed training draws anew."""
    parts = (config.get('model'), config.train_dataloader, config.get('custom_hooks'))
    steps = [step for part in parts for step in dicts_within(part)]
    for name, drawn in UNSEEDED.items():
        if any(is_type(step, name) for step in steps):
            print_log(
                f'a training that is resumed sees the samples of one that was never '
                f'stopped, but other {drawn}: those of {name} are not repeated',
                logger='current',
            )


def _state_last_step(dataset: Any) -> None:
    """Give a `SeededDataset` the pipeline that MMPose's `browse_dataset.py` sets."""
    if 'pipeline' not in dataset:
        for owner in last_pipelines(dataset['dataset']):
            dataset['pipeline'] = [dict(type=owner['pipeline'][-1]['type'])]
            return


def log_initial_weights(recipe: Recipe) -> None:
    """Say in the log which weights the student starts from.

    The paper's student starts from the backbone's own pretrained weights. Another
    start is chosen by `load_from`, as in any config of MMPose.

    Args:
        recipe: The recipe.
    """
    config, checkpoint = recipe.config, recipe.config.get('load_from')
    teachers = [teacher.checkpoint for teacher in recipe.distill.teachers]
    weights = initial_weights(Config(dict(model=config.get('model'))))
    pretrained = [each.checkpoint for each in weights]
    level = logging.INFO
    if config.get('resume'):
        text = 'the student continues where its own training stood, if it has begun'
    elif checkpoint and any(_same_file(checkpoint, each) for each in teachers):
        text = f'the student starts from the teacher {checkpoint}, not as in the paper'
    elif checkpoint:
        text = f'the student starts from {checkpoint}'
    elif pretrained:
        text = f'the student starts from pretrained weights: {", ".join(pretrained)}'
    else:
        level = logging.WARNING
        text = (
            'the student starts from random weights, unless its modules load some by '
            'themselves: no init_cfg names a checkpoint'
        )
    print_log(text, logger='current', level=level)


def _same_file(one: str, other: str | None) -> bool:
    if other is None or '://' in one or '://' in other:
        return one == other
    return Path(one).resolve() == Path(other).resolve()
