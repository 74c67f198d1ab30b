"""A workshop: tiny toy data and a trained teacher; the recipes are the real ones."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mmdistill.toy import write_toy_data
from tests.helpers.recipes import STUDENT, TEACHER
from tests.helpers.workshop import BOXES, DISTILL, QUICK, call_tool, write_boxes


@pytest.fixture
def tool() -> Callable[..., int]:
    """Call a tool by name with arguments; returns its exit code."""
    return call_tool


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
