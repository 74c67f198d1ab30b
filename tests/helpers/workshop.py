"""A workshop on tiny toy data: its files, its options, and calls of its tools."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import mmpose

from mmdistill.cli.main import run
from tests.helpers.launches import run_forked
from tests.helpers.recipes import REPOSITORY

MMPOSE = Path(mmpose.__file__).parent / '.mim'
QUICK = (
    *('train_cfg.max_iters=4', 'train_cfg.val_interval=4'),
    *('default_hooks.checkpoint.interval=2', 'default_hooks.logger.interval=1'),
    *('train_dataloader.batch_size=5', 'train_dataloader.num_workers=0'),
    'train_dataloader.persistent_workers=False',
)
LABELS = 'work_dirs/toy/labels'
BOXES = 'work_dirs/toy/detections.bbox.json'
TEACHER_FILE = 'work_dirs/teacher/iter_2.pth'
DISTILL = (
    f'distill.teacher.checkpoint={TEACHER_FILE}',
    # A detector has tests of its own; the unlabeled set has its true boxes here.
    *('distill.detector=None', f'distill.unlabeled.bbox_file={BOXES}'),
    *('distill.labeling.chunk_size=2', 'distill.labeling.num_workers=0'),
    'distill.views.scales=[1.0,1.25]',
    # An untrained teacher scores low, and its keypoints lower.
    *('distill.labeling.score_floor=-1', 'distill.selection.keypoint_thr=-1'),
)


def load_tool(name: str) -> ModuleType:
    """Import a tool by its path."""
    path = REPOSITORY / 'tools' / f'{name}.py'
    spec = importlib.util.spec_from_file_location(f'tool_{name}', path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Where dataclasses look their annotations up.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def call_tool(name: str, *arguments: str) -> int:
    """Run a tool in this process, as its command line would."""
    return run(load_tool(name).main, arguments)


def call_mmpose(tool: str, *arguments: str) -> None:
    """Run a tool of MMPose in a process of its own."""
    run_forked(MMPOSE / 'tools' / tool, *arguments)


def contents(root: Path) -> dict[str, bytes]:
    """Content of every file below a folder, by path."""
    files = (path for path in root.rglob('*') if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def write_boxes(oracle: Path, path: Path) -> None:
    """The true boxes as detections."""
    annotations = json.loads(oracle.read_text())['annotations']
    detections = [
        dict(image_id=a['image_id'], category_id=1, bbox=a['bbox'], score=0.9)
        for a in annotations
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(detections))
