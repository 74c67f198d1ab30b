"""The plan of a distillation: counts, hours, disk space, label mix and schedule."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, HOOKS

from mmdistill.cli.main import original_sentence
from mmdistill.config.datasets import members_of as config_members
from mmdistill.config.datasets import uncut
from mmdistill.config.detectors import distills_boxes
from mmdistill.config.loops import check_training
from mmdistill.config.recipe import Recipe
from mmdistill.config.schema import is_type, stated
from mmdistill.datasets.annotation_configs import with_read_annotations
from mmdistill.engine.dry_build import check_training_parts
from mmdistill.engine.dry_evaluation import check_evaluation, check_metric_files
from mmdistill.errors import DataError, UserError
from mmdistill.functional.mixing import balanced_slots, labeled_slots
from mmdistill.plans.boxes import PlannedBoxes
from mmdistill.plans.detectors import plan_boxes
from mmdistill.plans.estimate import LabelingTrial, time_training_step, try_labeling
from mmdistill.plans.missing import boxes_to_find, missing_files
from mmdistill.plans.rounds import RoundCost, round_costs, round_rows
from mmdistill.plans.text import format_duration, format_size
from mmdistill.selection.counts import LabeledCounts, build_labeled, count_labeled
from mmdistill.stages.finish import with_finish
from mmdistill.stages.image_students import check_categories, has_image_samples
from mmdistill.stages.label_config import label_config, labeled_config
from mmdistill.stages.noise import noised_student_config
from mmdistill.stages.round_checks import check_rounds
from mmdistill.stages.round_configs import Rounds
from mmdistill.stages.schedule import grown_schedule
from mmdistill.utils.dataset_members import members_of
from mmdistill.utils.files import read_json

TRIAL_BATCH = 4
ANNOTATED = ('the labeled', 'the validation')
"""Sets whose annotations are read only when none of their files is missing."""
REPLACEABLE = ('the teacher', 'the initial weights')
"""Files that may be missing without ending the plan: trials use random weights."""


@dataclass(frozen=True)
class Plan:
    """Estimated cost of a distillation.

    Attributes:
        rows: Names and amounts, in words.
        missing: Missing files, each with the step that provides it.
        seconds: Estimated seconds of `labels`, the first labeling, and of `student`,
            all after it; where they could be tried.
    """

    rows: list[tuple[str, str]]
    missing: list[str]
    seconds: Mapping[str, float] = field(default_factory=dict)


def make_plan(config: Config) -> Plan:
    """Read config and data, and measure a few batches of each stage.

    Nothing is written: hashes of images are read from the work folder where labeling
    cached them, and computed otherwise. Where files are missing, or boxes are still to
    be detected, the plan holds only the rows that need neither.

    Args:
        config: A config with a `distill` section.

    Raises:
        UserError: If the config or the data would stop one of the stages.
    """
    init_default_scope(config.get('default_scope', 'mmpose'))
    # Files for the work folder go to a temporary one instead.
    with tempfile.TemporaryDirectory() as folder:
        recipe = Recipe.of(config)
        missing = missing_files(recipe)
        sentences: list[str] = []
        if not any(line.startswith(ANNOTATED) for line in missing):
            config, sentences = with_read_annotations(config, Path(folder))
            recipe = recipe.at(config)
        plan = _plan(recipe, missing)
    rows = [('annotations', sentence) for sentence in sentences]
    return Plan([*rows, *plan.rows], plan.missing)


def _plan(recipe: Recipe, missing: list[str]) -> Plan:
    student = _student(recipe)
    check_training_parts(recipe.config)
    if recipe.distill.rounds is not None and not missing:
        check_rounds(Rounds(recipe), keep_hashes=False)
    to_find = boxes_to_find(recipe)
    if to_find is not None:
        return Plan([*_box_rows(recipe.config, to_find), *_mix_rows(student)], missing)
    if any(not line.startswith(REPLACEABLE) for line in missing):
        return Plan(_mix_rows(student), missing)
    try:
        rows, seconds = _rows(recipe, student)
        return Plan(rows, missing, seconds)
    except UserError as error:
        if not missing:
            raise
        return Plan(_mix_rows(student), [*missing, original_sentence(error)])


def _student(recipe: Recipe) -> Config | None:
    """Config of stage 2; None where the config only labels."""
    if recipe.config.get('train_dataloader') is None:
        return None
    check_training(recipe.config)
    check_evaluation(recipe.config, 'val')
    return noised_student_config(recipe)


def _rows(
    recipe: Recipe, student: Config | None
) -> tuple[list[tuple[str, str]], dict[str, float]]:
    """All rows of a plan and its seconds, for a config whose files exist."""
    if distills_boxes(recipe):
        return _detector_rows(recipe, student)
    stage = label_config(recipe, teacher_needed=False)
    for hook in stage.custom_hooks:
        HOOKS.build(hook)
    labeled = build_labeled(labeled_config(recipe))
    counts = count_labeled(labeled)
    check_categories(recipe.config, counts)
    _check_validation(recipe.config)
    unlabeled = _build_unlabeled(stage)
    boxes = PlannedBoxes.of(recipe, labeled)
    trial = try_labeling(stage, unlabeled, TRIAL_BATCH, boxes.fit)
    over = recipe.distill.selection.labeled_images
    expected = round(counts.mean(over) * len(unlabeled))
    if unlabeled.has_boxes:
        expected = min(expected, unlabeled.num_boxes)
    costs = _round_costs(recipe, student, trial, len(unlabeled), counts, expected)
    training = _training_seconds(recipe, student, counts, expected)
    rows = [
        ('labeled', _format_counts(counts, len(members_of(labeled)))),
        ('unlabeled', _format_unlabeled(unlabeled)),
        *boxes.rows(trial.candidates),
        *(('store made otherwise', line) for line in trial.differences),
        *_labeling_rows(trial, unlabeled, recipe.distill.store),
        *_worth_rows(recipe, trial),
        ('pseudo-labels', f'about {expected}, matched over {over} labeled images'),
        *_mix_rows(student, _samples(student, counts, expected)),
        *_training_rows(recipe, student, counts, expected, training),
        *_round_rows(recipe, costs),
    ]
    labeling = trial.seconds / trial.images * len(unlabeled)
    seconds = dict(labels=labeling, student=training)
    if costs:
        students = Rounds(recipe).options.students
        of_all = sum(cost.labeling + students * cost.training for cost in costs)
        seconds['student'] = of_all - costs[0].labeling
    return rows, seconds


def _detector_rows(
    recipe: Recipe, student: Config | None
) -> tuple[list[tuple[str, str]], dict[str, float]]:
    """All rows of a plan of a detector, whose samples are images."""
    planned = plan_boxes(recipe)
    counts, expected = planned.samples, planned.expected_images
    training = _training_seconds(recipe, student, counts, expected)
    rows = [
        *planned.rows(),
        *_mix_rows(student, (counts.instances, expected)),
        *_training_rows(recipe, student, counts, expected, training),
    ]
    return rows, dict(labels=planned.seconds, student=training)


def _round_rows(recipe: Recipe, costs: list[RoundCost]) -> list[tuple[str, str]]:
    """Rows of all rounds together, where there are several."""
    return round_rows(costs, Rounds(recipe).options.students) if costs else []


def _round_costs(
    recipe: Recipe,
    student: Config | None,
    trial: LabelingTrial,
    images: int,
    counts: LabeledCounts,
    expected: int,
) -> list[RoundCost]:
    """The cost of each round, where there are several."""
    if recipe.distill.rounds is None or student is None:
        return []

    def cost(of_round: Recipe, tried: LabelingTrial) -> RoundCost:
        student = noised_student_config(of_round)
        student = _finished(of_round, student, counts, expected)
        length, _ = _length(student, _batches(student, counts, expected))
        return RoundCost(
            labeling=tried.seconds / tried.images * images,
            training=time_training_step(of_round.config) * length,
            num_bytes=tried.num_bytes / tried.images * images,
        )

    def measure(of_round: Recipe) -> RoundCost:
        stage = label_config(of_round, teacher_needed=False)
        labeled = build_labeled(labeled_config(of_round))
        fit = PlannedBoxes.of(of_round, labeled).fit
        dataset = _build_unlabeled(stage)
        return cost(of_round, try_labeling(stage, dataset, TRIAL_BATCH, fit))

    rounds = Rounds(recipe)
    first = cost(Recipe.of(rounds.config(1)), trial)
    return round_costs(recipe, first, measure)


def _format_counts(counts: LabeledCounts, members: int) -> str:
    sets = f' of {members} data sets' if members > 1 else ''
    return f'{counts.instances} instances on {counts.images} images{sets}'


def _build_unlabeled(stage: Config) -> Any:
    """Build the unlabeled set without writing a cache."""
    dataset = stage.test_dataloader.dataset
    if dataset.get('leak_guard'):
        dataset.leak_guard.keep_hashes = False
    unlabeled = DATASETS.build(dataset)
    if unlabeled.has_boxes and unlabeled.num_boxes == 0:
        categories = dataset.get('category_ids')
        of_categories = f' of the categories {list(categories)}' if categories else ''
        raise DataError(
            f'the {len(unlabeled)} unlabeled images have no box{of_categories}, so '
            'there would be no label; the boxes are those of '
            f'{dataset.get("bbox_file")}'
        )
    return unlabeled


def _check_validation(config: Config) -> None:
    """Check a validation set, which only the student would read."""
    dataset = (config.get('val_dataloader') or {}).get('dataset')
    for member in members_of(build_labeled(uncut(dataset))) if dataset else ():
        if len(member.dataset) == 0:
            raise DataError(
                f'the validation set {member.dataset.ann_file} has no sample'
            )
    check_metric_files(config, 'val')


def _format_unlabeled(unlabeled: Any) -> str:
    if not unlabeled.has_boxes:
        return f'{len(unlabeled)} images, whose instances the teacher finds'
    return f'{unlabeled.num_boxes} boxes on {len(unlabeled)} images'


def _labeling_rows(
    trial: LabelingTrial, unlabeled: Any, labels: str
) -> list[tuple[str, str]]:
    images = len(unlabeled)
    seconds = trial.seconds / trial.images * images
    size = trial.num_bytes / trial.images * images
    return [
        ('forward passes', _format_passes(trial, unlabeled)),
        (
            'labeling',
            f'about {format_duration(seconds)} on this machine with one process '
            f'({trial.seconds / trial.images:.3g} s an image, {trial.images} tried)',
        ),
        ('label store', f'about {format_size(size)} in {labels}'),
    ]


def _worth_rows(recipe: Recipe, trial: LabelingTrial) -> list[tuple[str, str]]:
    """Row of what the labels can be worth, measured in 1, 2 and all views."""
    images = _images_of_worth(recipe)
    if images == 0:
        return []
    work = trial.work + 1 + 2
    seconds = trial.seconds / trial.images * images * work / trial.work
    text = f'about {format_duration(seconds)} to measure it, on {images} labeled images'
    if recipe.distill.rounds is not None:
        text += ', in each round'
    return [("labels' worth", text)]


def _images_of_worth(recipe: Recipe) -> int:
    """Number of images on which it is measured what the labels can be worth, or more.

    More where some were trained on, or have no instance.
    """
    distill = recipe.distill
    if not distill.worth_images:
        return 0
    sets: list[Mapping[str, Any]]
    if distill.audit is not None:
        sets = [stated(distill.audit)]
    else:
        dataset = (recipe.config.get('val_dataloader') or {}).get('dataset')
        sets = config_members(dataset) if dataset else []
    files = [
        Path(each.get('data_root') or '', each['ann_file'])
        for each in sets
        if each.get('ann_file')
    ]
    if len(files) != 1 or not files[0].is_file():
        return 0
    content = read_json(files[0], 'the annotation file')
    images = content.get('images', ()) if isinstance(content, dict) else ()
    return min(distill.worth_images, len(images))


def _format_passes(trial: LabelingTrial, unlabeled: Any) -> str:
    """Forward passes of all inputs, counted in pixels where these differ in size."""
    name, count = 'image', len(unlabeled)
    if unlabeled.has_boxes:
        name, count = 'box', unlabeled.num_boxes
    views = f'{trial.views} views of each {name}'
    if trial.work != trial.views:
        views += f', the pixels of {trial.work:.3g} at resolution 1'
    return f'{views}: {round(trial.work * count)}'


def _box_rows(config: Config, folder: Path) -> list[tuple[str, str]]:
    """Rows of boxes that are still to be detected."""
    command = f'python tools/detect.py {config.filename}'
    return [
        ('boxes', f'labeling detects them first, into {folder}/'),
        ('', f'with them the plan is complete: {command}'),
    ]


def _mix_rows(
    student: Config | None, sizes: tuple[int, int] | None = None
) -> list[tuple[str, str]]:
    """Rows of a batch; its share may follow from the sizes of both sets, if known."""
    if student is None:
        return [('training', 'none: the config has no train_dataloader')]
    loader = student.train_dataloader
    batches = loader.get('batch_sampler') or {}
    if not is_type(batches, 'MixedRatioBatchSampler'):
        return [('batch', f'{loader.batch_size} samples, without a labeled share')]
    if 'source_ratio' in batches:
        ratio = list(batches['source_ratio'])
        return [('batch', f'{loader.batch_size} samples, of the sources as {ratio}')]
    size, share = loader.batch_size, batches.get('labeled_share')
    if share is not None:
        slots = labeled_slots(size, share)
    elif sizes is not None:
        slots = balanced_slots(size, *(max(each, 1) for each in sizes))
    else:
        mix = 'as many of them labeled as follows from the sizes of both sets'
        return [('batch', f'{size} samples a process, {mix}')]
    mix = f'{slots} labeled and {size - slots} pseudo-labeled samples a process'
    return [('batch', mix)]


def _training_seconds(
    recipe: Recipe, student: Config | None, counts: LabeledCounts, expected: int
) -> float:
    """Seconds of the student's training; 0 where the config only labels."""
    if student is None:
        return 0.0
    student = _finished(recipe, student, counts, expected)
    iterations, _ = _length(student, _batches(student, counts, expected))
    return time_training_step(recipe.config) * iterations


