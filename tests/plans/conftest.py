"""Fixtures: the toy recipe on little data, before its teacher is trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmdistill.datasets.boxes import true_boxes
from tests.helpers.recipes import STUDENT


@pytest.fixture
def config(toy_root, tmp_path, monkeypatch) -> Config:
    """The recipe, in a folder with its data and boxes."""
    monkeypatch.chdir(tmp_path)
    # What a config downloads is there already: no test asks a network.
    monkeypatch.setattr(torch.hub, '_hub_dir', 'hub')
    Path('hub/checkpoints').mkdir(parents=True)
    for name in ('teacher.pth', 'detector.pth'):
        Path('hub/checkpoints', name).touch()
    Path('data').mkdir()
    Path('data/toy').symlink_to(toy_root)
    config = Config.fromfile(STUDENT)
    config.distill.detector = None
    boxes = Path('boxes.json')
    config.distill.unlabeled.bbox_file = str(boxes)
    oracle = toy_root / 'annotations' / 'unlabeled_oracle.json'
    boxes.write_text(json.dumps(true_boxes(oracle)))
    return config
