"""Hook that exports the trained model as one file of weights, numbers and text.

Checkpoints of MMEngine hold pickled objects beside the weights, which torch 2.6 and
later refuse to load for tools that do not list them, as those of MMPose.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import Tensor

from mmdistill.config.metainfo import true_flip_indices
from mmdistill.engine.checkpoint import load_local
from mmdistill.registry import HOOKS
from mmdistill.utils.dist import run_on_rank_zero
from mmdistill.utils.files import write_whole

MODEL_FILE = 'plain_model.pth'
"""Name of the exported file in the work folder."""
META_KEYS = ('dataset_meta', 'cfg', 'epoch', 'iter', 'seed', 'mmengine_version')
"""Entries of `meta` that are exported; no times, so equal runs leave equal files."""


@HOOKS.register_module()
class PlainModelHook(Hook):
    """Export the best checkpoint of a training, or else the last, as a plain file.

    ``plain_model.pth`` loads with stock MMPose under any version of torch
    (`init_model`, `test.py`, `publish_model.py`). It holds the weights for
    inference, averaged ones where the run averages them (`EMAHook`). It is rewritten
    as a whole whenever a checkpoint is saved.
    """

    # After the hook that saves checkpoints.
    priority = 'LOWEST'

    def __init__(self) -> None:
        self._saved: tuple[str, ...] = ()
        self._written = ''

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Write the file if a checkpoint was saved.

        Args:
            runner: The runner.
            batch_idx: Number of the batch.
            data_batch: Not used.
            outputs: Not used.

        Raises:
            UserError: If the checkpoint cannot be read, or the file cannot be written.
        """
        self._write(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Write the file if a checkpoint was saved.

        Args:
            runner: The runner.

        Raises:
            UserError: If the checkpoint cannot be read, or the file cannot be written.
        """
        self._write(runner)

    def after_val_epoch(self, runner: Runner, metrics: Any = None) -> None:
        """Write the file if a best checkpoint was saved.

        Args:
            runner: The runner.
            metrics: Not used.

        Raises:
            UserError: If the checkpoint cannot be read, or the file cannot be written.
        """
        self._write(runner)

    def after_train(self, runner: Runner) -> None:
        """Log where the file is.

        Args:
            runner: The runner.

        Raises:
            UserError: If the checkpoint cannot be read, or the file cannot be written.
        """
        self._write(runner)
        if self._written:
            path = Path(runner.work_dir, MODEL_FILE)
            text = f'{path} is {Path(self._written).name} as weights and text alone'
        else:
            text = f'no checkpoint on this machine to leave as {MODEL_FILE}'
        print_log(text, logger='current')

    def _write(self, runner: Runner) -> None:
        """Write the file if checkpoints were saved; errors are raised on all ranks."""
        saved = _saved_checkpoints(runner.message_hub.runtime_info)
        if saved != self._saved:
            path = Path(runner.work_dir, MODEL_FILE)
            self._saved = saved
            self._written = run_on_rank_zero(lambda: _write_plain(saved, path))


def plain_model(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Extract weights from a checkpoint, and its metainfo as numbers and text.

    Args:
        checkpoint: A checkpoint of MMEngine. Where a run averages its weights, its
            `state_dict` holds the averages.

    Returns:
        `state_dict` and `meta`, of tensors, numbers, text, lists, tuples and dicts.
    """
    weights = checkpoint['state_dict']
    plain = OrderedDict(
        (key, value) for key, value in weights.items() if isinstance(value, Tensor)
    )
    # torch keeps the versions in an attribute, which weights of other tools lack.
    versions = getattr(weights, '_metadata', None)
    if versions:
        # torch and MMPose rename weights of older versions by these.
        vars(plain)['_metadata'] = versions
    checkpoint_meta = checkpoint.get('meta') or {}
    meta = {
        key: _plain(checkpoint_meta[key]) for key in META_KEYS if key in checkpoint_meta
    }
    dataset = meta.get('dataset_meta') or {}
    if {'flip_indices', 'flip_pairs'} <= dataset.keys():
        dataset['flip_indices'] = true_flip_indices(dataset)
    return dict(meta=meta, state_dict=plain)


def _saved_checkpoints(info: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the paths of the best checkpoint of each metric, then of the last one."""
    best = [info[key] for key in info if key.startswith('best_ckpt')]
    paths = (*best, info.get('last_ckpt'))
    return tuple(str(path) for path in paths if path is not None)


def _write_plain(saved: Sequence[str], target: Path) -> str:
    """Export the first checkpoint that exists on this machine; return its path."""
    source = next((path for path in saved if Path(path).is_file()), '')
    if not source:
        return ''
    for leftover in target.parent.glob(f'.{target.name}.*.part'):
        # A killed run left it.
        with suppress(OSError):
            leftover.unlink()
    content = plain_model(load_local(source, 'cpu'))

    def write(temporary: Path) -> None:
        # An open file: torch writes the name of a path into the file.
        with temporary.open('wb') as file:
            torch.save(content, file)

    write_whole(target, write)
    return source


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    if isinstance(value, (list, set, frozenset)):
        return list(map(_plain, value))
    if isinstance(value, (np.ndarray, np.generic, Tensor)):
        return value.tolist()
    # A subclass would be pickled as an object of its own.
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return None if value is None else str(value)