def _training_rows(
    recipe: Recipe,
    student: Config | None,
    counts: LabeledCounts,
    expected: int,
    seconds: float,
) -> list[tuple[str, str]]:
    if student is None:
        return []
    finish = recipe.distill.finish
    unfinished = _grown(recipe, student, counts, expected)
    student = _finished(recipe, student, counts, expected)
    batches = _batches(student, counts, expected)
    iterations, length = _length(student, batches)
    rows = [
        ('schedule', f'{length} with one process; steps at {_milestones(student)}'),
        (
            'training',
            f'about {format_duration(seconds)} on this machine with one process',
        ),
    ]
    if finish is not None:
        added = iterations - _length(unfinished, batches)[0]
        text = f'the last {added} iterations, on labeled samples alone'
        rows.insert(1, ('finish', text))
    return rows


def _length(student: Config, batches: int) -> tuple[int, str]:
    """Iterations of a training whose epochs have this many batches, and its length."""
    schedule = student.train_cfg
    if schedule.get('max_iters') is not None:
        return schedule.max_iters, f'{schedule.max_iters} iterations'
    iterations = schedule.max_epochs * batches
    return iterations, f'{schedule.max_epochs} epochs, {iterations} iterations'


def _grown(
    recipe: Recipe, student: Config, counts: LabeledCounts, expected: int
) -> Config:
    """The student's config with the schedule that it will have."""
    rule = recipe.distill.schedule
    if rule is None:
        return student
    return grown_schedule(student, *_samples(student, counts, expected), rule)


