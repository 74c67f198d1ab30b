"""What would stop one of the rounds is refused before the first one begins."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS

from mmdistill.config.datasets import members_of, parsed_metainfo
from mmdistill.config.loops import check_training
from mmdistill.config.metainfo import keypoint_names
from mmdistill.config.recipe import Recipe
from mmdistill.config.text import write_config
from mmdistill.datasets.annotation_configs import with_read_annotations
from mmdistill.datasets.image_hashes import file_hashes, find_duplicates, read_known
from mmdistill.datasets.sources.image_list import annotated_images
from mmdistill.engine.dry_build import check_training_parts, check_validation
from mmdistill.engine.initial_weights import check_initial_weights
from mmdistill.errors import ConfigError, DataError, UserError
from mmdistill.stages.holdout import holdout_config, holdout_files
from mmdistill.stages.label_config import (
    label_config,
    labeled_config,
    labeled_members,
)
from mmdistill.stages.noise import noised_student_config
from mmdistill.stages.round_configs import Rounds
from mmdistill.utils.files import write_json

HASHES = 'image_hashes.json'
"""Name of the cache of hashes in the work folder, that of the leak guard."""


def check_rounds(rounds: Rounds, keep_hashes: bool = True) -> None:
    """Refuse rounds that would stop after hours of training.

    Args:
        rounds: The rounds.
        keep_hashes: Whether hashes of images are cached in the work folder.

    Raises:
        UserError: If a round cannot be trained, has other keypoints or, where it
            starts from the one before, another model, or if held-out images are
            labeled or validation images.
    """
    config = rounds.recipe.config
    if config.get('resume') and config.get('load_from'):
        raise ConfigError(
            f'rounds go on where they stopped by themselves, and take no --resume '
            f'{config.load_from}; leave it out'
        )
    if rounds.options.keep == 'best' and rounds.options.holdout is None:
        raise ConfigError(
            "distill.rounds.keep='best' needs distill.rounds.holdout, the labeled "
            "images that tell which is best; state it, or keep='last'"
        )
    with tempfile.TemporaryDirectory() as folder:
        trial = Rounds(rounds.recipe, Path(folder))
        numbers = range(1, rounds.options.number + 1)
        for number in numbers:
            write_config(trial.config(number), trial.recipe_file(number))
        for number in numbers:
            if number > 1 and trial.finds_instances(number):
                _check_labeling(trial, number)
            if number == 1 or rounds.options.of_round(number):
                _check_round(trial, number, Path(folder))
        if rounds.options.start == 'previous':
            _check_same_models(trial)
    if rounds.options.holdout is not None:
        _check_holdout(rounds, keep_hashes)


def _check_round(rounds: Rounds, number: int, folder: Path) -> None:
    config = rounds.config(number)
    try:
        check_training(config)
        _check_keypoints(rounds, number)
        config = with_read_annotations(config, folder)[0]
        check_training_parts(config)
        check_initial_weights(noised_student_config(Recipe.of(config)))
        check_validation(config)
    except UserError as error:
        if number == 1:
            raise
        raise type(error)(f'round {number}: {error}') from error


def _check_labeling(rounds: Rounds, number: int) -> None:
    """Refuse views of crops in a round whose teachers see whole images."""
    try:
        label_config(Recipe.of(rounds.config(number)), teacher_needed=False)
    except UserError as error:
        raise type(error)(
            f'round {number}: {error}; state what is of this round in '
            f'distill.rounds.settings[{number - 1}]'
        ) from error


def _check_keypoints(rounds: Rounds, number: int) -> None:
    names, first = (
        keypoint_names(parsed_metainfo(labeled_config(Recipe.of(config))))
        for config in (rounds.config(number), rounds.config(1))
    )
    if names != first:
        raise ConfigError(
            f'its labeled set has other keypoints than that of the first round, whose '
            f'students label for it: {len(names)} ({", ".join(names[:3])}, …) and '
            f'{len(first)} ({", ".join(first[:3])}, …); all rounds need the same'
        )


def _check_same_models(rounds: Rounds) -> None:
    """Refuse a student that could not start from the one of the round before."""
    models = [rounds.config(n).model for n in range(1, rounds.options.number + 1)]
    for number, (before, now) in enumerate(pairwise(models), 2):
        if now != before and _shapes(now) != _shapes(before):
            raise ConfigError(
                f"distill.rounds.start='previous' needs the same model in each round, "
                f'and that of round {number} has other weights than that of round '
                f"{number - 1}; state start='backbone', or one model for all rounds"
            )


def _shapes(model: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    init_default_scope('mmpose')
    weights = MODELS.build(copy.deepcopy(model)).state_dict()
    return {name: tuple(tensor.shape) for name, tensor in weights.items()}


def _check_holdout(rounds: Rounds, keep_hashes: bool) -> None:
    """Refuse held-out images that train, or that are reported."""
    recipe = rounds.recipe
    held = holdout_files(recipe)
    if not Path(held['ann_file']).is_file():
        raise DataError(
            f'the annotations {held["ann_file"]} of distill.rounds.holdout do not '
            'exist; name a part of the labeled set that the training set has not'
        )
    holdout_config(recipe.config, recipe)
    cache = rounds.root / HASHES
    known = read_known(cache)
    mine = _images(held['ann_file'], held['img_root'])
    hashes = file_hashes(mine, known)
    if not hashes:
        raise DataError(
            f'none of the {len(mine)} images of distill.rounds.holdout can be read '
            f'below {held["img_root"]}; state its data_root and data_prefix'
        )
    for name, members in _other_sets(recipe.config, recipe).items():
        files = [file for member in members for file in _member_images(member)]
        others = file_hashes(files, known)
        doubled = find_duplicates([hashes.get(file) for file in mine], others)
        if doubled:
            number, file = doubled[0]
            raise DataError(
                f'{len(doubled)} of {len(mine)} held-out images of '
                f'distill.rounds.holdout are in the {name} set, as {mine[number]} '
                f'({file}); it must be of images that neither train nor are reported'
            )
    if keep_hashes:
        write_json(cache, known)


def _other_sets(config: Config, recipe: Recipe) -> dict[str, Any]:
    validation = (config.get('val_dataloader') or {}).get('dataset')
    return dict(
        labeled=labeled_members(recipe),
        validation=members_of(validation) if validation else [],
    )


def _member_images(member: Mapping[str, Any]) -> list[Path]:
    root, prefix = member.get('data_root') or '', member.get('data_prefix') or {}
    if not member.get('ann_file'):
        return []
    path = Path(root, member['ann_file'])
    return _images(str(path), str(Path(root, prefix.get('img', ''))))


def _images(ann_file: str, img_root: str) -> list[Path]:
    return [Path(img_root, path) for path in annotated_images(Path(ann_file))]
