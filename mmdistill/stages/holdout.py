"""The held-out labeled images that rounds are compared on, and never trained on."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmdistill.config.datasets import members_of
from mmdistill.config.loops import evaluators_of
from mmdistill.config.recipe import Recipe
from mmdistill.errors import ConfigError
from mmdistill.stages.label_config import labeled_members

LESS_IS_BETTER = ('NME', 'EPE', 'loss')
"""Words in the names of metrics that are errors."""


def holdout_files(recipe: Recipe) -> dict[str, str]:
    """The json of the held-out images, and the folder of these.

    Args:
        recipe: A recipe whose rounds have a holdout.

    Raises:
        UserError: If the recipe has no labeled set.
    """
    stated = _stated(recipe)
    root, prefix = stated['data_root'], stated['data_prefix'].get('img', '')
    return dict(
        ann_file=str(Path(root, stated['ann_file'])), img_root=str(Path(root, prefix))
    )


def holdout_config(config: Config, recipe: Recipe) -> Config:
    """The config that tests a student on the held-out images.

    They are read and evaluated as the validation set is, else as the test set.

    Args:
        config: The config of the student.
        recipe: The recipe whose rounds have the holdout.

    Raises:
        ConfigError: If the config has neither set.
    """
    config = copy.deepcopy(config)
    name = next((n for n in ('val', 'test') if config.get(f'{n}_dataloader')), None)
    if name is None:
        raise ConfigError(
            f'{config.filename} has neither val_dataloader nor test_dataloader, by '
            'which distill.rounds.holdout would be read and evaluated; give it one'
        )
    loader = copy.deepcopy(config[f'{name}_dataloader'])
    member = dict(copy.deepcopy(members_of(loader['dataset'])[0]))
    member.pop('bbox_file', None)
    member.update(_stated(recipe))
    loader['dataset'] = member
    config.test_dataloader = loader
    evaluators = copy.deepcopy(config[f'{name}_evaluator'])
    for evaluator in evaluators_of(evaluators):
        if evaluator.get('ann_file'):
            evaluator['ann_file'] = holdout_files(recipe)['ann_file']
    config.test_evaluator = evaluators
    config.test_cfg = dict()
    return config


def compared_metric(recipe: Recipe, metrics: Mapping[str, float]) -> str:
    """The metric by which students are compared.

    Args:
        recipe: The recipe whose rounds have the holdout.
        metrics: The metrics of a student on it, by name.

    Raises:
        ConfigError: If the one that is stated is not among them.
    """
    assert recipe.distill.rounds is not None
    stated = (recipe.distill.rounds.holdout or {}).get('metric')
    if stated is not None and stated not in metrics:
        raise ConfigError(
            f'distill.rounds.holdout.metric must be one of {", ".join(metrics)}, got '
            f'{stated}'
        )
    return stated or next(iter(metrics))


def advantage(metric: str, value: float) -> float:
    """A metric as a number that is greater where a student is better.

    Args:
        metric: Name of the metric; those of errors are known by their names.
        value: Its value.

    >>> advantage('NME', 0.25), advantage('coco/AP', 0.25)
    (-0.25, 0.25)
    """
    is_error = any(word in metric for word in LESS_IS_BETTER)
    return -value if is_error else value


def _stated(recipe: Recipe) -> dict[str, Any]:
    """The holdout as settings of a data set, what it does not state as the labeled."""
    assert recipe.distill.rounds is not None
    stated = dict(recipe.distill.rounds.holdout or {})
    stated.pop('metric', None)
    if not stated.get('ann_file'):
        raise ConfigError(
            'distill.rounds.holdout must state its ann_file, got '
            f'{recipe.distill.rounds.holdout!r}'
        )
    if 'data_root' not in stated or 'data_prefix' not in stated:
        labeled = labeled_members(recipe)[0]
        for key, default in (('data_root', ''), ('data_prefix', {})):
            stated.setdefault(key, labeled.get(key) or default)
    return stated
