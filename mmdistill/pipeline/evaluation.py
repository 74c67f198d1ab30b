"""Evaluation of all models on one set: the validation set of the recipe.

Each model reads it by its own pipeline, in the true boxes, so that instance by instance
the same is compared.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from mmdistill.config.datasets import end_pipeline, members_of, with_end_pipeline
from mmdistill.engine.instance_results import FORMAT
from mmdistill.errors import ConfigError, DataError
from mmdistill.functional.bootstrap import image_means, image_pck
from mmdistill.utils.files import read_json

PCK_THRS = (0.2, 0.05)
OKS = 'OKS'
"""The value that decides: it knows how exactly each keypoint can be annotated, and does
not end at a threshold."""
AP = 'AP of an image'
"""The value that decides between detectors."""
LOADERS = ('val_dataloader', 'test_dataloader')
OF_THE_TRAINING = ('distill', 'load_from', 'resume')


def has_validation(config: Config) -> bool:
    """Whether a recipe has a validation set with metrics.

    Args:
        config: The recipe's config.
    """
    loader = config.get('val_dataloader') or {}
    return bool(loader.get('dataset') and config.get('val_evaluator'))


def evaluation_config(model: Config, recipe: Config) -> Config:
    """The config that tests a model on the validation set of a recipe.

    Args:
        model: The config of the model: its network and its pipeline.
        recipe: The config whose validation set and metrics count; it has them.

    Raises:
        ConfigError: If the model's config has no data set to take the pipeline of.
    """
    own = next(
        (config['dataset'] for key in LOADERS if (config := model.get(key))), None
    )
    if own is None:
        raise ConfigError(
            f'{model.filename} has neither val_dataloader nor test_dataloader, whose '
            'pipeline its model is tested by; give it one'
        )
    made = copy.deepcopy(model)
    for key in OF_THE_TRAINING:
        made.pop(key, None)
    loader = copy.deepcopy(recipe.val_dataloader)
    dataset = with_end_pipeline(loader.dataset, end_pipeline(own))
    for member in members_of(dataset):
        _use_true_boxes(member)
    loader['dataset'] = dataset
    made.test_dataloader = loader
    made.test_evaluator = copy.deepcopy(recipe.val_evaluator)
    made.test_cfg = dict()
    return made


def _use_true_boxes(member: Any) -> None:
    if member.get('bbox_file'):
        member['bbox_file'] = None


@dataclass(frozen=True)
class ImageResults:
    """Results of a model on each image.

    Attributes:
        images: Paths of the images, I of them.
        instances: Number of instances on all of them.
        values: Value of each image by the name of the metric, (I,) each; greater is
            better, and the first one decides.
    """

    images: tuple[str, ...]
    instances: int
    values: Mapping[str, np.ndarray]

    @staticmethod
    def read(path: Path) -> ImageResults:
        """Read what `tools/test.py --per-image` wrote.

        Args:
            path: The file.

        Raises:
            UserError: If it is not such a file.
        """
        content = read_json(path, 'the results of each image')
        try:
            if content['format'] != FORMAT:
                raise ValueError(f'its format is {content["format"]}, not {FORMAT}')
            rows = [str(image) for image in content['images']]
            images, index = np.unique(np.array(rows, dtype=object), return_inverse=True)
            if 'ap' in content:
                return _of_boxes(content, rows)
            oks = np.array(content['oks'], dtype=np.float64)
            errors = np.array(content['errors'], dtype=np.float64)
            if len(oks) != len(rows) or len(errors) != len(rows):
                raise ValueError('its lists differ in length')
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f'{path} must be what tools/test.py --per-image writes; wrong: {error}'
            ) from error
        if not rows:
            return ImageResults((), 0, {})
        values = {OKS: image_means(oks, index)}
        for thr in PCK_THRS:
            values[f'PCK@{thr}'] = image_pck(errors, index, thr)
        return ImageResults(tuple(images), len(rows), values)


def _of_boxes(content: Mapping[str, Any], rows: list[str]) -> ImageResults:
    """Results of a detector, one of each image."""
    images = np.array(rows, dtype=object)
    precision = np.array(content['ap'], dtype=np.float64)
    if len(precision) != len(rows) or len(set(rows)) != len(rows):
        raise ValueError('its lists differ in length, or an image is there twice')
    order = np.argsort(images, kind='stable')
    return ImageResults(
        tuple(images[order]), sum(content['instances']), {AP: precision[order]}
    )
