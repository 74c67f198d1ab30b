from __future__ import annotations

import pytest


@pytest.fixture
def labeled(toy_root, coco_metainfo) -> dict:
    """Config of the toy data set's labeled part."""
    return dict(
        type='mmpose.CocoDataset',
        metainfo=coco_metainfo,
        data_root=str(toy_root),
        ann_file='annotations/labeled.json',
        pipeline=[],
    )


@pytest.fixture
def store(tmp_path, make_store, make_rows):
    """Six images with three candidates each."""
    return make_store(tmp_path / 'labels', make_rows([3] * 6))
