"""A recipe made for a data set: read, checked, recommended, written."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmdistill.config.files import recipe_file
from mmdistill.config.schema import DetectorConfig
from mmdistill.errors import ConfigError, DataError
from mmdistill.recipes.keypoints import Keypoints, describe_keypoints
from mmdistill.recipes.labeled_set import LabeledSet, read_labeled_set
from mmdistill.recipes.machine import Machine
from mmdistill.recipes.models import choose_model
from mmdistill.recipes.recommend import recommend
from mmdistill.recipes.request import RecipeRequest
from mmdistill.recipes.split import ValidationSplit, check_leaks, split_labeled
from mmdistill.recipes.unlabeled_set import (
    UnlabeledSet,
    check_disk,
    describe_unlabeled,
)
from mmdistill.recipes.writer import DataFiles, Parts, files_of
from mmdistill.stages.detect_config import detector_config
from mmdistill.utils.files import folder_problem, read_json

MODULES = {
    'efficientnet_lite': 'configs/distill/lspe/efficientnet_lite.py',
    'whole_frame': 'configs/distill/openfield/whole_frame.py',
}
"""Modules that recipes copy, and where they are from."""
SMALL_COVER = 0.3
"""Share of an image below which what is in it has to be searched."""


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
    folder = request.out or Path('configs/distill', request.name)
    _check_target(request, folder)
    _check_boxes(request)
    labeled = read_labeled_set(
        request.labeled, 'labeled', request.images, request.keypoints
    )
    keypoints = describe_keypoints(labeled, request.pairs)
    unlabeled = describe_unlabeled(
        request.unlabeled,
        machine,
        request.unlabeled_images or request.images or labeled.img_root,
        request.overrides.every,
        labeled.files,
    )
    _check_follow(request, labeled, unlabeled)
    check_disk(unlabeled, Path('work_dirs', request.name, 'labels'))
    sides = _Sides.of(request, labeled, folder)
    searched = _is_searched(request, labeled)
    stated = request.overrides
    model = choose_model(machine, len(sides.training), stated.model, stated.weights)
    settings = recommend(sides.training, keypoints, model, machine, stated, searched)
    parts = Parts(
        name=request.name,
        folder=folder.as_posix(),
        distill_base=_distill_base(folder),
        category=labeled.category,
        instances=len(sides.training),
        keypoints=keypoints,
        model=model,
        settings=settings,
        machine=machine.description,
        train=sides.train,
        val=sides.val,
        val_rule=sides.rule,
        truth=_truth(request, labeled, sides),
        unlabeled=unlabeled,
        boxes=_boxes(request),
        boxes_reason=_boxes_reason(request, labeled),
        labeled_share=stated.labeled_share,
    )
    modules = {name: recipe_file(path) for name, path in MODULES.items()}
    files = {**files_of(parts, modules), **sides.files}
    return NewRecipe(
        folder=folder,
        files=files,
        keypoints=keypoints,
        notes=(*_data_notes(labeled, unlabeled, sides), *_setting_notes(parts)),
        cautions=(*_cautions(request, labeled, keypoints), *sides.cautions),
        commands=_commands(parts),
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


def _check_boxes(request: RecipeRequest) -> None:
    stated = {
        '--boxes': request.boxes,
        '--detector': request.detector,
        '--follow': request.follow or None,
    }
    given = [flag for flag, value in stated.items() if value is not None]
    if len(given) > 1:
        raise ConfigError(f'boxes come from one of {" and ".join(given)}, got both')
    if request.boxes is not None:
        content = read_json(request.boxes, 'the boxes')
        if not isinstance(content, list) or not content:
            raise ConfigError(
                f'--boxes {request.boxes} must be a list of detections in the form of '
                f'bbox_file, got {type(content).__name__}'
            )
    if request.detector is not None:
        if request.detector_checkpoint is None:
            raise ConfigError(
                f'--detector {request.detector} needs its weights: name them with '
                '--detector-checkpoint'
            )
        detector_config(DetectorConfig(config=request.detector))
    elif request.detector_checkpoint is not None:
        raise ConfigError(
            f'--detector-checkpoint {request.detector_checkpoint} needs its config: '
            'name it with --detector'
        )


def _check_follow(
    request: RecipeRequest, labeled: LabeledSet, unlabeled: UnlabeledSet
) -> None:
    if not request.follow:
        return
    if not unlabeled.has_frames:
        raise ConfigError(
            '--follow needs videos, whose frames follow each other, got '
            f'{unlabeled.description}: leave it out'
        )
    if labeled.most_on_an_image > 1:
        raise ConfigError(
            '--follow follows a single animal, and a labeled image has up to '
            f'{labeled.most_on_an_image} instances: find them with --detector, or give '
            'their boxes with --boxes'
        )


def _is_searched(request: RecipeRequest, labeled: LabeledSet) -> bool:
    """Whether the teacher has to find what it labels on whole images."""
    has_boxes = request.boxes is not None or request.detector is not None
    is_small = labeled.cover < SMALL_COVER and labeled.most_on_an_image == 1
    return request.follow or (not has_boxes and is_small)


def _boxes(request: RecipeRequest) -> tuple[dict[str, Any], dict[str, Any]]:
    """Entries of `distill` and of its `unlabeled` about boxes."""
    if request.boxes is not None:
        return {}, dict(bbox_file=request.boxes.as_posix())
    if request.detector is not None:
        detector = dict(config=request.detector, checkpoint=request.detector_checkpoint)
        return dict(detector=detector), {}
    if request.follow:
        return {}, dict(follow=dict(padding=1.5))
    return {}, {}


def _boxes_reason(request: RecipeRequest, labeled: LabeledSet) -> str:
    if request.boxes is not None:
        return 'given detections'
    if request.detector is not None:
        return 'found by the detector'
    if request.follow:
        return 'each around the keypoints of the frame before'
    return (
        'none are given, so each image is one box, looked at twice; in the labels a '
        f'box covers {100 * labeled.cover:.0f} % of its image'
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
    base = recipe_file('configs/_base_/distill.py')
    beside = folder / '../../_base_/distill.py'
    if beside.exists():
        return '../../_base_/distill.py'
    if folder.parent.name == 'distill' and Path('configs/_base_').exists():
        near = Path(os.path.relpath('configs/_base_/distill.py', folder))
        if len(near.parts) <= 4:
            return near.as_posix()
    return base.resolve().as_posix()


def _data_notes(
    labeled: LabeledSet, unlabeled: UnlabeledSet, sides: _Sides
) -> list[str]:
    notes = [
        f'labeled: {len(labeled)} instances of {len(labeled.names)} keypoints on '
        f'{len(labeled.images)} images, {len(sides.training)} of them train',
        f'validation: {sides.rule}',
        f'unlabeled: {unlabeled.description}',
    ]
    return [*notes, *([labeled.notes] if labeled.notes else [])]


def _setting_notes(parts: Parts) -> list[str]:
    settings = parts.settings
    width, height = settings.codec.value['input_size']
    turned = ', '.join(f'{angle:g}' for angle in settings.rotations.value) or 'none'
    views = ', '.join(f'{scale:g}' for scale in settings.scales.value)
    return [
        f'model: {"EfficientNet-Lite0" if parts.model.is_lite else parts.model.base} '
        f'({parts.model.reason})',
        f'input: {width}x{height} ({settings.codec.reason})',
        f'batch: {settings.batch_size.value} ({settings.batch_size.reason})',
        f'iterations: {settings.iterations.value} ({settings.iterations.reason})',
        f'learning rate: {settings.lr.value:g} ({settings.lr.reason})',
        f'mirrored: {"yes" if settings.flip.value else "no"} ({settings.flip.reason})',
        f'views: scales {views} ({settings.scales.reason}); turned {turned} '
        f'({settings.rotations.reason})',
        f'boxes: {parts.boxes_reason}',
        f'sigmas: {parts.keypoints.sigmas_source}',
    ]


def _cautions(
    request: RecipeRequest, labeled: LabeledSet, keypoints: Keypoints
) -> list[str]:
    cautions = []
    if not keypoints.pairs and len(keypoints.names) > 1:
        cautions.append(
            'no pair of left and right was found in the names: if there are some, name '
            'them with --pairs LEFT:RIGHT …'
        )
    for number in keypoints.lonely:
        cautions.append(
            f'{keypoints.names[number]} has a side and no partner: if it has one, name '
            'it with --pairs LEFT:RIGHT …'
        )
    has_boxes = request.boxes is not None or request.detector is not None
    if labeled.most_on_an_image > 1 and not has_boxes:
        cautions.append(
            f'labeled images have up to {labeled.most_on_an_image} instances, and '
            'without boxes an unlabeled image counts as one: give them with --boxes or '
            '--detector'
        )
    work_dir = Path('work_dirs', request.name)
    if work_dir.exists():
        cautions.append(
            f'{work_dir} exists: checkpoints and labels in it are of another recipe of '
            'this name'
        )
    return cautions


def _commands(parts: Parts) -> tuple[str, ...]:
    folder, name = parts.folder, parts.name
    last = f'iter_{parts.settings.iterations.value}.pth'
    student = f'{folder}/student.py'
    commands = [
        f'python tools/train.py {folder}/teacher.py',
        f'python tools/plan.py {student}',
        f'python tools/label.py {student}',
        f'python tools/train.py {student}',
        f'python tools/report.py work_dirs/{name}/labels --config {student}',
        f'python tools/test.py {student} work_dirs/{name}/student/{last}',
    ]
    if parts.truth is not None:
        commands.insert(4, f'python tools/train.py {folder}/upper_bound.py')
    return tuple(commands)
