"""Files that a distillation needs and that are not there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmdistill.config.datasets import members_of
from mmdistill.config.schema import boxes_folder, distill_section
from mmdistill.engine.initial_weights import fetch_problem, missing_weights
from mmdistill.stages.label_config import labeled_members
from mmdistill.store import LabelStore
from mmdistill.store.manifest import DETECTIONS


def missing_files(config: Config) -> list[str]:
    """What is missing, each with the command that makes it or what to do.

    Args:
        config: A config with a `distill` section.
    """
    section = distill_section(config)
    validation = (config.get('val_dataloader') or {}).get('dataset')
    return [
        *_missing_model(config, 'teacher', section['teacher']),
        *_missing_detector(config),
        *_missing_members('labeled', labeled_members(config)),
        *_missing_data('unlabeled', section['unlabeled']),
        *_missing_boxes(section['unlabeled'].get('bbox_file')),
        *_missing_members('validation', members_of(validation) if validation else []),
        *_missing_truth(config.get('val_evaluator') or ()),
        *(missing_weights(config) if config.get('train_dataloader') else ()),
    ]


def boxes_to_find(config: Config) -> Path | None:
    """Folder of the boxes that labeling finds first; None where it need not.

    Args:
        config: A config with a `distill` section.
    """
    folder = boxes_folder(config.distill)
    if folder is None or LabelStore(folder, DETECTIONS).complete:
        return None
    return folder


def _missing_model(config: Config, role: str, part: Mapping[str, Any]) -> Iterator[str]:
    if not part.get('checkpoint'):
        yield f'the {role} checkpoint: set distill.{role}.checkpoint'
        return
    path = str(part['checkpoint'])
    if '://' in path:
        problem = fetch_problem(path)
        if problem:
            yield f'the {role} checkpoint {path}: {problem}'
        return
    if Path(path).is_file():
        return
    own = part.get('config') if role == 'teacher' else None
    trained_by = own or _config_that_trains(config, Path(path).parent)
    remedy = (
        f'python tools/train.py {trained_by}'
        if trained_by
        else f'train it, or set distill.{role}.checkpoint'
    )
    yield f'the {role} checkpoint {path}: {remedy}'


def _missing_detector(config: Config) -> Iterator[str]:
    if boxes_to_find(config) is not None:
        yield from _missing_model(config, 'detector', config.distill.detector)


def _config_that_trains(config: Config, work_dir: Path) -> str | None:
    """The config beside this one whose work folder that is."""
    folder = Path(config.filename).parent
    stated = re.compile(rf"^work_dir = '{re.escape(str(work_dir))}/?'", re.MULTILINE)
    for path in sorted(folder.glob('*.py')):
        if stated.search(path.read_text()):
            return str(path)
    return None


def _missing_members(what: str, members: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Files of all data sets that a set is made of, each once."""
    found = [line for member in members for line in _missing_data(what, member)]
    yield from dict.fromkeys(found)


def _missing_data(what: str, dataset: Mapping[str, Any] | None) -> Iterator[str]:
    if not dataset:
        return
    root = Path(dataset.get('data_root') or '')
    path = root / (dataset.get('ann_file') or '')
    if dataset.get('ann_file') and not path.is_file():
        split = path.stem.endswith(('_labeled', '_unlabeled'))
        remedy = 'python tools/make_splits.py --help' if split else 'put it there'
        yield f'the {what} list {path}: {remedy}'
    folder = root / (dataset.get('data_prefix') or {}).get('img', '')
    if not folder.is_dir():
        yield f'the {what} images {folder}/: put them there'


def _missing_truth(evaluators: Any) -> Iterator[str]:
    """The student's metrics are built once the labels are made."""
    for each in evaluators if isinstance(evaluators, Sequence) else [evaluators]:
        # A MultiDatasetEvaluator has one for each of its data sets.
        if each.get('metrics'):
            yield from _missing_truth(each['metrics'])
        path = each.get('ann_file')
        if path and not Path(path).is_file():
            yield f'the annotations {path} of {each.get("type")}: put them there'


def _missing_boxes(bbox_file: str | None) -> Iterator[str]:
    if bbox_file and not Path(bbox_file).is_file():
        yield (
            f'the boxes {bbox_file}: detect them, or for a trial with true boxes '
            f'python tools/make_boxes.py ANN_FILE {bbox_file}'
        )
