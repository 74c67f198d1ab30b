"""The files of a recipe: configs as a person would write them, with their reasons."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmdistill.functional.mixing import balanced_share
from mmdistill.recipes.config_text import Code, Reasoned, Statement, config_text
from mmdistill.recipes.parts import (
    Parts,
    docstring,
    reasoned,
    sentence,
    training_command,
    wrapped,
)
from mmdistill.recipes.training_file import training_text

LABELED_SHARE = 0.3
"""Share of human labels beside those of a larger teacher, as in `lspe/`."""
LEFT, RIGHT, MIDDLE = [0, 255, 0], [255, 128, 0], [51, 153, 255]
"""Colors of bones, as MMPose has them for people."""


def dataset_text(parts: Parts) -> str:
    """Write `dataset.py`, the metainfo.

    Args:
        parts: What it is written of.
    """
    keypoints = parts.keypoints
    names, partner = keypoints.names, keypoints.partner
    info = {
        number: dict(
            name=name,
            id=number,
            type='lower' if number in keypoints.lower else 'upper',
            swap=names[partner[number]] if number in partner else '',
        )
        for number, name in enumerate(names)
    }
    left = {a for a, _ in keypoints.pairs}
    right = {b for _, b in keypoints.pairs}
    skeleton = {
        number: dict(
            link=(names[a], names[b]), id=number, color=_color((a, b), left, right)
        )
        for number, (a, b) in enumerate(keypoints.bones)
    }
    weights = 'as in COCO: limbs count more' if set(keypoints.weights) != {1.0} else ''
    value = dict(
        dataset_name=parts.name,
        keypoint_info=Reasoned(
            info, f'Pairs of left and right (swap): {keypoints.pairs_source}.'
        ),
        skeleton_info=Reasoned(skeleton, f'Bones: {keypoints.bones_source}.'),
        joint_weights=Reasoned(
            list(keypoints.weights), f'Weights in the loss{weights and ", " + weights}.'
        ),
        sigmas=Reasoned(
            list(keypoints.sigmas), f'Sigmas of OKS: {keypoints.sigmas_source}.'
        ),
    )
    counted = 'keypoint' if len(names) == 1 else 'keypoints'
    doc = f'{parts.name}: {len(names)} {counted} of a {parts.category}.'
    return config_text(wrapped(doc), [Statement('dataset_info', value)])


def teacher_text(parts: Parts) -> str:
    """Write `teacher.py`, a plain training on the labels.

    Args:
        parts: What it is written of.
    """
    network = parts.teacher or parts.student
    return training_text(parts, 'teacher', 'the teacher', network)


def baseline_text(parts: Parts) -> str:
    """Write `baseline.py`: the student's model, on the labels alone.

    Args:
        parts: What it is written of.
    """
    if parts.teacher is not None:
        title = 'the supervised baseline'
        return training_text(parts, 'baseline', title, parts.student)
    doc = docstring(
        f"{parts.name}: the supervised baseline, the labels at the student's length.",
        training_command(parts, 'baseline'),
        "The student trains as long as its teacher, so this is the teacher's own "
        'training; a recipe with a longer student states its length here.',
    )
    return config_text(
        doc,
        [
            Statement('_base_', 'teacher.py'),
            Statement('work_dir', f'{parts.work_dir}/baseline'),
        ],
    )


def student_text(parts: Parts) -> str:
    """Write `student.py`, the distillation.

    Args:
        parts: What it is written of.
    """
    settings, unlabeled = parts.settings, parts.unlabeled
    doc = docstring(
        f'{parts.name}: the student, {parts.instances} labels and the pseudo-labels '
        f'of {unlabeled.images} images.',
        training_command(parts, 'student'),
        'Labels the images first (the teacher must be trained), then trains.',
    )
    iterations = settings.iterations.value
    checkpoint = f'{parts.work_dir}/teacher/iter_{iterations}.pth'
    views: dict[str, Any] = dict(scales=reasoned(settings.scales))
    if settings.rotations.value:
        views['rotations'] = reasoned(settings.rotations)
    else:
        views['scales'] = Reasoned(
            settings.scales.value,
            sentence(
                f'{settings.scales.reason}; none turned: {settings.rotations.reason}'
            ),
        )
    if not settings.flip.value:
        views['flip'] = Reasoned(False, sentence(settings.flip.reason))
    of_distill, of_unlabeled = parts.boxes
    section = {**unlabeled.section, **of_unlabeled}
    teacher: dict[str, Any] = dict(checkpoint=checkpoint)
    if parts.teacher is not None:
        teacher['config'] = f'{parts.folder}/teacher.py'
    distill: dict[str, Any] = dict(
        teacher=teacher,
        views=views,
        unlabeled=Reasoned(section, _unlabeled_reason(parts)),
        **of_distill,
        store=f'{parts.work_dir}/labels',
    )
    distill.update(_mixing(parts))
    distill['schedule'] = Reasoned(
        dict(max_factor=1.0), 'As long as the baseline, to be compared with it.'
    )
    distill['finish'] = Reasoned(
        {}, 'The last steps are on labels alone, which are more precise than a teacher.'
    )
    return config_text(
        doc,
        [
            Statement('_base_', ['baseline.py', parts.distill_base]),
            Statement('work_dir', f'{parts.work_dir}/student'),
            Statement('distill', distill, gap=True),
        ],
    )


def upper_bound_text(parts: Parts) -> str:
    """Write `upper_bound.py`: true labels on all images.

    Args:
        parts: What it is written of, `truth` among it.
    """
    assert parts.truth is not None
    doc = docstring(
        f"{parts.name}: the upper bound, the baseline's schedule with true labels on "
        'all images.',
        training_command(parts, 'upper_bound'),
        'The only config that reads the labels of the unlabeled images.',
    )
    truth = dict(
        type='CocoDataset',
        metainfo=Code('_base_.dataset_info'),
        ann_file=parts.truth.ann_file,
        data_prefix=dict(img=parts.truth.img),
        pipeline=Code('_base_.train_pipeline'),
    )
    dataset = dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[Code('_base_.train_dataloader.dataset'), truth],
    )
    return config_text(
        doc,
        [
            Statement('_base_', 'baseline.py'),
            Statement('work_dir', f'{parts.work_dir}/upper_bound'),
            Statement('train_dataloader', dict(dataset=dataset), gap=True),
        ],
    )


def _mixing(parts: Parts) -> dict[str, Any]:
    """The share of labels, where it is not the usual one."""
    share, reason = parts.labeled_share, 'Share of labels: stated.'
    if share is None:
        if parts.teacher is None or _usual_share(parts) <= LABELED_SHARE:
            return {}
        share = LABELED_SHARE
        reason = 'A larger teacher labels well enough for most of a batch.'
    return dict(mixing=Reasoned(dict(labeled_share=share), reason))


def _usual_share(parts: Parts) -> float:
    """The share without a setting, if there are as many pseudo-labels as images."""
    return balanced_share(parts.instances, max(1, parts.unlabeled.images))


def _unlabeled_reason(parts: Parts) -> str:
    every = parts.unlabeled.every
    frames = f'Frames: {parts.unlabeled.every_reason}. ' if every else ''
    return f'{frames}Boxes: {parts.boxes_reason}.'


def _color(bone: tuple[int, int], left: set[int], right: set[int]) -> list[int]:
    for side, color in ((left, LEFT), (right, RIGHT)):
        others = right if side is left else left
        if side & set(bone) and not others & set(bone):
            return color
    return MIDDLE


def files_of(parts: Parts, modules: Mapping[str, Path]) -> dict[str, str]:
    """Write all files of a recipe.

    Args:
        parts: What they are written of.
        modules: Files of the modules that are copied, by their name.

    Returns:
        Texts by file name.
    """
    files = {
        'dataset.py': dataset_text(parts),
        'teacher.py': teacher_text(parts),
        'baseline.py': baseline_text(parts),
        'student.py': student_text(parts),
    }
    if parts.truth is not None:
        files['upper_bound.py'] = upper_bound_text(parts)
    for name in parts.modules:
        files[f'{name}.py'] = modules[name].read_text(encoding='utf-8')
    return files
