"""Examples in docstrings: every public name has one, and all of them run."""

from __future__ import annotations

import ast
import doctest
import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.logging import MMLogger

from mmdistill.config.selection_options import SelectionOptions
from mmdistill.selection.counts import LabeledCounts, build_labeled
from mmdistill.selection.threshold_matching import select
from mmdistill.store import Candidates, ImageRow
from mmdistill.store.schema import empty_candidates
from tests.helpers.finder_models import init_finder_model
from tests.helpers.small_model import init_small_model

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / 'mmdistill'
FILES = [
    *sorted(PACKAGE.glob('functional/*.py')),
    *sorted(PACKAGE.glob('selection/*.py')),
    PACKAGE / 'apis.py',
]
MODULES = ['.'.join(p.relative_to(REPOSITORY).with_suffix('').parts) for p in FILES]


def without_example(path: Path) -> list[str]:
    """Public functions and classes of a module whose docstring has no example."""
    return [
        node.name
        for node in ast.parse(path.read_text()).body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
        and not node.name.startswith('_')
        and '>>> ' not in (ast.get_docstring(node) or '')
    ]


def candidates(scores: list[float]) -> Candidates:
    """Candidates of two keypoints, one a score."""
    count = len(scores)
    return Candidates(
        bboxes=np.tile(np.array([4, 4, 36, 28], np.float32), (count, 1)),
        bbox_scores=np.ones(count, np.float32),
        keypoints=np.tile(np.array([[8, 8], [32, 24]], np.float32), (count, 1, 1)),
        keypoint_scores=np.tile(np.array([0.75, 0.5], np.float32), (count, 1)),
        keypoint_agreement=np.full((count, 2), 0.5, np.float32),
        instance_scores=np.array(scores, np.float32),
        category_ids=np.ones(count, np.int32),
    )


def write_labeled(path: Path) -> None:
    """Write COCO annotations of two images with an instance each."""
    annotation = dict(category_id=1, bbox=[4, 4, 32, 24], area=700, iscrowd=0)
    annotation |= dict(num_keypoints=17, keypoints=[10, 12, 2] * 17)
    numbers = (1, 2)
    content = dict(
        categories=[dict(id=1, name='person')],
        images=[dict(id=i, file_name=f'{i}.jpg', width=64, height=48) for i in numbers],
        annotations=[dict(annotation, id=i, image_id=i) for i in numbers],
    )
    path.write_text(json.dumps(content))


@pytest.fixture
def names(tmp_path, monkeypatch, make_store) -> dict[str, Any]:
    """The names that examples may use, in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    MMLogger.get_instance('mmdistill', log_level='ERROR')
    write_labeled(tmp_path / 'labeled.json')
    rows = [
        ImageRow('a.jpg', 64, 48, 'ok', '', candidates([0.875, 0.5])),
        ImageRow('b.jpg', 64, 48, 'ok', '', candidates([0.75])),
        ImageRow('c.jpg', 0, 0, 'failed', 'no such file', empty_candidates(2)),
    ]
    store = make_store(tmp_path / 'labels', rows, names=('head', 'tail'))
    labeled = LabeledCounts(2, 2, 2, 'hash', ((1, 2),), (2, 2))
    dataset = dict(type='CocoDataset', ann_file='labeled.json')
    return dict(
        store=store,
        labeled=labeled,
        dataset=build_labeled(dataset),
        selection=select(store, labeled, SelectionOptions()),
    )


@pytest.mark.parametrize('path', FILES, ids=MODULES)
def test_every_public_name_has_an_example(path):
    assert without_example(path) == []


@pytest.mark.parametrize('name', [m for m in MODULES if not m.endswith('__init__')])
def test_examples_run(name, names):
    module = importlib.import_module(name)
    if name == 'mmdistill.apis':
        names |= dict(model=init_small_model(), finder=init_finder_model())

    failed, run = doctest.testmod(module, extraglobs=names)

    assert failed == 0
    assert run > 0
