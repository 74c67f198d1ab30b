"""What the steps of a work are made of: the contents of their fingerprints.

A fingerprint is of contents, so that a work folder can be moved: weights and
annotations by the hash of their files, labels by that of their store, and the config
without what changes no result (worker processes, logging, folders of the run).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmdistill.config.datasets import members_of
from mmdistill.config.detectors import distills_boxes
from mmdistill.config.recipe import Recipe
from mmdistill.config.text import config_text
from mmdistill.selection.selection import SELECTION_FILE, read_selection
from mmdistill.stages.image_teachers import refit_arguments
from mmdistill.stages.label_config import (
    label_config,
    labeled_members,
    teacher_models,
)
from mmdistill.store import LabelStore
from mmdistill.utils.files import file_sha256

OF_THE_RUN = frozenset(
    {
        *('num_workers', 'persistent_workers', 'prefetch_factor', 'pin_memory'),
        *('work_dir', 'launcher', 'resume', 'log_level', 'vis_backends', 'visualizer'),
        *('env_cfg', 'distill', 'logger', 'visualization', 'cache', 'keep_hashes'),
        *('test_dataloader', 'test_evaluator', 'test_cfg', 'tta_model', 'tta_pipeline'),
    }
)
"""Keys of a training's config that change none of its results."""
OF_THE_LABELING = (OF_THE_RUN - {'test_dataloader', 'test_cfg'}) | {
    *('default_hooks', 'custom_hooks', 'load_from', 'batch_size', 'max_failures'),
    *('forward_batch_size', 'channels_last', 'fold_batch_norm', 'compile', 'offload'),
}
"""Keys of a labeling's config that change none of its candidates."""
OF_THE_EVALUATION = (OF_THE_RUN - {'test_dataloader', 'test_evaluator'}) | {
    *('train_dataloader', 'val_dataloader', 'train_cfg', 'custom_hooks'),
}
"""Keys of a test's config that change none of its metrics."""


def labeling_content(recipe: Recipe, root: Path) -> tuple[Any, Any]:
    """What a labeling is made of: its candidates, and what is selected of them.

    Args:
        recipe: The recipe.
        root: The work folder, whose name does not count.

    Returns:
        Contents of the candidates, and of these with their selection.

    Raises:
        UserError: If the recipe is not usable.
    """
    stage = label_config(recipe, teacher_needed=False)
    teachers = [file_print(each.checkpoint) for each in recipe.distill.teachers]
    content = [settings_text(stage, OF_THE_LABELING, root), teachers]
    annotations = annotation_prints(labeled_members(recipe))
    # Boxes that a detector finds are not fitted.
    poses = not distills_boxes(recipe)
    if poses and refit_arguments(recipe, teacher_models(recipe))['refit']:
        content.append(annotations)
    hooks = dict(custom_hooks=stage.custom_hooks)
    return content, [content, annotations, settings_text(hooks, OF_THE_RUN, root)]


def selection_content(store: LabelStore) -> list[str]:
    """What pseudo-labels are made of: their store, and what is selected of it.

    Args:
        store: The store.

    Raises:
        UserError: If it is damaged, or nothing is selected.
    """
    read_selection(store)
    return [store.digest(), file_sha256(store.root / SELECTION_FILE)]


def training_content(training: Config, root: Path) -> list[Any]:
    """What a training is made of beside pseudo-labels.

    Args:
        training: The config of the training.
        root: The work folder, whose name does not count.
    """
    loader = training.get('train_dataloader') or {}
    sets = members_of(loader['dataset']) if loader.get('dataset') else []
    return [
        settings_text(training, OF_THE_RUN, root),
        annotation_prints(sets),
        file_print(training.get('load_from')),
    ]


def evaluation_content(tested: Config, checkpoint: Path, root: Path) -> list[Any]:
    """What an evaluation is made of.

    Args:
        tested: The config of the test.
        checkpoint: The weights that are tested.
        root: The work folder, whose name does not count.
    """
    return [
        settings_text(tested, OF_THE_EVALUATION, root),
        file_print(str(checkpoint)),
        annotation_prints(members_of(tested.test_dataloader.dataset)),
    ]


def settings_text(
    config: Mapping[str, Any], dropped: frozenset[str], root: Path
) -> str:
    """Settings as text, without some keys and without the work folder's name.

    Args:
        config: The settings.
        dropped: Keys that are left out, wherever they stand.
        root: The work folder.
    """
    settings = dict(config.to_dict() if isinstance(config, Config) else config)
    # One that is None is not stated.
    settings = {key: value for key, value in settings.items() if value is not None}
    text = config_text(_without(settings, dropped))
    for folder in (str(root.resolve()), str(root)):
        text = text.replace(f'{folder}/', '')
    return text


def annotation_prints(members: Any) -> list[str]:
    """The hashes of the annotation files of data sets.

    Args:
        members: Configs of the data sets.
    """
    return [
        file_print(str(Path(member.get('data_root') or '', member['ann_file'])))
        for member in members
        if member.get('ann_file')
    ]


def file_print(path: Any) -> str:
    """The hash of a file; an address, or a file that is not there, by its name.

    Args:
        path: The file, or None for none.
    """
    if path is None:
        return ''
    file = Path(str(path))
    return file_sha256(file) if file.is_file() else str(path)


def _without(value: Any, dropped: frozenset[str]) -> Any:
    if isinstance(value, Mapping):
        return {
            key: _without(inner, dropped)
            for key, inner in value.items()
            if key not in dropped
        }
    if isinstance(value, (list, tuple)):
        return [_without(inner, dropped) for inner in value]
    return value
