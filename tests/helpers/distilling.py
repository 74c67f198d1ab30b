"""A recipe of one's own beside teacher and baseline, and stand-ins for its commands."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config

from mmdistill.audits.result import Audit
from mmdistill.config.metainfo import order_keypoints
from mmdistill.config.recipe import Recipe
from mmdistill.pipeline import Distillation
from tests.helpers.fresh_runs import forget_instances
from tests.helpers.recipes import RECIPES
from tests.helpers.workshop import BOXES, LABELS, call_tool

RECIPE = Path('mine/student.py')
WORK = Path('work_dirs/mine')
WHOLE = WORK / 'student-distill'

TEACHER = f"""
_base_ = '{RECIPES}/teacher.py'
work_dir = '{WORK}/teacher'
train_cfg = dict(max_iters=4, val_interval=4)
default_hooks = dict(checkpoint=dict(interval=2), logger=dict(interval=1))
train_dataloader = dict(batch_size=5, num_workers=0, persistent_workers=False)
# Workers that outlive a command of this process would hold on the lock of the whole.
val_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader = val_dataloader
"""
BASELINE = f"""
_base_ = 'teacher.py'
work_dir = '{WORK}/baseline'
randomness = dict(seed=1)
"""
STUDENT = f"""
_base_ = ['teacher.py', '{RECIPES.parents[1]}/_base_/distill.py']
work_dir = '{WORK}/student'
distill = dict(
    teacher=dict(checkpoint='{WORK}/teacher/iter_4.pth'),
    unlabeled=dict(
        data_root='data/toy/',
        data_prefix=dict(img='images/unlabeled/'),
        ann_file='annotations/unlabeled.json',
        bbox_file='{BOXES}',
    ),
    store='{WORK}/student/labels',
    views=dict(scales=(1.0, 1.25)),
    labeling=dict(chunk_size=2, num_workers=0, score_floor=-1),
    selection=dict(keypoint_thr=-1),
    schedule=None,
)
"""


def write_recipe() -> None:
    """The configs of the recipe, in the folder of the workshop."""
    RECIPE.parent.mkdir(exist_ok=True)
    for name, text in (
        *(('teacher', TEACHER), ('baseline', BASELINE)),
        ('student', STUDENT),
    ):
        RECIPE.with_name(f'{name}.py').write_text(text)


def work_of(baseline: str | None = '', **options: object) -> Distillation:
    """The distillation of the recipe, as the tool reads it."""
    config = Config.fromfile(RECIPE)
    config.merge_from_dict(options)
    order_keypoints(config)
    return Distillation(Recipe.of(config), RECIPE, baseline)


class Killed(BaseException):
    """The process of a run is killed."""


class RealTools:
    """The tools themselves, in this process; killed in the middle of each step.

    Args:
        kills: Whether each command is killed once, before its end.
    """

    def __init__(self, kills: bool = False) -> None:
        self.called: list[list[str]] = []
        self.kills = kills
        self._killed: set[str] = set()

    def __call__(self, command: Sequence[str], log: Path) -> float:
        name, *arguments = command
        self.called.append(list(command))
        started = f'{name} {arguments[0]}'
        kills = self.kills and started not in self._killed
        self._killed.add(started)
        if kills and name == 'tools/train.py':
            arguments += ['--cfg-options', 'train_cfg.max_iters=2']
        forget_instances()
        assert call_tool(Path(name).stem, *arguments) == 0
        if kills:
            raise Killed
        return 1.0


class QuickTools:
    """Leaves in a moment what the tools leave.

    Args:
        oks: OKS of each image by the name of the model.
        audit: The audit; one sentence by default.
    """

    def __init__(
        self,
        oks: Mapping[str, Sequence[float]] | None = None,
        audit: Audit | None = None,
    ) -> None:
        self.called: list[str] = []
        self.oks = oks or dict(student=[0.75] * 12, teacher=[0.5] * 12)
        self.audit = audit or Audit(verdict='About 5 % are wrong.')

    def __call__(self, command: Sequence[str], log: Path) -> float:
        name, *arguments = command
        tool, file = Path(name).stem, Path(arguments[0])
        self.called.append(f'{tool} {file.stem}')
        if tool == 'train':
            config = Config.fromfile(file)
            _leave_model(Path(config.work_dir))
            if 'distill' in config:
                # Of several rounds this one is kept.
                (Path(config.work_dir) / 'student.pth').touch()
        elif tool == 'label':
            store = Path(Config.fromfile(file).distill.store)
            shutil.copytree(LABELS, store, dirs_exist_ok=True)
        elif tool == 'audit_labels':
            content = json.dumps(self.audit.to_json())
            Path(WORK, 'student/labels/audit.json').write_text(content)
        elif tool == 'test':
            folder = WHOLE / file.stem
            folder.mkdir(exist_ok=True)
            oks = self.oks.get(file.stem, [0.5] * 12)
            write_images(folder / 'images.json', oks)
            (folder / 'metrics.json').write_text(
                json.dumps({'coco/AP': float(np.mean(oks))})
            )
        elif tool == 'report':
            (file / 'report.html').touch()
        return 1.0


def write_images(path: Path, oks: Sequence[float]) -> None:
    """Results of each image, one instance of two keypoints on each."""
    content = dict(
        format=1,
        images=[f'{number:03d}.png' for number in range(len(oks))],
        oks=list(oks),
        errors=[[0.1, None] for _ in oks],
    )
    path.write_text(json.dumps(content))


def _leave_model(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ('iter_4.pth', 'plain_model.pth'):
        torch.save(dict(state_dict=dict(of=str(folder))), folder / name)
    (folder / 'last_checkpoint').write_text(str(folder / 'iter_4.pth'))
