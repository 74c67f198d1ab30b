"""The batches of a training on labeled samples and pseudo-labels, as a config."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from mmengine.logging import print_log

from mmdistill.config.schema import MixingConfig, is_type, stated
from mmdistill.errors import ConfigError

BATCHES = ('labeled_share', 'num_batches', 'source_ratio')
"""Settings of `distill.mixing` that are the batch sampler's."""
SAMPLER = 'MixedRatioBatchSampler'
HOST_SAMPLERS = ('DefaultSampler', 'InfiniteSampler')
"""Samplers that read a whole set once or without end, as the batch sampler does."""
WITHOUT_USE = ('drop_last', 'shuffle')
"""Settings of a loader that PyTorch refuses beside a batch sampler."""


def batch_settings(mixing: MixingConfig) -> dict[str, Any]:
    """The settings of `distill.mixing` about batches.

    Args:
        mixing: The section; a ratio decides the share too.
    """
    settings = {key: value for key, value in stated(mixing).items() if key in BATCHES}
    if 'source_ratio' in settings:
        settings.pop('labeled_share', None)
    return settings


def mixed_loader(
    loader: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """A training loader whose batches hold both kinds of samples.

    A `MixedRatioBatchSampler` that the loader states keeps what it states; settings
    that it does not state are taken over.

    Args:
        loader: Config of the loader.
        settings: Those of `batch_settings`.

    Returns:
        The loader's config; its data set stays.

    Raises:
        UserError: If the loader draws batches or samples in a way of its own.
    """
    mixed: dict[str, Any] = copy.deepcopy(dict(loader))
    stated = mixed.get('batch_sampler')
    if stated is not None and not is_type(stated, SAMPLER):
        raise ConfigError(
            f'train_dataloader.batch_sampler {stated.get("type")} knows nothing of '
            'pseudo-labels; leave it out, so that every batch has its labeled share '
            f'by a mmdistill.{SAMPLER}, or state the mix with a '
            'mmdistill.PseudoLabelDataset among the datasets of train_dataloader'
        )
    mixed['batch_sampler'] = _sampler(stated, settings)
    if mixed.get('num_batch_per_epoch') is not None:
        mixed['batch_sampler'].setdefault('num_batches', mixed['num_batch_per_epoch'])
    mixed.pop('num_batch_per_epoch', None)
    mixed['sampler'] = _checked_sampler(mixed.get('sampler'))
    for key in WITHOUT_USE:
        if mixed.pop(key, None):
            print_log(
                f'train_dataloader.{key} does not count: batches of both kinds are '
                'full and in random order',
                logger='current',
            )
    return mixed


def _sampler(stated: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The batch sampler, the loader's own settings first."""
    own = {} if stated is None else dict(stated)
    shares = {'labeled_share', 'source_ratio'}
    other = {
        key: value
        for key, value in settings.items()
        if key not in own and not (key in shares and shares & set(own))
    }
    ignored = {
        key: value
        for key, value in settings.items()
        if key not in other and own.get(key) != value
    }
    if ignored:
        listed = ', '.join(f'{key}={value!r}' for key, value in ignored.items())
        print_log(
            f'train_dataloader.batch_sampler states its batches itself; distill.mixing '
            f'does not count there: {listed}',
            logger='current',
        )
    return {'type': f'mmdistill.{SAMPLER}', **other, **own}


def _checked_sampler(sampler: Any) -> dict[str, Any]:
    """The loader's sampler, whose order the batch sampler does not use."""
    if sampler is None:
        return dict(type='DefaultSampler', shuffle=True)
    if is_type(sampler, 'MultiSourceSampler'):
        raise ConfigError(
            'train_dataloader.sampler MultiSourceSampler would draw the batches beside '
            'the labeled share; leave it out, and state the parts of the labeled set '
            'and of the pseudo-labels as distill.mixing.source_ratio'
        )
    known = any(is_type(sampler, name) for name in HOST_SAMPLERS)
    if not known or not sampler.get('shuffle', True):
        print_log(
            f'the order of train_dataloader.sampler {sampler.get("type")} does not '
            'count: batches of both kinds are drawn in random order, every sample '
            'once in each pass',
            logger='current',
        )
    return dict(sampler)
