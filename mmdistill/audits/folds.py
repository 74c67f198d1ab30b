"""Audit by cross-validation, for data without a val set.

The labeled set is cut into folds. For each, a teacher is trained on the other folds and
audited on the fold; the audit joins all folds. These teachers train on fewer images
than the one whose labels are audited, so its labels should be slightly better.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.dist import barrier, is_main_process
from mmengine.logging import print_log

from mmdistill import stages
from mmdistill.audits.audited_set import (
    AuditedSet,
    checked_annotations,
    labeled_set,
)
from mmdistill.audits.candidates import MatchedCandidates, join, match_candidates
from mmdistill.audits.label_views import label_views
from mmdistill.audits.metrics import FUSED
from mmdistill.audits.result import Audit
from mmdistill.audits.run import (
    audit_folder,
    describe_images,
    read_unlabeled_selection,
    sigmas_of,
    write_audit,
)
from mmdistill.audits.unlabeled_selection import UnlabeledSelection
from mmdistill.config.files import read_config
from mmdistill.config.recipe import Recipe
from mmdistill.errors import ConfigError
from mmdistill.functional.permutation import permuted
from mmdistill.utils.files import read_json, write_json

FOLD_KEY = 0
TEACHER_FILE = 'teacher.json'
LAST_CHECKPOINT = 'last_checkpoint'


def audit_folds(
    recipe: Recipe, num_folds: int, teacher_config: str | None = None
) -> Audit | None:
    """Audit the labels of a config by teachers trained for it, one per fold.

    An audit that was stopped resumes, within a training from its last checkpoint.

    Args:
        recipe: A recipe whose images are labeled.
        num_folds: Number of folds, and of teachers.
        teacher_config: Training config of the teachers; by default
            `distill.teacher.config`.

    Returns:
        The audit on the first process, None on others.

    Raises:
        UserError: If there are fewer images than folds or less than 2 folds, no
            training config of a teacher is given, or the labels do not match.
    """
    selection = read_unlabeled_selection(recipe)
    teacher = _teacher_config(recipe, teacher_config)
    labeled = checked_annotations(recipe, labeled_set(recipe))
    root = audit_folder(recipe, labeled) / f'{num_folds}_folds'
    folds = write_folds(labeled.ann_file, num_folds, root)
    _log(
        f'{num_folds} teachers are trained with {teacher.filename}, each without one '
        f'fold of {labeled.ann_file}, and audited on it; below {root}'
    )
    results = []
    for number, (rest, held_out) in enumerate(folds, start=1):
        folder = held_out.parent
        _log(f'fold {number} of {num_folds}')
        checkpoint = _train_teacher(teacher, rest, folder)
        audited = AuditedSet(held_out, labeled.img_root)
        results.append(_match_fold(recipe, checkpoint, audited, folder, selection))
    if not is_main_process():
        return None
    candidates_by_view, boxes = results[0]
    matched = {
        view: join([candidates[view] for candidates, _ in results])
        for view in candidates_by_view
    }
    images = replace(
        describe_images(labeled, boxes, matched[FUSED]),
        folds=num_folds,
        teacher_config=str(teacher.filename),
    )
    return write_audit(recipe, matched, selection, images)


def _log(text: str) -> None:
    print_log(f'audit: {text}', logger='current')


def write_folds(ann_file: Path, num_folds: int, root: Path) -> list[tuple[Path, Path]]:
    """Cut a COCO json into folds of images, deterministically.

    Args:
        ann_file: The json.
        num_folds: Number of folds.
        root: Folder to write to.

    Returns:
        For each fold the json of all other images and the json of its own.

    Raises:
        UserError: If there are fewer images than folds, or less than 2 folds.
    """
    content = read_json(ann_file, 'the annotation file')
    images = sorted(content['images'], key=lambda image: image['id'])
    if not 2 <= num_folds <= len(images):
        raise ConfigError(
            f'the number of folds must be at least 2 and at most the {len(images)} '
            f'images of {ann_file}, got {num_folds}'
        )
    order = permuted(np.arange(len(images)), len(images), FOLD_KEY)
    written = []
    for number in range(num_folds):
        fold_ids = {images[i]['id'] for i in order[number::num_folds].tolist()}
        other_ids = {image['id'] for image in images} - fold_ids
        folder = root / f'{number + 1}'
        pair = (folder / 'rest.json', folder / 'held_out.json')
        for path, image_ids in zip(pair, (other_ids, fold_ids), strict=True):
            write_json(path, _subset(content, images, image_ids))
        written.append(pair)
    return written


def _subset(
    content: dict[str, Any], images: Sequence[dict[str, Any]], image_ids: set[int]
) -> dict[str, Any]:
    """Copy of a COCO json with some of its images."""
    return dict(
        content,
        images=[image for image in images if image['id'] in image_ids],
        annotations=[a for a in content['annotations'] if a['image_id'] in image_ids],
    )


def _teacher_config(recipe: Recipe, teacher_config: str | None) -> Config:
    teachers = recipe.distill.teachers
    if len(teachers) > 1:
        raise ConfigError(
            f'folds train one teacher each, distill.teacher lists {len(teachers)}; '
            'audit the ensemble on labeled images that none of them was trained on, '
            'without --folds'
        )
    path = teacher_config or teachers[0].config
    if path is None:
        raise ConfigError(
            'folds need to know how a teacher is trained: name its config with '
            '--teacher-config, or in distill.teacher.config'
        )
    teacher = read_config(path, 'the teacher config')
    teacher.launcher = recipe.config.get('launcher', 'none')
    return teacher


def _train_teacher(teacher: Config, ann_file: Path, folder: Path) -> str:
    """Train a teacher on a json unless that is done; return its checkpoint."""
    done = folder / TEACHER_FILE
    work_dir = folder / 'teacher'
    if not done.is_file():
        stages.train(_training_config(teacher, ann_file, work_dir))
        barrier()
        last = (work_dir / LAST_CHECKPOINT).read_text().strip()
        if is_main_process():
            write_json(done, dict(checkpoint=Path(last).name))
        barrier()
    return str(work_dir / read_json(done, 'the trained teacher')['checkpoint'])


def _training_config(teacher: Config, ann_file: Path, work_dir: Path) -> Config:
    config = copy.deepcopy(teacher)
    dataset = config.train_dataloader.dataset
    if 'ann_file' not in dataset:
        raise ConfigError(
            f'folds need a teacher config that trains on one labeled set, '
            f'{teacher.filename} trains on a {dataset["type"]}'
        )
    dataset.ann_file = str(ann_file.resolve())
    config.val_cfg = config.val_dataloader = config.val_evaluator = None
    config.work_dir = str(work_dir)
    if (work_dir / LAST_CHECKPOINT).is_file():
        config.resume, config.load_from = True, None
    return config


def _match_fold(
    recipe: Recipe,
    checkpoint: str,
    audited: AuditedSet,
    folder: Path,
    unlabeled_selection: UnlabeledSelection,
) -> tuple[dict[str, MatchedCandidates], str]:
    """Matched candidates by view of one fold, and the source of its boxes."""
    teacher = replace(recipe.distill.teachers[0], checkpoint=checkpoint)
    recipe = replace(recipe, distill=replace(recipe.distill, teacher=(teacher,)))
    stores, source = label_views(recipe, audited, folder, 'teacher')
    barrier()
    sigmas = sigmas_of(recipe)
    matched = {
        name: match_candidates(store, audited.ann_file, sigmas, unlabeled_selection)
        for name, store in stores.items()
    }
    return matched, source
