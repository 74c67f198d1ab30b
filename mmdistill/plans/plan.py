"""What a distillation will take: counts, hours, disk, the mix and the schedule."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, HOOKS

from mmdistill.cli.main import original_sentence
from mmdistill.config.datasets import uncut
from mmdistill.config.loops import check_training
from mmdistill.config.mixing import LABELED_SHARE
from mmdistill.config.schema import is_type
from mmdistill.datasets.annotation_configs import with_read_annotations
from mmdistill.engine.dry_build import check_training_parts
from mmdistill.errors import UserError
from mmdistill.functional.mixing import labeled_slots
from mmdistill.plans.boxes import PlannedBoxes
from mmdistill.plans.estimate import LabelingTrial, time_training_step, try_labeling
from mmdistill.plans.missing import boxes_to_find, missing_files
from mmdistill.selection.counts import LabeledCounts, build_labeled, count_labeled
from mmdistill.stages.label_config import label_config, labeled_config
from mmdistill.stages.schedule import grown_schedule
from mmdistill.stages.train_config import student_config
from mmdistill.utils.dataset_members import members_of

TRIAL_BATCH = 4
ANNOTATED = ('the labeled', 'the validation')
"""Sets whose annotations are read once nothing of them is missing."""
HIDES_NOTHING = ('the teacher', 'the initial weights')
"""What may be missing without hiding the rest: a trial runs with random weights."""


@dataclass(frozen=True)
class Plan:
    """What a distillation will take.

    Attributes:
        rows: What, and how much of it, in words.
        missing: What is not there, each with what makes it.
    """

    rows: list[tuple[str, str]]
    missing: list[str]


def make_plan(config: Config) -> Plan:
    """Read config and data, and try a few batches of each stage.

    Nothing is written: hashes of images are taken from the work folder where labeling
    left them there, and computed anew where it did not. Where files are missing, or
    boxes are still to be found, only what can be told without them is.

    Args:
        config: A config with a `distill` section.

    Raises:
        UserError: If the config or the data would stop one of the stages.
    """
    init_default_scope(config.get('default_scope', 'mmpose'))
    # What would be written into the work folder is gone with the plan.
    with tempfile.TemporaryDirectory() as folder:
        missing = missing_files(config)
        sentences: list[str] = []
        if not any(each.startswith(ANNOTATED) for each in missing):
            config, sentences = with_read_annotations(config, Path(folder))
        plan = _plan(config, missing)
    rows = [('annotations', sentence) for sentence in sentences]
    return Plan([*rows, *plan.rows], plan.missing)


def _plan(config: Config, missing: list[str]) -> Plan:
    student = _student(config)
    check_training_parts(config)
    to_find = boxes_to_find(config)
    if to_find is not None:
        return Plan([*_box_rows(config, to_find), *_mix_rows(student)], missing)
    if any(not each.startswith(HIDES_NOTHING) for each in missing):
        return Plan(_mix_rows(student), missing)
    try:
        return Plan(_rows(config, student), missing)
    except UserError as error:
        if not missing:
            raise
        return Plan(_mix_rows(student), [*missing, original_sentence(error)])


def _student(config: Config) -> Config | None:
    """The config of stage 2; None where labels are all that is asked for."""
    if config.get('train_dataloader') is None:
        return None
    check_training(config)
    return student_config(config)


def _rows(config: Config, student: Config | None) -> list[tuple[str, str]]:
    """All there is to tell, of a config whose files are there."""
    stage = label_config(config, teacher_needed=False)
    for hook in stage.custom_hooks:
        HOOKS.build(hook)
    labeled = build_labeled(labeled_config(config))
    counts = count_labeled(labeled)
    _check_validation(config)
    pile = _pile(stage)
    boxes = PlannedBoxes.of(config, labeled)
    trial = try_labeling(stage, pile, TRIAL_BATCH, boxes.fit)
    over = config.distill.get('selection', {}).get('labeled_images', 'all')
    expected = min(round(counts.mean(over) * len(pile)), pile.num_boxes)
    return [
        ('labeled', _described(counts, len(members_of(labeled)))),
        ('unlabeled', f'{pile.num_boxes} boxes on {len(pile)} images'),
        *boxes.rows(trial.candidates),
        *_labeling_rows(trial, len(pile), pile.num_boxes, str(config.distill.store)),
        ('pseudo-labels', f'about {expected}, matched over {over} labeled images'),
        *_mix_rows(student),
        *_training_rows(config, student, counts, expected),
    ]


def _described(counts: LabeledCounts, members: int) -> str:
    sets = f' of {members} data sets' if members > 1 else ''
    return f'{counts.instances} instances on {counts.images} images{sets}'


def _pile(stage: Config) -> Any:
    """The unlabeled images, found without leaving a trace."""
    dataset = stage.test_dataloader.dataset
    if dataset.get('leak_guard'):
        dataset.leak_guard.keep_hashes = False
    pile = DATASETS.build(dataset)
    if pile.num_boxes == 0:
        categories = dataset.get('category_ids')
        kept = f' of the categories {list(categories)}' if categories else ''
        raise UserError(
            f'the {len(pile)} unlabeled images have no box{kept}, so there would be '
            f'no label; the boxes are those of {dataset.get("bbox_file")}'
        )
    return pile


def _check_validation(config: Config) -> None:
    """A validation set that cannot be read would stop the student, not the labels."""
    dataset = (config.get('val_dataloader') or {}).get('dataset')
    for member in members_of(build_labeled(uncut(dataset))) if dataset else ():
        if len(member.dataset) == 0:
            raise UserError(
                f'the validation set {member.dataset.ann_file} has no sample'
            )


def _labeling_rows(
    trial: LabelingTrial, images: int, boxes: int, labels: str
) -> list[tuple[str, str]]:
    seconds = trial.seconds / trial.images * images
    size = trial.num_bytes / trial.images * images
    return [
        ('forward passes', f'{trial.views} views of each box: {trial.views * boxes}'),
        (
            'labeling',
            f'about {_duration(seconds)} on this machine with one process '
            f'({trial.seconds / trial.images:.3g} s an image, {trial.images} tried)',
        ),
        ('label store', f'about {_size(size)} in {labels}'),
    ]


def _box_rows(config: Config, folder: Path) -> list[tuple[str, str]]:
    """What is still to be found, and how to know more of the rest."""
    command = f'python tools/detect.py {config.filename}'
    return [
        ('boxes', f'labeling finds them first, into {folder}/'),
        ('', f'with them there is more to tell: {command}'),
    ]


def _mix_rows(student: Config | None) -> list[tuple[str, str]]:
    if student is None:
        return [('training', 'none: the config has no train_dataloader')]
    loader = student.train_dataloader
    batches = loader.get('batch_sampler') or {}
    if not is_type(batches, 'MixedRatioBatchSampler'):
        return [('batch', f'{loader.batch_size} samples, without a labeled share')]
    if 'source_ratio' in batches:
        ratio = list(batches['source_ratio'])
        return [('batch', f'{loader.batch_size} samples, of the sources as {ratio}')]
    share = batches.get('labeled_share', LABELED_SHARE)
    slots = labeled_slots(loader.batch_size, share)
    return [
        (
            'batch',
            f'{slots} labeled and {loader.batch_size - slots} pseudo-labeled samples '
            'a process',
        )
    ]


def _training_rows(
    config: Config, student: Config | None, counts: LabeledCounts, expected: int
) -> list[tuple[str, str]]:
    if student is None:
        return []
    rule = config.distill.get('schedule')
    if rule is not None:
        student = grown_schedule(student, counts.instances, expected, **rule)
    schedule = student.train_cfg
    iterations = schedule.get('max_iters')
    length = f'{iterations} iterations'
    if iterations is None:
        iterations = schedule.max_epochs * _batches(student, counts, expected)
        length = f'{schedule.max_epochs} epochs, {iterations} iterations'
    seconds = time_training_step(config) * iterations
    return [
        ('schedule', f'{length} with one process; steps at {_milestones(student)}'),
        ('training', f'about {_duration(seconds)} on this machine with one process'),
    ]


def _batches(student: Config, counts: LabeledCounts, expected: int) -> int:
    """Batches in an epoch of one process."""
    loader = student.train_dataloader
    stated = (loader.get('batch_sampler') or {}).get('num_batches')
    return stated or math.ceil((counts.instances + expected) / loader.batch_size)


def _milestones(config: Config) -> str:
    schedulers = config.get('param_scheduler') or []
    if isinstance(schedulers, Mapping):
        schedulers = [schedulers]
    steps = [list(each.get('milestones', ())) for each in schedulers]
    return ', '.join(str(step) for each in steps for step in each) or 'none'


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f'{seconds:.0f} s'
    return f'{seconds / 60:.0f} min' if seconds < 5400 else f'{seconds / 3600:.1f} h'


def _size(num_bytes: float) -> str:
    return (
        f'{num_bytes / 1e6:.2g} MB' if num_bytes < 1e9 else f'{num_bytes / 1e9:.2g} GB'
    )
