"""The steps of rounds: what each runs, and the fingerprint of what it is made of.

A fingerprint is of contents, so that a work folder can be moved: weights and
annotations by the hash of their files, labels by that of their store, and the config
without what changes no result (worker processes, logging, folders of the run).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmdistill.config.datasets import members_of
from mmdistill.config.recipe import LABELS, Recipe
from mmdistill.config.text import config_text
from mmdistill.selection.selection import SELECTION_FILE, read_selection
from mmdistill.stages.label_config import label_config, labeled_members
from mmdistill.stages.round_configs import Rounds
from mmdistill.store import LabelStore
from mmdistill.utils.files import file_sha256, json_sha256
from mmdistill.utils.ledger import Step

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


def label_step(rounds: Rounds, number: int) -> Step:
    """The labeling of a round.

    Args:
        rounds: The rounds.
        number: Number of the round, from 1.

    Raises:
        UserError: If the recipe of the round is not usable.
    """
    recipe = Recipe.of(rounds.config(number))
    stage = label_config(recipe, teacher_needed=False)
    teachers = [_file_print(each.checkpoint) for each in recipe.distill.teachers]
    content = [_text(rounds, stage, OF_THE_LABELING), teachers]
    annotations = [_file_print(path) for path in _ann_files(labeled_members(recipe))]
    if recipe.distill.refit_arguments['refit']:
        content.append(annotations)
    hooks = dict(custom_hooks=stage.custom_hooks)
    selected = [content, annotations, _text(rounds, hooks, OF_THE_RUN)]
    return Step(
        name=f'round_{number}/labels',
        commands=[['tools/label.py', str(rounds.recipe_file(number))]],
        folder=rounds.store(number),
        fingerprint=json_sha256(selected),
        content=json_sha256(content),
        compares_itself=True,
        stays=str(rounds.store(number)) != str(rounds.folder(number) / LABELS),
    )


def train_step(rounds: Rounds, number: int, seed: int, training: Config) -> Step:
    """The training of a student.

    Args:
        rounds: The rounds.
        number: Number of the round, from 1; its labels are selected.
        seed: Seed of the student.
        training: The config of the training.

    Raises:
        UserError: If the store of the round is damaged.
    """
    store = LabelStore(rounds.store(number))
    read_selection(store)
    loader = training.get('train_dataloader') or {}
    sets = members_of(loader['dataset']) if loader.get('dataset') else []
    content = [
        _text(rounds, training, OF_THE_RUN),
        [store.digest(), file_sha256(store.root / SELECTION_FILE)],
        [_file_print(path) for path in _ann_files(sets)],
        _file_print(training.get('load_from')),
    ]
    folder = rounds.student(number, seed)
    return Step(
        name=f'round_{number}/{folder.name}',
        commands=[['tools/train.py', str(training_file(rounds, number, seed))]],
        folder=folder,
        fingerprint=json_sha256(content),
    )


def holdout_step(rounds: Rounds, number: int, seed: int, tested: Config) -> Step:
    """The test of a student on the held-out images.

    Args:
        rounds: The rounds.
        number: Number of the round, from 1.
        seed: Seed of the student, which is trained.
        tested: The config of the test.
    """
    checkpoint = rounds.checkpoint(number, seed)
    folder = rounds.student(number, seed) / 'holdout'
    kept = OF_THE_RUN - {'test_dataloader', 'test_evaluator'}
    dropped = kept | {'train_dataloader', 'val_dataloader', 'train_cfg', 'custom_hooks'}
    ann_files = _ann_files(members_of(tested.test_dataloader.dataset))
    content = [
        _text(rounds, tested, dropped),
        _file_print(str(checkpoint)),
        [_file_print(path) for path in ann_files],
    ]
    config = rounds.recipe_file(number).with_name('holdout.py')
    command = ['tools/test.py', str(config), str(checkpoint)]
    command += ['--work-dir', str(folder), '--out', str(folder / 'metrics.json')]
    return Step(
        name=f'round_{number}/seed_{seed}/holdout',
        commands=[command],
        folder=folder,
        fingerprint=json_sha256(content),
    )


def training_file(rounds: Rounds, number: int, seed: int) -> Path:
    """The file of a student's training config.

    Args:
        rounds: The rounds.
        number: Number of the round, from 1.
        seed: Seed of the student.
    """
    return rounds.recipe_file(number).with_name(f'seed_{seed}.py')


def _text(rounds: Rounds, config: Mapping[str, Any], dropped: frozenset[str]) -> str:
    """Settings as text, without some keys and without the work folder's name."""
    settings = dict(config.to_dict() if isinstance(config, Config) else config)
    # One that is None is not stated.
    settings = {key: value for key, value in settings.items() if value is not None}
    text = config_text(_without(settings, dropped))
    for folder in (str(rounds.root.resolve()), str(rounds.root)):
        text = text.replace(f'{folder}/', '')
    return text


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


def _ann_files(members: Any) -> Iterator[str]:
    for member in members:
        if member.get('ann_file'):
            yield str(Path(member.get('data_root') or '', member['ann_file']))


def _file_print(path: Any) -> str:
    """The hash of a file; an address, or a file that is not there, by its name."""
    if path is None:
        return ''
    file = Path(str(path))
    return file_sha256(file) if file.is_file() else str(path)