def _finished(
    recipe: Recipe, student: Config, counts: LabeledCounts, expected: int
) -> Config:
    """The student's config with its schedule and the finish after it."""
    student = _grown(recipe, student, counts, expected)
    finish = recipe.distill.finish
    return student if finish is None else with_finish(student, finish)


def _batches(student: Config, counts: LabeledCounts, expected: int) -> int:
    """Number of batches in an epoch of one process."""
    loader = student.train_dataloader
    samples = sum(_samples(student, counts, expected))
    num_batches = (loader.get('batch_sampler') or {}).get('num_batches')
    return num_batches or math.ceil(samples / loader.batch_size)


def _samples(
    student: Config | None, counts: LabeledCounts, expected: int
) -> tuple[int, int]:
    """Labeled and pseudo-labeled samples: instances, or images that have some."""
    if student is None or not has_image_samples(student):
        return counts.instances, expected
    images = counts.annotated_images
    return images, max(round(expected * images / counts.instances), 1)


def _milestones(config: Config) -> str:
    schedulers = config.get('param_scheduler') or []
    if isinstance(schedulers, Mapping):
        schedulers = [schedulers]
    steps = [list(scheduler.get('milestones', ())) for scheduler in schedulers]
    return ', '.join(str(step) for milestones in steps for step in milestones) or 'none'
