"""The config of stage 2: training on the labelled set beside the pseudo-labels."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from mmdistill.config_types import is_type
from mmdistill.dataset_configs import (
    end_pipeline,
    end_pipelines,
    has_pseudo,
    is_pseudo,
    labeled_part,
    sources_of,
    unparsed_metainfo,
)
from mmdistill.distill_section import distill_section
from mmdistill.errors import UserError
from mmdistill.functional.mixing import labeled_slots, source_slots
from mmdistill.loader_configs import check_loaders
from mmdistill.mixing_configs import (
    BATCHES,
    LABELED_SHARE,
    SAMPLER,
    batch_settings,
    mixed_loader,
)
from mmdistill.stage_configs import check_models

SWITCH_HOOK = 'SourcePipelineSwitchHook'


def student_config(config: Config) -> Config:
    """The config of stage 2: a plain training config, also for MMPose's own tools.

    A config that trains on a labelled set alone gets the pseudo-labels beside it: the
    labelled set's own pipeline and keypoints, every batch with its labelled share,
    and the hook that checks the selection. One that states a `PseudoLabelDataset`
    itself stays as it is.

    Args:
        config: A config with a `distill` section.

    Raises:
        UserError: If the config trains on other pseudo-labels than it makes, on
            something else than one labelled set, states its mix twice, or has batches
            without room for both kinds.
    """
    section = distill_section(config)
    check_models(config)
    labels, mixing = str(section['labels']), dict(section.get('mixing', {}))
    config = copy.deepcopy(config)
    check_loaders(config)
    loader = config.get('train_dataloader') or {}
    if not loader.get('dataset'):
        raise UserError(
            f'{config.filename} has no train_dataloader with a dataset, so there is no '
            'student to train; its labels are made by tools/label.py'
        )
    batches = batch_settings(mixing)
    mixing = {key: value for key, value in mixing.items() if key not in BATCHES}
    if states_mix(config):
        _check_not_stated_twice(mixing | batches)
    else:
        loader = mixed_loader(loader, batches)
        loader['dataset'] = _mixed(loader['dataset'], labels, mixing)
        config.train_dataloader = loader
        loader = config.train_dataloader
        config.custom_hooks = _hooks(config)
        if any(_switches_pipeline(hook) for hook in config.custom_hooks):
            # Workers that live on would keep the pipeline they started with.
            loader.persistent_workers = False
    _check_trained_labels(config, labels)
    _check_slots(loader)
    return config


def states_mix(config: Config) -> bool:
    """Whether a training config puts pseudo-labels beside its labelled set itself."""
    return has_pseudo(config.train_dataloader.dataset)


def _check_not_stated_twice(mixing: Mapping[str, Any]) -> None:
    # The defaults of recipes state a share, so that is not what somebody asked for.
    keys = [key for key in mixing if key != 'labeled_share']
    if keys:
        key = keys[0]
        owner = 'batch_sampler' if key in BATCHES else 'PseudoLabelDataset'
        raise UserError(
            f'distill.mixing.{key} is for a config that does not state its mix, got '
            f'{mixing[key]!r}; give it to the {owner} of train_dataloader'
        )


def _check_trained_labels(config: Config, labels: str) -> None:
    """Make sure that training reads the store that labelling writes."""
    sources = filter(is_pseudo, sources_of(config.train_dataloader.dataset))
    trained = [str(source.get('labels')) for source in sources]
    if labels not in trained:
        raise UserError(
            f'training must read the label store {labels} of distill.labels, its '
            f'PseudoLabelDatasets read {trained}'
        )


def _check_slots(loader: Mapping[str, Any]) -> None:
    """What the sampler would refuse once the labels are made."""
    batches = loader.get('batch_sampler') or {}
    if not is_type(batches, SAMPLER):
        return
    size, ratio = loader.get('batch_size', 0), batches.get('source_ratio')
    try:
        if ratio is None:
            labeled_slots(size, batches.get('labeled_share', LABELED_SHARE))
            return
        sources = sources_of(loader['dataset'])
        if len(ratio) != len(sources):
            raise UserError(
                f'source_ratio needs a part for each of the {len(sources)} sources, '
                f'the labeled set and the pseudo-labels, got {list(ratio)}'
            )
        labeled = [i for i, each in enumerate(sources) if not is_pseudo(each)]
        source_slots(size, ratio, labeled)
    except ValueError as error:
        raise UserError(f'train_dataloader: {error}') from error


def _mixed(dataset: Any, labels: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The labelled set, whole, and the pseudo-labels, seen as its samples are."""
    labeled = labeled_part(dataset)
    pipelines = list(end_pipelines(labeled))
    if any(pipeline != pipelines[0] for pipeline in pipelines):
        print_log(
            f'the labelled set of {len(pipelines)} data sets has several pipelines; '
            'pseudo-labels are seen through that of the first',
            logger='current',
        )
    pseudo = dict(
        type='mmdistill.PseudoLabelDataset',
        labels=labels,
        metainfo=unparsed_metainfo(labeled),
        pipeline=end_pipeline(labeled),
        **given,
    )
    return dict(type='ConcatDataset', ignore_keys='CLASSES', datasets=[labeled, pseudo])


def _hooks(config: Config) -> list[dict[str, Any]]:
    """The config's hooks, fit for two sources, and the check of the selection."""
    hooks = [dict(hook) for hook in config.get('custom_hooks') or []]
    for hook in hooks:
        if _switches_pipeline(hook):
            hook['type'] = f'mmdistill.{SWITCH_HOOK}'
    if not any(is_type(hook, 'CountMatchingHook') for hook in hooks):
        hooks.append(dict(type='mmdistill.CountMatchingHook'))
    return hooks


def _switches_pipeline(hook: Any) -> bool:
    return is_type(hook, 'PipelineSwitchHook') or is_type(hook, SWITCH_HOOK)
