"""Checkpoints with the metainfo of every data set of MMPose: saved, loaded, resumed."""

from __future__ import annotations

from pathlib import Path

import mmpose
import mmpose.datasets
import numpy as np
import pytest
from mmengine.config import Config
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS

from mmdistill.engine.hooks.plain_model_hook import plain_model
from tests.helpers.toy_training import ToyData, load, save, train

FILES = Path(mmpose.__file__).parent / '.mim/configs/_base_/datasets'
SHIPPED = sorted(
    path for path in FILES.glob('*.py') if 'dataset_info' in path.read_text()
)


def assert_same(one, other):
    assert one.keys() == other.keys()
    for key in one:
        np.testing.assert_equal(one[key], other[key])


def test_every_data_set_of_mmpose_is_among_them():
    metainfos = [each.METAINFO for each in DATASETS.module_dict.values() if has(each)]
    files = {Path(each['from_file']).name for each in metainfos}
    assert len(metainfos) >= 43
    assert files <= {path.name for path in SHIPPED}


def has(dataset):
    return bool(getattr(dataset, 'METAINFO', None))


@pytest.mark.parametrize('path', SHIPPED, ids=lambda path: path.stem)
def test_a_training_with_its_metainfo_is_resumed(tmp_path, path, monkeypatch):
    metainfo = parse_pose_metainfo(Config.fromfile(path).dataset_info)
    monkeypatch.setattr(ToyData, 'metainfo', metainfo)
    train(tmp_path, 1)

    saved = load(tmp_path / 'epoch_1.pth')
    assert_same(saved['meta']['dataset_meta'], metainfo)
    resumed = train(tmp_path, 2, resume=True)
    assert resumed.epoch == 2
    assert_same(load(tmp_path / 'epoch_2.pth')['meta']['dataset_meta'], metainfo)

    plain = load(save(tmp_path / 'plain.pth', **plain_model(saved)))
    assert_same(plain['meta']['dataset_meta'], metainfo)
