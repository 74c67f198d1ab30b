"""Files that a distillation needs and that do not exist."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmdistill.config.datasets import members_of
from mmdistill.config.detector_options import DetectorConfig
from mmdistill.config.loops import evaluators_of
from mmdistill.config.recipe import Recipe
from mmdistill.config.schema import TeacherConfig, stated
from mmdistill.engine.initial_weights import fetch_problem, missing_weights
from mmdistill.stages.holdout import holdout_files
from mmdistill.stages.label_config import labeled_members
from mmdistill.store import LabelStore
from mmdistill.store.manifest import DETECTIONS
from mmdistill.utils.files import folder_problem


def missing_files(recipe: Recipe) -> list[str]:
    """List missing files, each with the command or step that provides it.

    Args:
        recipe: The recipe.

    Raises:
        UserError: If the recipe has no labeled set, or the config of its detector or of
            its teacher cannot be read.
    """
    config, distill = recipe.config, recipe.distill
    validation = (config.get('val_dataloader') or {}).get('dataset')
    return [
        *(
            line
            for teacher in distill.teachers
            for line in _missing_model(config, 'teacher', teacher)
        ),
        *_missing_detector(recipe),
        *_missing_members('labeled', labeled_members(recipe)),
        *_missing_data('unlabeled', stated(distill.unlabeled)),
        *_missing_boxes(distill.unlabeled.bbox_file),
        *_missing_members('validation', members_of(validation) if validation else []),
        *_missing_holdout(recipe),
        *_missing_metric_files(config.get('val_evaluator') or ()),
        *(missing_weights(config) if config.get('train_dataloader') else ()),
        *_unwritable(recipe),
    ]


def boxes_to_find(recipe: Recipe) -> Path | None:
    """Return the folder of the boxes still to be detected; None where there are none.

    Args:
        recipe: The recipe.
    """
    folder = recipe.distill.boxes_folder
    if folder is None or LabelStore(folder, DETECTIONS).complete:
        return None
    return folder


def _missing_model(
    config: Config, role: str, section: TeacherConfig | DetectorConfig
) -> Iterator[str]:
    if not section.checkpoint:
        yield f'the {role} checkpoint: set distill.{role}.checkpoint'
        return
    path = section.checkpoint
    if '://' in path:
        problem = fetch_problem(path)
        if problem:
            yield f'the {role} checkpoint {path}: {problem}'
        return
    if Path(path).is_file():
        return
    own = section.config if role == 'teacher' else None
    trained_by = own or config_of_folder(config, Path(path).parent)
    remedy = (
        f'python tools/train.py {trained_by}'
        if trained_by
        else f'train it, or set distill.{role}.checkpoint'
    )
    yield f'the {role} checkpoint {path}: {remedy}'


def _missing_detector(recipe: Recipe) -> Iterator[str]:
    detector = recipe.distill.detector
    if detector is not None and boxes_to_find(recipe) is not None:
        yield from _missing_model(recipe.config, 'detector', detector)


def config_of_folder(config: Config, work_dir: Path) -> str | None:
    """Find the config beside this one with a work folder.

    Args:
        config: The recipe's config.
        work_dir: The folder, as the config states it.

    Returns:
        The file; None where there is none.
    """
    folder = Path(config.filename).parent
    assignment = re.compile(
        rf"^work_dir = '{re.escape(str(work_dir))}/?'", re.MULTILINE
    )
    for path in sorted(folder.glob('*.py')):
        if assignment.search(path.read_text()):
            return str(path)
    return None


def _unwritable(recipe: Recipe) -> Iterator[str]:
    """Folders that nothing could be written into."""
    for name, folder in (
        ('work_dir', recipe.config.get('work_dir') or '.'),
        ('distill.store', recipe.distill.store),
    ):
        problem = folder_problem(Path(folder))
        if problem:
            yield f'the folder {folder} of {name}: {problem}; name another one'


def _missing_members(role: str, members: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Missing files of all members of a set, each once."""
    lines = [line for member in members for line in _missing_data(role, member)]
    yield from dict.fromkeys(lines)


def _missing_data(role: str, dataset: Mapping[str, Any] | None) -> Iterator[str]:
    if not dataset:
        return
    root = Path(dataset.get('data_root') or '')
    path = root / (dataset.get('ann_file') or '')
    if dataset.get('ann_file') and not path.is_file():
        is_split = path.stem.endswith(('_labeled', '_unlabeled'))
        remedy = 'python tools/make_splits.py --help' if is_split else 'put it there'
        yield f'the {role} list {path}: {remedy}'
    folder = root / (dataset.get('data_prefix') or {}).get('img', '')
    if not folder.is_dir():
        yield f'the {role} images {folder}/: put them there'


def _missing_holdout(recipe: Recipe) -> Iterator[str]:
    rounds = recipe.distill.rounds
    if rounds is not None and rounds.holdout is not None:
        files = holdout_files(recipe)
        if not Path(files['ann_file']).is_file():
            yield f'the held-out list {files["ann_file"]}: put it there'


def _missing_metric_files(evaluators: Any) -> Iterator[str]:
    """Missing annotations of the student's metrics, which are built after labeling."""
    for evaluator in evaluators_of(evaluators):
        path = evaluator.get('ann_file')
        if path and not Path(path).is_file():
            yield f'the annotations {path} of {evaluator.get("type")}: put them there'


def _missing_boxes(bbox_file: str | None) -> Iterator[str]:
    if bbox_file and not Path(bbox_file).is_file():
        yield (
            f'the boxes {bbox_file}: detect them, or for a trial with true boxes '
            f'python tools/make_boxes.py ANN_FILE {bbox_file}'
        )
