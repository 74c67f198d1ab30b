"""A workshop: tiny toy data and a trained teacher; the recipes are the real ones."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import mmpose
import pytest

from mmdistill.cli.main import run
from mmdistill.toy import write_toy_data
from tests.helpers.launches import run_forked

REPOSITORY = Path(__file__).parents[2]
MMPOSE = Path(mmpose.__file__).parent / '.mim'
RECIPES = REPOSITORY / 'configs' / 'distill' / 'toy'
STUDENT = str(RECIPES / 'student.py')
TEACHER = str(RECIPES / 'teacher.py')
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
    # A detector has tests of its own; the pile has its true boxes here.
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
    spec.loader.exec_module(module)
    return module


def call_tool(name: str, *arguments: str) -> int:
    """Run a tool in this process, as its command line would."""
    return run(load_tool(name).main, arguments)


@pytest.fixture
def tool() -> Callable[..., int]:
    """Call a tool by name with arguments; returns its exit code."""
    return call_tool


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


@pytest.fixture(scope='session')
def finished(tmp_path_factory) -> Path:
    """A workshop whose teacher is trained and whose pile is labeled."""
    root = tmp_path_factory.mktemp('workshop')
    write_toy_data(root / 'data/toy', labeled=6, unlabeled=7, val=2)
    oracle = root / 'data/toy/annotations/unlabeled_oracle.json'
    write_boxes(oracle, root / BOXES)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        options = [*QUICK, 'train_cfg.max_iters=2']
        code = call_tool(
            'train',
            *(TEACHER, '--work-dir', 'work_dirs/teacher', '--no-validate'),
            *('--cfg-options', *options),
        )
        assert code == 0
        assert call_tool('label', STUDENT, '--cfg-options', *DISTILL) == 0
    return root


@pytest.fixture
def workshop(finished, tmp_path, monkeypatch) -> Path:
    """A copy of the finished workshop to work in."""
    root = tmp_path / 'workshop'
    shutil.copytree(finished, root)
    monkeypatch.chdir(root)
    return root
