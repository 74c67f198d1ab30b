"""A teacher with heatmaps that cannot be decoded ends no command."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mmpose.codecs import UDPHeatmap
from mmpose.models.heads import HeatmapHead
from torch import Tensor

from mmdistill.store import LabelStore
from mmdistill.store.schema import SOME_NOT_FINITE
from tests.helpers.recipes import STUDENT
from tests.helpers.workshop import DISTILL, LABELS, TEACHER_FILE

CODEC = UDPHeatmap((64, 96), (16, 24), sigma=1, blur_kernel_size=3)
"""The codec of the toy teacher."""
OPTIONS = ('--cfg-options', *DISTILL, 'distill.views.scales=[1.0]')
ONE_VIEW = (*OPTIONS, 'distill.views.flip=False')
COMMANDS = {
    'plan': ('plan', STUDENT, *ONE_VIEW),
    'label': ('label', STUDENT, *ONE_VIEW),
    'audit': ('audit_labels', STUDENT, *ONE_VIEW),
    'test': ('test', STUDENT, TEACHER_FILE, '--tta', '--out', 'out.json', *ONE_VIEW),
}


@pytest.fixture(scope='module')
def singular() -> Tensor:
    """A heatmap whose curvature MMPose cannot invert, found by trying, (24, 16)."""
    rng = np.random.default_rng(0)
    for _ in range(20000):
        heatmap = np.full((24, 16), rng.uniform(0.01, 0.3), np.float32)
        heatmap += rng.choice([1e-9, 1e-8, 6e-8], heatmap.shape).astype(np.float32)
        try:
            CODEC.decode(heatmap[None])
        except np.linalg.LinAlgError:
            return torch.from_numpy(heatmap)
    raise AssertionError('no heatmap met the error')


@pytest.fixture
def break_heatmaps(monkeypatch) -> Callable[[Callable[[Tensor], None]], None]:
    """Change what heads give, in place."""
    plain = HeatmapHead.forward

    def patch(change: Callable[[Tensor], None]) -> None:
        def forward(self: HeatmapHead, feats: tuple) -> Tensor:
            heatmaps = plain(self, feats).clone()
            change(heatmaps)
            return heatmaps

        monkeypatch.setattr(HeatmapHead, 'forward', forward)

    return patch


@pytest.fixture
def broken_rows(break_heatmaps, singular) -> None:
    """The first instance of each forward pass has heatmaps of every broken kind."""

    def change(heatmaps: Tensor) -> None:
        heatmaps[0, 0] = singular
        heatmaps[0, 1] = torch.nan
        heatmaps[0, 2, 3, 4] = torch.inf
        heatmaps[0, 3:5] = 0

    break_heatmaps(change)


@pytest.mark.parametrize('command', COMMANDS)
@pytest.mark.usefixtures('broken_rows')
def test_broken_heatmaps_end_no_command(command, workshop, tool, capfd):
    if command in ('label', 'audit'):
        shutil.rmtree(LABELS)
        assert tool(*COMMANDS['label']) == 0

    assert tool(*COMMANDS[command]) == 0

    printed = ''.join(capfd.readouterr())
    assert 'have a heatmap too flat to be refined' in printed
    if command == 'label':
        labels = LabelStore(LABELS).read()
        assert labels.failures == [None] * 7
        assert f'images: {SOME_NOT_FINITE}' in printed
        assert np.isfinite(labels.candidates.keypoints).all()
    if command == 'test':
        assert 'keypoints are not finite: they have score 0' in printed
        assert json.loads(Path('out.json').read_text())


@pytest.mark.parametrize('command', COMMANDS)
def test_a_teacher_that_gives_nan_alone_is_a_sentence(
    command, workshop, tool, break_heatmaps, capfd
):
    break_heatmaps(lambda heatmaps: heatmaps.fill_(torch.nan))
    if command == 'label':
        shutil.rmtree(LABELS)

    assert tool(*COMMANDS[command]) == 2

    error = capfd.readouterr().err.splitlines()[-1]
    assert error.startswith('error: no keypoint is finite')
    assert 'NaN or infinity' in error
