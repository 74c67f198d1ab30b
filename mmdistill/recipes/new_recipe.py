"""A recipe made for a data set: read, checked, recommended, written."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from mmdistill.config.files import recipe_file
from mmdistill.errors import ConfigError, DataError
from mmdistill.recipes.keypoints import Keypoints, describe_keypoints
from mmdistill.recipes.labeled_set import LabeledSet, read_labeled_set
from mmdistill.recipes.machine import Machine
from mmdistill.recipes.models import choose_model, choose_teacher
from mmdistill.recipes.parts import DataFiles, Parts
from mmdistill.recipes.recommend import recommend
from mmdistill.recipes.request import RecipeRequest
from mmdistill.recipes.requested_boxes import (
    box_entries,
    boxes_reason,
    check_boxes,
    check_follow,
    is_searched,
)
from mmdistill.recipes.split import ValidationSplit, check_leaks, split_labeled
from mmdistill.recipes.summary import (
    commands_of,
    data_notes,
    find_cautions,
    setting_notes,
)
from mmdistill.recipes.teacher_network import teacher_network
from mmdistill.recipes.unlabeled_set import (
    UnlabeledSet,
    check_disk,
    describe_unlabeled,
)
from mmdistill.recipes.writer import files_of
from mmdistill.utils.files import folder_problem

MODULES = {
    'efficientnet_lite': 'configs/distill/lspe/efficientnet_lite.py',
    'whole_frame': 'configs/distill/openfield/whole_frame.py',
}
"""Modules that recipes copy, and where they are from."""


@dataclass(frozen=True)
class NewRecipe:
    """A recipe before it is written.

    Attributes:
        folder: The folder to write.
        files: Texts by file name.
        keypoints: The keypoints, whose pairs a person confirms.
        notes: Sentences about the data and the settings.
        cautions: Sentences about what to look at.
        commands: The commands to type, in their order.
    """

    folder: Path
    files: dict[str, str]
    keypoints: Keypoints
    notes: tuple[str, ...]
    cautions: tuple[str, ...]
    commands: tuple[str, ...]


def make_recipe(request: RecipeRequest, machine: Machine | None = None) -> NewRecipe:
    """Make a recipe for a data set; nothing is written.

    Args:
        request: The data and what is stated.
        machine: The machine that it will run on; None for this one.

    Raises:
        ConfigError: If a setting is out of its range, the folder exists, or no model is
            at hand.
        DataError: If the data contradict themselves, are missing or leak.
    """
    machine = machine or Machine.current()
    folder = request.folder
    _check_target(request, folder)
    check_boxes(request)
    labeled = read_labeled_set(
        request.labeled, 'labeled', request.images, request.keypoints
    )
    keypoints = describe_keypoints(labeled, request.pairs)
    sides = _Sides.of(request, labeled, folder)
    unlabeled = describe_unlabeled(
        request.unlabeled,
        machine,
        request.unlabeled_images or request.images or labeled.img_root,
        request.overrides.every,
        {*labeled.files, *sides.val_files},
    )
    check_follow(request, labeled, unlabeled)
    check_disk(unlabeled, request.work_folder / 'labels')
    parts = _parts(request, machine, labeled, keypoints, unlabeled, sides)
    modules = {name: recipe_file(path) for name, path in MODULES.items()}
    training = len(sides.training)
    return NewRecipe(
        folder=folder,
        files={**files_of(parts, modules), **sides.files},
        keypoints=keypoints,
        notes=(
            *data_notes(labeled, unlabeled, training, sides.rule),
            *setting_notes(parts),
        ),
        cautions=(*find_cautions(request, labeled, keypoints), *sides.cautions),
        commands=commands_of(parts),
    )


def _parts(
    request: RecipeRequest,
    machine: Machine,
    labeled: LabeledSet,
    keypoints: Keypoints,
    unlabeled: UnlabeledSet,
    sides: _Sides,
) -> Parts:
    """All that the files are written of, with the model and settings that suit it."""
    training, stated = sides.training, request.overrides
    model = choose_model(machine, len(training), stated.model, stated.weights)
    searched = is_searched(request, labeled)
    teacher = choose_teacher(model, stated.teacher_model)
    settings = recommend(training, keypoints, model, machine, stated, searched, teacher)
    return Parts(
        name=request.name,
        folder=request.folder.as_posix(),
        work_dir=request.work_folder.as_posix(),
        distill_base=_distill_base(request.folder),
        category=labeled.category,
        instances=len(training),
        keypoints=keypoints,
        model=model,
        teacher=teacher_network(model, teacher, settings, stated),
        settings=settings,
        machine=machine.description,
        train=sides.train,
        val=sides.val,
        val_rule=sides.rule,
        truth=_truth(request, labeled, sides),
        unlabeled=unlabeled,
        boxes=box_entries(request, training, keypoints),
        boxes_reason=boxes_reason(request, labeled),
        labeled_share=stated.labeled_share,
        seed=request.seed,
    )


def write_recipe(recipe: NewRecipe) -> None:
    """Write a recipe, all of its files at once.

    Args:
        recipe: The recipe.

    Raises:
        ConfigError: If the folder exists, or cannot be written.
    """
    _check_absent(recipe.folder)
    partial = recipe.folder.with_name(f'.{recipe.folder.name}.{os.getpid()}.part')
    try:
        partial.mkdir(parents=True)
        for name, text in recipe.files.items():
            (partial / name).write_text(text, encoding='utf-8')
        if recipe.folder.is_dir():
            recipe.folder.rmdir()  # empty, as it was checked
        partial.rename(recipe.folder)
    except OSError as error:
        raise ConfigError(
            f'{recipe.folder} could not be written: {error.strerror or error}'
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@dataclass(frozen=True)
class _Sides:
    """Training and validation set of a recipe, and the jsons that it brings."""

    training: LabeledSet
    train: DataFiles
    val: DataFiles
    rule: str
    cautions: tuple[str, ...]
    files: dict[str, str]
    val_files: frozenset[Path]

    @staticmethod
    def of(request: RecipeRequest, labeled: LabeledSet, folder: Path) -> _Sides:
        img = f'{labeled.img_root.as_posix()}/'
        if request.val is not None:
            root = request.val_images or request.images
            other = read_labeled_set(
                request.val, 'validation', root, labeled.names, '--val-images'
            )
            caution = check_leaks(labeled, other, '--val')
            return _Sides(
                training=labeled,
                train=DataFiles(request.labeled.as_posix(), img),
                val=DataFiles(request.val.as_posix(), f'{other.img_root.as_posix()}/'),
                rule=f'{len(other.images)} images of {request.val.as_posix()}',
                cautions=(caution,) if caution else (),
                files={},
                val_files=frozenset(file.resolve() for file in other.files),
            )
        split = split_labeled(labeled, request.val_share, request.seed, request.val_by)
        return _Sides(
            training=_part(labeled, split),
            train=DataFiles((folder / 'train.json').as_posix(), img),
            val=DataFiles((folder / 'val.json').as_posix(), img),
            rule=split.rule,
            cautions=split.cautions,
            files={
                'train.json': json.dumps(split.train) + '\n',
                'val.json': json.dumps(split.val) + '\n',
            },
            val_files=frozenset(
                (labeled.img_root / image['file_name']).resolve()
                for image in split.val['images']
            ),
        )


def _part(labeled: LabeledSet, split: ValidationSplit) -> LabeledSet:
    """The training side of a labeled set."""
    ids = {image['id'] for image in split.train['images']}
    trained = labeled.trained_images
    keep = [number in ids for number in trained]
    return replace(
        labeled,
        content=split.train,
        boxes=labeled.boxes[keep],
        image_sizes=labeled.image_sizes[keep],
        points=labeled.points[keep],
        visible=labeled.visible[keep],
        trained_images=tuple(number for number in trained if number in ids),
    )


def _check_target(request: RecipeRequest, folder: Path) -> None:
    if not re.fullmatch(r'[A-Za-z0-9][\w.-]*', request.name):
        raise ConfigError(
            'the name of a recipe must be letters, digits, points, hyphens and '
            f'underscores, got {request.name!r}'
        )
    _check_absent(folder)
    problem = folder_problem(folder)
    if problem:
        raise ConfigError(
            f'{folder} cannot be written: {problem}; name another one with --out'
        )


def _check_absent(folder: Path) -> None:
    is_empty = folder.is_dir() and not any(folder.iterdir())
    if folder.exists() and not is_empty:
        raise ConfigError(
            f'{folder} exists and is not overwritten: name another recipe, or another '
            'folder with --out'
        )


def _truth(
    request: RecipeRequest, labeled: LabeledSet, sides: _Sides
) -> DataFiles | None:
    """Files of the true labels, none of whose images validates."""
    if request.truth is None:
        return None
    root = request.truth_images or request.unlabeled_images or request.images
    truth = read_labeled_set(
        request.truth, 'true', root, labeled.names, '--truth-images'
    )
    shared = {file.resolve() for file in truth.files} & sides.val_files
    if shared:
        raise DataError(
            f'{len(shared)} images of --truth {request.truth} are validation images, '
            f'the first: {min(shared)}; take them out of one of the jsons'
        )
    return DataFiles(request.truth.as_posix(), f'{truth.img_root.as_posix()}/')


def _distill_base(folder: Path) -> str:
    """The base of all distillations, as a config in a folder names it."""
    beside = '../../_base_/distill.py'
    if Path(os.path.normpath(folder / beside)).is_file():
        return beside
    return recipe_file('configs/_base_/distill.py').resolve().as_posix()
