"""Configs of data sets: what they are made of, and which parts are labeled.

A data set's config may be a wrapper (`dataset`), a mix of several (`datasets`), or one
with annotations of its own, a member. Wrappers and mixes nest to any depth.

Pipelines whose keypoint converters meet what MMPose's data sets give.

From a config to the sets that unlabeled images must not be in.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS, TRANSFORMS

from mmdistill.config.kinds import COCO_FILES, errors_of
from mmdistill.config.loops import LOADERS
from mmdistill.config.metainfo import ordered_metainfo
from mmdistill.config.recipe import Recipe
from mmdistill.config.schema import is_type
from mmdistill.errors import ConfigError

PSEUDO = ('PseudoLabelDataset', 'PseudoImageDataset', 'PseudoBoxDataset')
"""Data sets of pseudo-labels: a sample is an instance, an image, an image of boxes."""
CONVERTERS = ('KeypointConverter', 'SingleHandConverter')
"""Transforms that map a member's keypoints to those of the set it is part of."""


def is_pseudo(dataset: Mapping[str, Any]) -> bool:
    """Whether a data set's config is of pseudo-labels.

    Args:
        dataset: Config of a data set.
    """
    return any(is_type(dataset, name) for name in PSEUDO)


def sources_of(dataset: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The data sets that a wrapper such as `SeededDataset` mixes, or the one.

    Args:
        dataset: Config of a training set, within any number of wrappers.
    """
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    return dataset.get('datasets', [dataset])


def members_of(dataset: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The data sets with annotations of their own, in their order.

    Args:
        dataset: Config of a data set; one that is not made of several is its only
            member.
    """
    inner = _inner_sets(dataset)
    if inner is None:
        return [dataset]
    return [member for each in inner for member in members_of(each)]


def has_pseudo(dataset: Mapping[str, Any]) -> bool:
    """Whether pseudo-labels are anywhere in a data set's config.

    Args:
        dataset: Config of a data set; its members are looked at.
    """
    return any(map(is_pseudo, members_of(dataset)))


def gives_images(dataset: Mapping[str, Any]) -> bool:
    """Whether the samples of a data set are whole images, not instances.

    Args:
        dataset: Config of a data set; its members are looked at, pseudo-labels among
            them.

    Raises:
        ConfigError: If some give images and others instances.
    """
    modes = {
        'bottomup' if is_type(each, PSEUDO[1]) else each.get('data_mode', 'topdown')
        for each in members_of(dataset)
    }
    if len(modes) > 1:
        raise ConfigError(
            'the members of a training set must have one data_mode, whole images or '
            f'single instances, got {" and ".join(sorted(modes))}; pseudo-labels of '
            'whole images are a mmdistill.PseudoImageDataset'
        )
    return modes == {'bottomup'}


def labeled_part(dataset: Mapping[str, Any]) -> Mapping[str, Any]:
    """The labeled side of a training set, whole: wrappers and pipelines stay.

    Args:
        dataset: Config of a training set, with or without pseudo-labels in it.

    Raises:
        UserError: If nothing is labeled.
    """
    while is_type(dataset, 'SeededDataset'):
        dataset = dataset['dataset']
    if not has_pseudo(dataset):
        return dataset
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    sources = dataset.get('datasets', [])
    rest = [i for i, source in enumerate(sources) if not has_pseudo(source)]
    if not rest:
        raise ConfigError(
            'train_dataloader.dataset trains on no labeled data set, only on '
            'pseudo-labels; name the labeled one in distill.labeled'
        )
    if len(rest) == 1 and not is_type(dataset, 'CombinedDataset'):
        return sources[rest[0]]
    labeled = {**dataset, 'datasets': [sources[i] for i in rest]}
    factors = dataset.get('sample_ratio_factor')
    if factors:
        labeled['sample_ratio_factor'] = [factors[i] for i in rest]
    return labeled


def uncut(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """A data set's config whose pipelines only convert keypoints.

    Nothing is read but annotations then, so that it can be counted.

    Args:
        dataset: Config of a data set; wrappers and mixes stay.
    """
    bare = copy.deepcopy(dict(dataset))
    if 'dataset' in dataset:
        return {**bare, 'dataset': uncut(dataset['dataset'])}
    if 'datasets' in dataset:
        bare['datasets'] = [uncut(each) for each in dataset['datasets']]
        if 'pipeline' not in dataset:
            return bare
    steps = dataset.get('pipeline') or ()
    return {**bare, 'pipeline': [step for step in steps if _converts(step)]}


def end_pipeline(dataset: Mapping[str, Any]) -> list[Any]:
    """The pipeline that a data set's samples end in.

    Of a `CombinedDataset` that is its own one; a concatenation has none, so it is
    that of its first member.

    Args:
        dataset: Config of a data set.
    """
    while 'pipeline' not in dataset and _inner_sets(dataset):
        dataset = _first_inner_set(dataset)
    return copy.deepcopy(list(dataset.get('pipeline') or ()))


def with_end_pipeline(
    dataset: Mapping[str, Any], pipeline: Sequence[Any]
) -> dict[str, Any]:
    """A data set's config whose samples end in another pipeline.

    Args:
        dataset: Config of a data set.
        pipeline: Configs of the transforms.
    """
    changed = dict(dataset)
    if 'pipeline' in dataset or not _inner_sets(dataset):
        return {**changed, 'pipeline': copy.deepcopy(list(pipeline))}
    if 'dataset' in dataset:
        return {**changed, 'dataset': with_end_pipeline(dataset['dataset'], pipeline)}
    members = [with_end_pipeline(each, pipeline) for each in dataset['datasets']]
    return {**changed, 'datasets': members}


def end_pipelines(dataset: Mapping[str, Any]) -> Iterator[list[Any]]:
    """All pipelines that samples of a data set end in.

    Args:
        dataset: Config of a data set.
    """
    inner = _inner_sets(dataset)
    if 'pipeline' in dataset or not inner:
        yield list(dataset.get('pipeline') or ())
        return
    for each in inner:
        yield from end_pipelines(each)


def unparsed_metainfo(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """Keypoints of a data set in MMPose's unparsed form, in their numbers' order.

    Args:
        dataset: Config of a data set. What states none itself has that of its class,
            a wrapper or a concatenation that of its first member.

    Raises:
        UserError: If its type is not registered or states no keypoints.
    """
    stated = dataset.get('metainfo')
    if stated:
        return ordered_metainfo(stated)
    if _inner_sets(dataset):
        return unparsed_metainfo(_first_inner_set(dataset))
    kind = registered_dataset(dataset)
    if 'subset' in inspect.signature(kind).parameters:
        kind = _built_kind(dataset, kind)
    # A registered class need not be of the host's base, which has the attribute.
    metainfo = getattr(kind, 'METAINFO', None)
    if not metainfo:
        raise ConfigError(
            f'the data set {dataset.get("type")} states no keypoints: give it '
            "metainfo, as dict(from_file='configs/_base_/datasets/coco.py')"
        )
    return ordered_metainfo(metainfo)


def parsed_metainfo(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """Keypoints of a data set as MMPose parses them, in their numbers' order.

    Args:
        dataset: Config of a data set; see `unparsed_metainfo`.

    Raises:
        UserError: If its type is not registered or states no keypoints.
    """
    parsed: dict[str, Any] = parse_pose_metainfo(unparsed_metainfo(dataset))
    return parsed


def registered_dataset(dataset: Mapping[str, Any]) -> Any:
    """The class of a data set.

    Args:
        dataset: Config of a data set.

    Raises:
        UserError: If its type is not registered.
    """
    name = dataset.get('type')
    kind = DATASETS.get(name) if isinstance(name, str) else name
    if kind is None:
        raise ConfigError(
            f'no data set is registered as {name!r}; import the module that has it in '
            'custom_imports, or name one of this version of MMPose'
        )
    return kind


def _inner_sets(dataset: Mapping[str, Any]) -> Sequence[Mapping[str, Any]] | None:
    """The data sets within a wrapper or a mix; None of a member."""
    if 'dataset' in dataset:
        return [dataset['dataset']]
    return dataset.get('datasets')


def _first_inner_set(dataset: Mapping[str, Any]) -> Mapping[str, Any]:
    return (_inner_sets(dataset) or [dataset])[0]


def _converts(step: Mapping[str, Any]) -> bool:
    if any(is_type(step, name) for name in CONVERTERS):
        return True
    kind = TRANSFORMS.get(step['type']) if isinstance(step.get('type'), str) else None
    known = tuple(TRANSFORMS.get(name) for name in CONVERTERS)
    return isinstance(kind, type) and issubclass(kind, known)


def _built_kind(dataset: Mapping[str, Any], kind: Any) -> Any:
    """The class once a set is built: `DeepFashionDataset` sets its keypoints then."""
    try:
        built = DATASETS.build({**dataset, 'lazy_init': True, 'pipeline': []})
    # Its own checks of files and arguments come with any of these.
    except (AssertionError, OSError, KeyError, TypeError, ValueError):
        return kind
    return type(built)


DROP = 'DropNoneValues'


def fit_converters(config: Config) -> Config:
    """The config with samples made fit for the keypoint converters in its pipelines.

    MMPose's whole-body data sets and its converters do not go together as they are:
    see `DropNoneValues`. A config without converters stays as it is.

    Args:
        config: A config of any stage.
    """
    if not any(_has_converter(config.get(name)) for name in LOADERS):
        return config
    config = copy.deepcopy(config)
    for name in LOADERS:
        _fit(config.get(name))
    return config


def _has_converter(value: Any) -> bool:
    if isinstance(value, dict):
        return _is_converter(value) or any(map(_has_converter, value.values()))
    return isinstance(value, (list, tuple)) and any(map(_has_converter, value))


def _fit(value: Any) -> None:
    """Put the transform before each converter of the pipelines within a value."""
    for inner in value.values() if isinstance(value, dict) else value or ():
        if isinstance(inner, (dict, list, tuple)):
            _fit(inner)
    if isinstance(value, list):
        for index in reversed(range(len(value))):
            before = value[index - 1] if index else {}
            if _is_converter(value[index]) and not is_type(before, DROP):
                drop = dict(type=f'mmdistill.{DROP}', keys=['keypoints_3d'])
                value.insert(index, drop)


def _is_converter(value: Any) -> bool:
    return isinstance(value, dict) and any(is_type(value, name) for name in CONVERTERS)


def leak_guard_config(
    recipe: Recipe, labeled: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The sets that `UnlabeledDataset` compares with; None if switched off.

    Args:
        recipe: The recipe; its validation set counts, with all its members.
        labeled: Config of the labeled data set; all its members count.
    """
    config = recipe.config
    further = recipe.distill.leak_guard
    if further is False:
        return None
    guard: dict[str, Any] = {'cache': str(Path(config.work_dir, 'image_hashes.json'))}
    validation = (config.get('val_dataloader') or {}).get('dataset')
    for name, dataset in (('val', validation), ('labeled', labeled)):
        sets = members_of(dataset) if dataset else []
        guard[name] = [
            dict(
                ann_file=str(Path(one.get('data_root') or '', one['ann_file'])),
                img_root=str(
                    Path(
                        one.get('data_root') or '',
                        (one.get('data_prefix') or {}).get('img', ''),
                    )
                ),
            )
            for one in sets
            if one.get('ann_file')
        ]
    if further is not True:
        guard['val'] += [dict(_checked_files(files)) for files in further]
    return guard


def _checked_files(files: Mapping[str, str]) -> Mapping[str, str]:
    for error in errors_of('each of distill.leak_guard', files, COCO_FILES):
        raise ConfigError(error)
    return files
