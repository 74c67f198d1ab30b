"""Command-line arguments of configs, trainings and selections.

Arguments of configs and trainings have the names of MMPose's tools.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config, DictAction
from mmengine.device import get_device

from mmdistill.cli.loggers import LOGGERS, add_logger, check_logger
from mmdistill.config.files import read_config, recipe_file
from mmdistill.config.host_kinds import check_host_keys
from mmdistill.config.key_names import check_key_names, log_unread_options
from mmdistill.config.loops import LOADERS
from mmdistill.config.metainfo import order_keypoints
from mmdistill.config.renamed import FLAGS, check_arguments
from mmdistill.config.selection_options import (
    CATEGORIES,
    GROUP_BY,
    KEYPOINT_RULES,
    LABELED_IMAGES,
)
from mmdistill.errors import ConfigError
from mmdistill.functional.ranking import CRITERIA

LAUNCHERS = {
    'none': (),
    'pytorch': ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'),
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_NODELIST'),
    'mpi': ('OMPI_COMM_WORLD_LOCAL_RANK', 'OMPI_COMM_WORLD_RANK'),
}
"""Environment variables that each launcher sets in its processes."""


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that every tool with a config takes.

    Args:
        parser: The tool's parser.
    """
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='folder of logs and checkpoints')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        help='settings that override the config, as key=value',
    )
    parser.add_argument('--launcher', choices=LAUNCHERS, default='none')
    # torchrun passes the first spelling, older launchers the second.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def load_config(arguments: argparse.Namespace) -> Config:
    """Read the config named by the arguments, with their overrides.

    The config's folder is added to the import path, so that a recipe can import
    modules beside it. The recipes of mmdistill are found from any folder.

    Args:
        arguments: Parsed arguments of `add_config_arguments`.

    Raises:
        UserError: If there is no such file, it cannot be read, or the process was not
            started by the launcher.
    """
    _check_launched(arguments.launcher)
    path = recipe_file(arguments.config)
    folder = str(path.parent.resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    config = read_config(path)
    override_settings(config, arguments.cfg_options)
    check_key_names(config)
    log_unread_options(arguments.cfg_options)
    check_host_keys(config)
    check_arguments(config)
    order_keypoints(config)
    config.launcher = arguments.launcher
    os.environ.setdefault('LOCAL_RANK', str(arguments.local_rank))
    if arguments.work_dir:
        config.work_dir = arguments.work_dir
    elif config.get('work_dir') is None:
        config.work_dir = f'work_dirs/{path.stem}'
    return config


def override_settings(config: Config, options: Mapping[str, Any]) -> None:
    """Put the settings of `--cfg-options` into a config.

    Args:
        config: The config, which is changed.
        options: Values by the dotted keys of the settings.

    Raises:
        UserError: If there is no place for a setting.
    """
    for key, value in options.items():
        if _is_missing_loader(config, key):
            continue
        try:
            config.merge_from_dict({key: value})
        except (TypeError, KeyError, IndexError, AttributeError, ValueError) as error:
            # MMEngine's errors mention its functions; the first sentence is the reason.
            reason = str(error).partition('. ')[0]
            raise ConfigError(
                f'--cfg-options {key}={value} cannot be put into the config: {reason}'
            ) from error


def _is_missing_loader(config: Config, key: str) -> bool:
    """Whether a key sets the workers of a loader that the config does not have.

    The advice to run without workers names all loaders, for every config.
    """
    loader, _, setting = key.partition('.')
    return loader in LOADERS and setting == 'num_workers' and not config.get(loader)


def _check_launched(launcher: str) -> None:
    missing = [name for name in LAUNCHERS[launcher] if name not in os.environ]
    if missing:
        command = {'pytorch': 'torchrun', 'slurm': 'srun', 'mpi': 'mpirun'}[launcher]
        raise ConfigError(
            f'--launcher {launcher} is for processes that {command} started; the '
            f'environment has no {", ".join(missing)}; start it by {command}, or leave '
            'out --launcher'
        )


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of MMPose's training tool.

    Args:
        parser: The tool's parser.
    """
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='continue from this checkpoint, or from the latest in the work folder',
    )
    parser.add_argument('--amp', action='store_true', help='mixed precision')
    parser.add_argument(
        '--auto-scale-lr', action='store_true', help='scale the rate to the batch size'
    )
    parser.add_argument(
        '--no-validate', action='store_true', help='do not evaluate while training'
    )
    add_logger_argument(parser)


def add_logger_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names where a training also logs to.

    Args:
        parser: The parser.
    """
    parser.add_argument(
        '--logger',
        choices=LOGGERS,
        help='also log losses and metrics to TensorBoard, Weights & Biases or MLflow',
    )


def with_training_arguments(config: Config, arguments: argparse.Namespace) -> Config:
    """Apply the training arguments to a config.

    Args:
        config: A training config; it is changed.
        arguments: Parsed arguments of `add_training_arguments`.

    Raises:
        UserError: If mixed precision is requested with an optimizer wrapper without
            it, or on a machine without an accelerator, or the package of the logger is
            not installed.
    """
    check_logger(arguments.logger)
    if arguments.logger is not None:
        add_logger(config, arguments.logger)
    # Rounds go on by themselves, each training where it stopped.
    by_itself = arguments.resume == 'auto' and _runs_rounds(config, arguments)
    if arguments.resume is not None and not by_itself:
        config.resume = True
        config.load_from = None if arguments.resume == 'auto' else arguments.resume
    if arguments.amp:
        if get_device() == 'cpu':
            raise ConfigError(
                '--amp needs an accelerator, this machine has none; leave out --amp'
            )
        if not config.get('optim_wrapper'):
            raise ConfigError(
                f'--amp needs an optim_wrapper, {config.filename} has none'
            )
        kind = config.optim_wrapper.get('type', 'OptimWrapper')
        if kind not in ('OptimWrapper', 'AmpOptimWrapper'):
            raise ConfigError(f'--amp needs the optim_wrapper OptimWrapper, got {kind}')
        config.optim_wrapper.type = 'AmpOptimWrapper'
        config.optim_wrapper.setdefault('loss_scale', 'dynamic')
    if arguments.auto_scale_lr:
        config.auto_scale_lr = dict(config.get('auto_scale_lr') or {}, enable=True)
    if arguments.no_validate:
        config.val_cfg = config.val_dataloader = config.val_evaluator = None
    return config


def _runs_rounds(config: Config, arguments: argparse.Namespace) -> bool:
    rounds = (config.get('distill') or {}).get('rounds')
    return rounds is not None and vars(arguments).get('round') is None


CHOICES = {
    'labeled_images': (LABELED_IMAGES, 'labeled images that count'),
    'group_by': (GROUP_BY, 'whether each source has a threshold of its own'),
    'categories': (CATEGORIES, 'whether each category has one'),
    'criterion': (
        CRITERIA,
        "what is compared: the score, the views' agreement, or both ranks",
    ),
}
NUMBERS = {
    'score_thr': 'keep what reaches at least this, instead of matching counts',
    'min_thr': 'the lowest threshold, whatever is matched',
    'max_thr': 'the highest one',
}


def add_selection_arguments(parser: argparse.ArgumentParser) -> None:
    """Add an argument for each of `SelectionOptions`.

    Args:
        parser: The parser.
    """
    for name, (choices, text) in CHOICES.items():
        parser.add_argument(_flag(name), choices=choices, help=text)
    for name, text in NUMBERS.items():
        parser.add_argument(_flag(name), type=float, help=text)
    parser.add_argument(
        '--keypoint-thr',
        type=threshold,
        metavar=f'NUMBER|{"|".join(KEYPOINT_RULES)}',
        help='keypoint score above which a keypoint is visible to the student, or how '
        'to match it to the visible keypoints of labeled instances',
    )
    for flag in FLAGS:
        parser.add_argument(
            flag, action=_Renamed, default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )


class _Renamed(argparse.Action):
    """A flag of former days."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        flag = self.option_strings[0]
        raise ConfigError(f'{flag} is now {FLAGS[flag]}, got {flag} {values}')


def changed_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Collect the fields of `SelectionOptions` that the arguments state.

    Args:
        arguments: Parsed arguments of `add_selection_arguments`.
    """
    names = (*CHOICES, *NUMBERS, 'keypoint_thr')
    stated = {name: getattr(arguments, name) for name in names}
    return {name: value for name, value in stated.items() if value is not None}


def _flag(name: str) -> str:
    return f'--{name.replace("_", "-")}'


def threshold(text: str) -> float | str:
    """A number, or how to match one; the name stands in argparse's sentence.

    Args:
        text: The value of an option, as it was typed.

    Raises:
        ValueError: If it is neither.
    """
    return text if text in KEYPOINT_RULES else float(text)
