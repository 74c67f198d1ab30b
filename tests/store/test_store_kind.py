"""What sentences call a store."""

from __future__ import annotations

import pytest

from mmdistill.errors import UserError
from mmdistill.store import LabelStore
from mmdistill.store.manifest import DETECTIONS
from mmdistill.store.status import format_status


@pytest.fixture
def detections(tmp_path, make_store, make_rows) -> LabelStore:
    """Three chunks without keypoints, as a detection store has them."""
    store = LabelStore(tmp_path / 'boxes', DETECTIONS)
    rows = make_rows((2, None, 0, 1, 1), num_keypoints=0)
    make_store(store.root, rows, chunk_size=2, names=())
    return store


def test_a_missing_store_is_called_by_its_kind(tmp_path):
    store = LabelStore(tmp_path, DETECTIONS)

    with pytest.raises(UserError, match=r'no detection store .*with tools/detect\.py'):
        store.manifest  # noqa: B018


def test_an_incomplete_store_is_continued_with_its_own_tool(detections):
    (detections.root / 'chunks/000001.parquet').unlink()

    with pytest.raises(
        UserError, match=r'the detection store .* 1 of 3 .* with tools/detect\.py'
    ):
        detections.read()


def test_another_store_is_refused_with_its_own_setting(detections, make_unlabeled):
    manifest = dict(detections.manifest, chunk_size=3)

    with pytest.raises(UserError, match=r'another folder in distill\.detector\.boxes'):
        detections.claim(manifest, make_unlabeled(detections.paths()))


def test_a_damaged_file_is_mended_with_its_own_tool(detections):
    (detections.root / 'chunks/000001.parquet').write_bytes(b'text')

    with pytest.raises(UserError, match=r'remove it and continue with tools/detect'):
        detections.read()


def test_the_status_counts_boxes(detections):
    first, second, *_ = format_status(detections)

    assert first == f'detection store {detections.root}'
    assert second == 'done: 5 of 5 images, in 3 of 3 chunks, with 4 boxes'
