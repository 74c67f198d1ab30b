"""A store of before the keys were renamed: read, selected from, trained on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from mmengine.config import Config

from mmdistill.selection.selection import read_selection
from mmdistill.store import LabelStore
from mmdistill.toy import write_toy_data
from tests.helpers.recipes import STUDENT
from tests.helpers.workshop import DISTILL, QUICK, call_tool

FIXTURE = Path(__file__).parents[1] / 'fixtures/older_store'
"""Seven toy images, two views, selected with `--by agreement --over annotated`."""
LABELS = Path('work_dirs/toy/labels')


@pytest.fixture
def older(tmp_path, monkeypatch) -> LabelStore:
    """The store, beside the images that it was made of."""
    monkeypatch.chdir(tmp_path)
    write_toy_data(Path('data/toy'), labeled=6, unlabeled=7, val=2)
    shutil.copytree(FIXTURE, LABELS)
    return LabelStore(LABELS)


def test_it_is_read(older):
    stated = json.loads((FIXTURE / 'selection.json').read_text())
    selection = read_selection(older)

    assert stated['options']['by'] == selection.options.criterion == 'agreement'
    assert stated['options']['over'] == selection.options.labeled_images == 'annotated'
    assert stated['options']['floor'] == selection.options.min_thr == -5
    assert selection.changes == dict(
        labeled_images='annotated', criterion='agreement', min_thr=-5
    )
    assert len(older.read().candidates) == selection.unlabeled.candidates == 13


def test_it_is_selected_from(older):
    before = json.loads((LABELS / 'selection.json').read_text())
    flags = ('--criterion', 'agreement', '--labeled-images', 'annotated')
    code = call_tool(
        *('select_labels', STUDENT, *flags, '--min-thr', '-5'),
        *('--cfg-options', *DISTILL),
    )
    assert code == 0

    after = json.loads((LABELS / 'selection.json').read_text())
    for name in ('thresholds', 'keypoint_thrs', 'labeled', 'unlabeled', 'means'):
        assert after[name] == before[name]
    assert list(after['options'].values()) == list(before['options'].values())


def test_it_is_trained_on(older):
    arguments = ('--cfg-options', *DISTILL, *QUICK, 'train_cfg.max_iters=2')
    written = ('--write-config', 'stage2.py', '--no-validate')
    assert call_tool('train', STUDENT, *written, *arguments) == 0
    # The teacher is gone: there is nothing to label again with.
    config = Config.fromfile('stage2.py')
    config.pop('distill')
    config.dump('stage2.py')

    assert call_tool('train', 'stage2.py', '--work-dir', 'work_dirs/it') == 0

    log = next(Path('work_dirs/it').rglob('*.log')).read_text()
    assert 'and 13 pseudo-labels' in log
    assert Path('work_dirs/it/iter_2.pth').is_file()
