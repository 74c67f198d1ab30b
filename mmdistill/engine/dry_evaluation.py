"""Trial of an evaluation before labeling: its data sets, metrics and their files.

MMEngine builds metrics after labeling, and what they lack they notice at the end of
the first validation.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS, METRICS
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from mmdistill.config.datasets import (
    end_pipelines,
    members_of,
    registered_dataset,
    unparsed_metainfo,
)
from mmdistill.config.schema import is_type
from mmdistill.datasets.sources.image_list import images_of_coco
from mmdistill.engine.dry_schedule import built_part, listed_parts, registered_part
from mmdistill.errors import ConfigError, DataError
from mmdistill.utils.files import read_json

SETS = {'val': 'validation', 'test': 'test'}
BALANCED = 'ClassBalancedDataset'


def check_evaluation(config: Config, loader: str) -> None:
    """Make sure that a validation or a test can run, but for the files of its metrics.

    Args:
        config: A config of any stage.
        loader: The first word of its keys, `val` or `test`.

    Raises:
        ConfigError: If a data set's pipeline is empty, or a metric cannot be built or
            does not know the data set's keypoints.
    """
    dataset = (config.get(f'{loader}_dataloader') or {}).get('dataset')
    # The unlabeled images of a labeling are a test set without a metric or a pipeline.
    if not dataset or not config.get(f'{loader}_evaluator'):
        return
    if not all(end_pipelines(dataset)):
        raise ConfigError(
            f'{loader}_dataloader.dataset has an empty pipeline, so that the model '
            f'would get no {SETS[loader]} images; state the transforms in its pipeline'
        )
    for name, metric, evaluated in _metrics(config, loader, dataset):
        kind = registered_part(name, metric, METRICS)
        if 'ann_file' not in metric or _can_lack_file(kind):
            settings = {k: v for k, v in metric.items() if k != 'ann_file'}
            if 'prefix' in inspect.signature(kind).parameters:
                # The host warns when it builds a metric without one.
                settings.setdefault('prefix', 'trial')
            built_part(name, copy.deepcopy(settings), METRICS)
        if is_type(metric, 'NME') and metric.get('norm_mode') == 'keypoint_distance':
            _check_distance(name, metric, kind, evaluated)


def check_metric_files(config: Config, loader: str) -> None:
    """Make sure that metrics count by the annotations of the set that is evaluated.

    Args:
        config: A config of any stage, its annotations read.
        loader: The first word of its keys, `val` or `test`.

    Raises:
        DataError: If the file of a metric does not exist, cannot be read, or is that of
            other images.
    """
    dataset = (config.get(f'{loader}_dataloader') or {}).get('dataset')
    for name, metric, evaluated in _metrics(config, loader, dataset or {}):
        path = metric.get('ann_file')
        if not isinstance(path, str) or not path or '://' in path:
            continue
        about = f'{name} ({metric.get("type")})'
        members = [_file_of(each) for each in members_of(evaluated)]
        if not Path(path).is_file():
            named = next((f', {each}' for each in members if each), '')
            raise DataError(
                f'the ann_file {path} of {about} does not exist; name the annotations '
                f'of the {SETS[loader]} set{named}'
            )
        if len(members) == 1 and members[0] is not None and members[0].is_file():
            _check_same_images(f'the {SETS[loader]} set', members[0], about, Path(path))


def check_balanced(dataset: Mapping[str, Any]) -> None:
    """Make sure that a data set whose categories are balanced knows them.

    Args:
        dataset: Config of a data set.

    Raises:
        ConfigError: If its class has no categories of a sample, as those of MMPose.
    """
    inner = dataset.get('dataset')
    if not is_type(dataset, BALANCED) or not isinstance(inner, Mapping):
        return
    for member in members_of(inner):
        with DATASETS.switch_scope_and_registry(None):
            kind = registered_dataset(member)
        if getattr(kind, 'get_cat_ids', None) is BaseDataset.get_cat_ids:
            raise ConfigError(
                f'{BALANCED} cannot balance {member.get("type")}, whose class has no '
                'get_cat_ids; use the data set itself, or RepeatDataset for more of it'
            )


def _metrics(
    config: Config, loader: str, dataset: Mapping[str, Any]
) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """Iterate over metrics with their names and the data sets that they evaluate."""
    key = f'{loader}_evaluator'
    for name, evaluator in listed_parts(key, config.get(key)):
        if 'metrics' not in evaluator:
            yield name, evaluator, dataset
            continue
        sets = evaluator.get('datasets') or ()
        metrics = list(listed_parts(f'{name}.metrics', evaluator['metrics']))
        for number, (metric_name, metric) in enumerate(metrics):
            is_own = len(sets) == len(metrics)
            yield metric_name, metric, sets[number] if is_own else dataset


def _can_lack_file(kind: Any) -> bool:
    """Whether a metric can be built without its file, which is not read in a trial."""
    parameter = inspect.signature(kind).parameters.get('ann_file')
    return parameter is not None and parameter.default is None


def _check_distance(
    name: str, metric: Mapping[str, Any], kind: Any, dataset: Mapping[str, Any]
) -> None:
    """Make sure that the keypoints are known whose distance normalizes errors."""
    parsed = parse_pose_metainfo(unparsed_metainfo(dataset))
    indices: Any = metric.get('keypoint_indices')
    known = getattr(kind, 'DEFAULT_KEYPOINT_INDICES', {})
    if indices is None:
        indices = known.get(parsed['dataset_name'])
    count = parsed['num_keypoints']
    is_pair = isinstance(indices, Sequence) and len(indices) == 2
    if not is_pair or not all(
        isinstance(index, int) and -count <= index < count for index in indices
    ):
        raise ConfigError(
            f'{name} (NME) needs keypoint_indices, the two of the {count} keypoints of '
            f'{parsed["dataset_name"]} whose distance normalizes errors, got {indices}'
        )


def _file_of(dataset: Mapping[str, Any]) -> Path | None:
    ann_file = dataset.get('ann_file')
    return Path(dataset.get('data_root') or '', ann_file) if ann_file else None


def _check_same_images(role: str, evaluated: Path, about: str, path: Path) -> None:
    """Make sure that a metric's file has the evaluated images and their annotations."""
    if path.samefile(evaluated) or {path.suffix, evaluated.suffix} != {'.json'}:
        return
    listed, wanted = images_of_coco(path), images_of_coco(evaluated)
    paths = dict(zip(listed.ids or (), listed.paths, strict=True))
    named = zip(wanted.ids or (), wanted.paths, strict=True)
    others = [image for id_, image in named if not _is_same(paths.get(id_), image)]
    advice = f'set its ann_file to {evaluated}'
    if others:
        raise DataError(
            f'{about} counts by {path}, which lacks {len(others)} of the {len(wanted)} '
            f'images of {role} {evaluated}, the first is {others[0]}; {advice}'
        )
    if _keypoints_in(path).isdisjoint(_keypoints_in(evaluated)):
        raise DataError(
            f'{about} counts by {path}, whose images are called like those of {role} '
            f'{evaluated} and have none of their keypoints; {advice}'
        )


def _is_same(path: str | None, other: str) -> bool:
    """Whether two paths of an image differ in their folders at most."""
    return path is not None and _base_name(path) == _base_name(other)


def _base_name(path: str) -> str:
    return path.replace('\\', '/').rpartition('/')[2]


def _keypoints_in(path: Path) -> set[tuple[Any, str]]:
    """Image and keypoints of each annotation of a COCO json."""
    annotations = read_json(path, 'the annotations').get('annotations') or ()
    return {
        (each.get('image_id'), str(each.get('keypoints')))
        for each in annotations
        if isinstance(each, dict)
    }
