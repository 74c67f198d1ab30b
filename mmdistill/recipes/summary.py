"""What a new recipe says on the terminal: data, settings, cautions, commands."""

from __future__ import annotations

import shlex

from mmdistill.engine.hooks.plain_model_hook import MODEL_FILE
from mmdistill.recipes.keypoints import Keypoints
from mmdistill.recipes.labeled_set import LabeledSet
from mmdistill.recipes.parts import Parts
from mmdistill.recipes.request import RecipeRequest
from mmdistill.recipes.unlabeled_set import UnlabeledSet

WORK = ('teacher', 'baseline', 'student', 'labels')
"""What the commands of a recipe leave in its work folder."""


def data_notes(
    labeled: LabeledSet, unlabeled: UnlabeledSet, training: int, rule: str
) -> list[str]:
    """Say what the data are, a line each.

    Args:
        labeled: The labeled set, with the images that validate.
        unlabeled: The unlabeled set.
        training: Number of instances that train.
        rule: Where the validation set is from.
    """
    notes = [
        f'labeled: {len(labeled)} instances of {len(labeled.names)} keypoints on '
        f'{len(labeled.images)} images, {training} of them train',
        f'validation: {rule}',
        f'unlabeled: {unlabeled.description}',
    ]
    return [*notes, *([labeled.notes] if labeled.notes else [])]


def setting_notes(parts: Parts) -> list[str]:
    """Say what was chosen, a line each, with its reason.

    Args:
        parts: The recipe.
    """
    settings = parts.settings
    width, height = settings.codec.value['input_size']
    turned = ', '.join(f'{angle:g}' for angle in settings.rotations.value) or 'none'
    views = ', '.join(f'{scale:g}' for scale in settings.scales.value)
    every = parts.unlabeled.every
    frames = [f'frames: each {every}th ({parts.unlabeled.every_reason})']
    return [
        *(frames if every else []),
        f'model: {parts.model.name} ({parts.model.reason})',
        *_teacher_note(parts),
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


def _teacher_note(parts: Parts) -> list[str]:
    teacher = parts.teacher
    if teacher is None:
        return []
    width, height = teacher.codec.value['input_size']
    return [
        f'teacher: {teacher.model.name} at {width}x{height} ({teacher.model.reason}; '
        'as large as the student: --teacher-model same)'
    ]


def find_cautions(
    request: RecipeRequest, labeled: LabeledSet, keypoints: Keypoints
) -> list[str]:
    """Say what a person should look at before training.

    Args:
        request: What is asked for.
        labeled: The labeled set.
        keypoints: Its keypoints.
    """
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
    work_dir = request.work_folder
    left = [name for name in WORK if (work_dir / name).exists()]
    if left:
        cautions.append(
            f'{work_dir} has {", ".join(left)} of another recipe of this name: name a '
            'folder of its own with --work-dir'
        )
    return cautions


def commands_of(parts: Parts) -> tuple[str, ...]:
    """List the commands to type, in their order.

    Args:
        parts: The recipe.
    """
    folder, work = shlex.quote(parts.folder), shlex.quote(parts.work_dir)
    student = f'{folder}/student.py'
    commands = [
        f'python tools/train.py {folder}/teacher.py',
        f'python tools/plan.py {student}',
        f'python tools/label.py {student}',
        f'python tools/train.py {student}',
        f'python tools/report.py {work}/labels --config {student}',
        f'python tools/test.py {student} {work}/student/{MODEL_FILE}',
    ]
    if parts.truth is not None:
        commands.insert(4, f'python tools/train.py {folder}/upper_bound.py')
    return tuple(commands)
