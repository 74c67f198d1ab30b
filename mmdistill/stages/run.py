"""From a config to the runs of its stages.

Stage 1 labels: one test run of the teacher over the unlabeled images, after one of
a detector where the config has one. Stage 2 trains: the config itself. They
meet in the label store.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import barrier
from mmengine.logging import print_log
from mmengine.registry import DATASETS

from mmdistill.config.datasets import fit_converters, parsed_metainfo
from mmdistill.config.detectors import check_box_settings, distills_boxes, is_joint
from mmdistill.config.loops import test_loops, training_loops
from mmdistill.config.metainfo import order_keypoints
from mmdistill.config.recipe import Recipe
from mmdistill.config.schema import is_type
from mmdistill.config.text import TextConfig
from mmdistill.datasets.annotation_configs import TEST, with_read_annotations
from mmdistill.engine.dry_build import (
    check_test_parts,
    check_training_parts,
    check_validation,
)
from mmdistill.engine.hooks.checkpoint_guard_hooks import check_teacher
from mmdistill.engine.initial_weights import check_fetchable, check_initial_weights
from mmdistill.engine.runner import release_memory, stage_runner
from mmdistill.errors import ConfigError, StoreError
from mmdistill.selection import Selection, export, threshold_matching
from mmdistill.selection.counts import build_labeled, count_labeled
from mmdistill.selection.export import ExportOptions, Surroundings
from mmdistill.selection.exported_images import ExportedImages, own_image_ids
from mmdistill.selection.exported_sets import labeled_categories, lists_images
from mmdistill.selection.selection import read_selection
from mmdistill.selection.summary import log_selection
from mmdistill.selection.training_labels import write_kept_images
from mmdistill.stages.averaging import with_ema
from mmdistill.stages.box_students import box_samples
from mmdistill.stages.detect_config import images_without_boxes
from mmdistill.stages.detections import find_boxes
from mmdistill.stages.finish import with_finish
from mmdistill.stages.image_students import check_categories, selected_samples
from mmdistill.stages.joint import LABEL, TRAIN, run_jointly
from mmdistill.stages.label_config import (
    images_config,
    label_config,
    label_store,
    labeled_config,
    labeled_members,
)
from mmdistill.stages.noise import noised_student_config
from mmdistill.stages.round_configs import Rounds
from mmdistill.stages.schedule import grown_schedule
from mmdistill.stages.train_config import (
    log_initial_weights,
    resumable_config,
)
from mmdistill.store import LabelStore
from mmdistill.store.status import format_status
from mmdistill.utils.files import folder_problem


def label(config: Config) -> None:
    """Stage 1: label the unlabeled images, then match counts.

    Boxes come first where a detector finds them. Of several rounds it is the first. A
    store that is complete is only
    compared with the config.

    Args:
        config: A config with a `distill` section.

    Raises:
        UserError: If the section, the teacher or the images are not usable.
    """
    recipe = Recipe.of(config)
    if is_joint(recipe):
        run_jointly(recipe, LABEL)
        return
    _label(_read_recipe(_first_round(recipe)))


def labeling_config(config: Config) -> Config:
    """The config of stage 1: a plain test config, also for MMPose's own tools.

    Args:
        config: A config with a `distill` section.

    Raises:
        UserError: If the section, or a labeled or validation json, is not usable.
    """
    return label_config(_read_recipe(_first_round(Recipe.of(config))))


def _first_round(recipe: Recipe) -> Recipe:
    """The recipe of the first round, where there are several."""
    if recipe.distill.rounds is None:
        return recipe
    _check_detector(recipe)
    return Recipe.of(Rounds(recipe).config(1))


def _check_detector(recipe: Recipe) -> None:
    """Refuse what a recipe of a detector states in vain, rounds among it."""
    if distills_boxes(recipe):
        check_box_settings(recipe)


def _label(recipe: Recipe) -> None:
    """Stage 1 of a recipe whose annotations are read: cheap checks come first."""
    stage = label_config(recipe)
    _check_store_folder(recipe)
    check_training_parts(recipe.config)
    for teacher in recipe.distill.teachers:
        check_fetchable('teacher', str(teacher.checkpoint))
    labeled = count_labeled(build_labeled(labeled_config(recipe)))
    if not distills_boxes(recipe):
        check_categories(recipe.config, labeled)
        check_teacher(stage)
    release_memory()
    if recipe.distill.detector is not None:
        find_boxes(recipe)
        release_memory()
    stage_runner(stage).test()
    barrier()
    release_memory()


def _check_store_folder(recipe: Recipe) -> None:
    """Refuse a store that could not be written before the teacher is looked at."""
    problem = folder_problem(Path(recipe.distill.store))
    if problem:
        raise StoreError(
            f'the label store {recipe.distill.store} cannot be written: {problem}; '
            'name another folder in distill.store'
        )


def _read(config: Config, images: bool = True) -> Config:
    """The config with labeled and validation json in the form that is trained on."""
    return with_read_annotations(config, images=images)[0]


def _read_recipe(recipe: Recipe, images: bool = True) -> Recipe:
    """The recipe with its config read, see `_read`."""
    return recipe.at(_read(recipe.config, images))


def train(
    config: Config, after_labeling: Callable[[Config], Any] | None = None
) -> None:
    """Stage 2: train; a config with a `distill` section runs stage 1 first.

    One with `distill.rounds` runs all of its rounds, each step in a process of its own,
    and one with `distill.detector.distill` the detector's distillation before its own.

    Args:
        config: Any training config of MMPose or MMDetection.
        after_labeling: Called with the config on all processes between both stages,
            where there are two: what is to be known of the labels before a student is
            trained. Of several rounds it is called with the recipe of each one, on the
            process that runs them.

    Raises:
        UserError: If there is nothing to learn from, or stage 1 does not run.
    """
    if 'distill' in config:
        recipe = Recipe.of(config)
        _check_detector(recipe)
        if is_joint(recipe):
            run_jointly(recipe, TRAIN)
            return
        if recipe.distill.rounds is not None:
            # Rounds are made of the stages, and so import this module.
            from mmdistill.stages.rounds import train_rounds

            train_rounds(recipe, after_labeling=after_labeling)
            return
        recipe = _read_recipe(recipe)
        # What cannot be trained is refused before hours of labeling.
        check_initial_weights(noised_student_config(recipe))
        check_validation(recipe.config)
        _label(recipe)
        if after_labeling is not None:
            after_labeling(config)
        log_initial_weights(recipe)
        config = _distilled_config(recipe)
    else:
        config = _read(config)
        check_training_parts(config)
        check_validation(config)
    stage_runner(TextConfig.of(_resumable_config(config))).train()


def training_config(config: Config) -> Config:
    """The config of stage 2: a plain training config, also for MMPose's own tools.

    Args:
        config: Any training config; of one with a `distill` section the labels must
            be selected, since the schedule grows with them.

    Raises:
        UserError: If there is no selection, or nothing to learn from.
    """
    if 'distill' in config:
        recipe = Recipe.of(config)
        if recipe.distill.rounds is not None:
            raise ConfigError(
                f'{config.filename} has distill.rounds, each with a training of its '
                'own; say which one with --round'
            )
        config = _distilled_config(_read_recipe(recipe))
    else:
        config = _read(config)
    return _resumable_config(config)


def _resumable_config(config: Config) -> Config:
    config = resumable_config(training_loops(fit_converters(config)))
    config = _with_plain_model(config)
    order_keypoints(config)
    return config


def test(config: Config) -> dict[str, float]:
    """Evaluate the checkpoint in `load_from` with the config's own metrics.

    Args:
        config: Any test config of MMPose or MMDetection.

    Returns:
        The metrics by name.

    Raises:
        UserError: If it lacks a part of the test, or an annotation file is not usable.
    """
    config, _ = with_read_annotations(config, loaders=TEST)
    check_test_parts(config)
    return stage_runner(TextConfig.of(test_loops(config))).test()


def select(
    recipe: Recipe, changes: Mapping[str, Any] | None = None, dry_run: bool = False
) -> Selection:
    """Choose pseudo-labels of a finished store anew.

    Args:
        recipe: The recipe whose store it is.
        changes: Fields of `SelectionOptions` that are to be others than the config's,
            also when stage 1 makes the selection again.
        dry_run: Whether the store's selection stays as it is.

    Raises:
        UserError: If the store is not complete or nothing would be kept.
    """
    changes = changes or {}
    options = replace(recipe.distill.selection, **changes)
    store = label_store(recipe)
    store.manifest  # noqa: B018  (a sentence when there is no store)
    recipe = _read_recipe(recipe, images=False)
    labeled = count_labeled(build_labeled(labeled_config(recipe)))
    selection = replace(
        threshold_matching.select(store, labeled, options), changes=changes
    )
    log_selection(selection)
    if not dry_run:
        selection.write(store)
        write_kept_images(
            store, selection, lambda: DATASETS.build(images_config(recipe))
        )
    return selection


def status(config: Config) -> list[str]:
    """The progress of a config's label store, line by line.

    Args:
        config: A config with a `distill` section.

    Raises:
        UserError: If there is no store.
    """
    return format_status(label_store(Recipe.of(config)))


def export_coco(
    recipe: Recipe, path: str, options: ExportOptions | None = None
) -> None:
    """Write the selected labels of a recipe's store as COCO json.

    The log says below which folder its images open: the store's image root or, where
    some are inside of videos or tars, a folder beside the json, ``labels_images/`` of
    ``labels.json``. Categories are those of the labeled set, and ids of images those of
    the unlabeled set's COCO json, where there is one.

    Args:
        recipe: The recipe whose store it is.
        path: The json to write.
        options: What it holds besides the kept labels.

    Raises:
        UserError: If the store is not complete or has no selection.
    """
    store = label_store(recipe)
    recipe = _read_recipe(recipe, images=False)
    name, skeleton = _described(recipe)
    selection = read_selection(store)
    file = Path(path)
    images = images_without_boxes(recipe)
    dataset = functools.cache(lambda: DATASETS.build(images))
    surroundings = Surroundings(
        labeled_categories(labeled_members(recipe)),
        own_image_ids(dataset()) if lists_images(recipe.distill.unlabeled) else {},
        ExportedImages(store, file.with_name(f'{file.stem}_images'), dataset),
    )
    export.export_coco(
        *(store, selection, file, name, skeleton),
        *(options, surroundings),
    )
    print_log(f'wrote {file}', logger='current')


def _described(recipe: Recipe) -> tuple[str, list[list[int]]]:
    """Name of the labels' category and its skeleton; a box has no skeleton."""
    if distills_boxes(recipe):
        return 'object', []
    parsed = parsed_metainfo(labeled_config(recipe))
    return parsed['dataset_name'], [[a + 1, b + 1] for a, b in parsed['skeleton_links']]


def _distilled_config(recipe: Recipe) -> Config:
    """The noised student's config with the schedule that its selection makes."""
    config, distill = noised_student_config(recipe), recipe.distill
    if distill.schedule is not None:
        labeled, kept = _samples(recipe, config)
        config = grown_schedule(config, labeled, kept, distill.schedule)
    if distill.finish is not None:
        config = with_finish(config, distill.finish)
    if distill.ema is not None:
        config = with_ema(config, distill.ema)
    return config


def _samples(recipe: Recipe, config: Config) -> tuple[int, int]:
    """Numbers of labeled and of pseudo-labeled samples, images or instances."""
    store = recipe.distill.store
    if distills_boxes(recipe):
        return box_samples(store)
    return selected_samples(config, LabelStore(store))


def _with_plain_model(config: Config) -> Config:
    """The config whose run leaves its model as a plain file, too."""
    hooks = config.get('custom_hooks') or []
    if any(is_type(hook, 'PlainModelHook') for hook in hooks):
        return config
    config = copy.deepcopy(config)
    config.custom_hooks = [*hooks, dict(type='mmdistill.PlainModelHook')]
    return config
