"""Rounds of the toy recipe, and stand-ins for what their commands do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, DictAction

from mmdistill.config.metainfo import order_keypoints
from mmdistill.config.recipe import Recipe
from tests.helpers.fresh_runs import forget_instances
from tests.helpers.recipes import STUDENT
from tests.helpers.workshop import DISTILL, LABELS, QUICK, call_tool

WORK_DIR = 'work_dirs/rounds'


def rounds_recipe(*options: str, **rounds: Any) -> Recipe:
    """The toy recipe with rounds, tiny, in the folder of the workshop."""
    config = Config.fromfile(STUDENT)
    order_keypoints(config)
    config.work_dir = WORK_DIR
    config.distill.store = f'{WORK_DIR}/round_1/labels'
    config.distill.schedule = None
    config.val_dataloader = config.val_evaluator = config.val_cfg = None
    for option in (*QUICK, *DISTILL, 'train_cfg.max_iters=2', *options):
        key, _, value = option.partition('=')
        config.merge_from_dict({key: DictAction._parse_iterable(value)})
    config.distill.rounds = rounds
    return Recipe.of(config)


class Killed(BaseException):
    """The process of a run is killed."""


class RealTools:
    """The tools themselves, in this process; killed in the middle of each step.

    Args:
        kills: Whether each step is killed once, before its end.
    """

    def __init__(self, kills: bool = False) -> None:
        self.called: list[str] = []
        self.kills = kills
        self._killed: set[str] = set()

    def __call__(self, command: Sequence[str], log: Path) -> float:
        name, *arguments = command
        self.called.append(' '.join(command))
        if self.kills and arguments[0] not in self._killed:
            self._killed.add(arguments[0])
            if name == 'tools/train.py':
                half = ['--cfg-options', 'train_cfg.max_iters=1']
                self._run(name, [*arguments, *half])
            else:
                self._run(name, arguments)
                _lose_half(Path(Config.fromfile(arguments[0]).distill.store))
            raise Killed
        self._run(name, arguments)
        return 1.0

    def _run(self, name: str, arguments: Sequence[str]) -> None:
        forget_instances()
        assert call_tool(Path(name).stem, *arguments) == 0


def _lose_half(store: Path) -> None:
    """A store as it is when its labeling is killed."""
    (store / 'selection.json').unlink()
    for path in sorted((store / 'chunks').iterdir())[1::2]:
        path.unlink()


class QuickTools:
    """Leaves in a moment what the tools leave: the labels of another store, weights.

    Args:
        scores: Metric of the students of each round, on any set.
    """

    def __init__(self, scores: Sequence[float] = (0.5, 0.6, 0.7)) -> None:
        self.called: list[str] = []
        self.scores = scores

    def __call__(self, command: Sequence[str], log: Path) -> float:
        name, *arguments = command
        self.called.append(_shortened(command))
        config = Config.fromfile(arguments[0])
        number = int(Path(arguments[0]).parent.name.removeprefix('round_'))
        if name == 'tools/label.py':
            shutil.copytree(LABELS, config.distill.store, dirs_exist_ok=True)
        elif name == 'tools/train.py':
            folder = Path(config.work_dir)
            folder.mkdir()
            weights = torch.tensor([float(config.randomness.seed), number])
            content = dict(meta=dict(iter=2), state_dict=dict(weights=weights))
            torch.save(content, folder / 'plain_model.pth')
            self._write_metrics(folder / 'metrics.json', number)
        else:
            self._write_metrics(Path(arguments[arguments.index('--out') + 1]), number)
        return 1.0

    def _write_metrics(self, path: Path, number: int) -> None:
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({'coco/AP': self.scores[number - 1]}))


def _shortened(command: Sequence[str]) -> str:
    """A command as its tool, the file that it reads, and whether it resumes."""
    file = Path(command[1])
    resumed = ' --resume' if '--resume' in command else ''
    return f'{Path(command[0]).stem} {file.parent.name}/{file.stem}{resumed}'


def tensors(path: str | Path) -> Mapping[str, torch.Tensor]:
    """The weights of a checkpoint."""
    weights: Mapping[str, torch.Tensor] = torch.load(path, weights_only=False)
    return dict(weights['state_dict'])
