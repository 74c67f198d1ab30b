"""Boxes out of a store and into one again."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mmdistill.datasets.boxes import read_boxes, stored_boxes
from mmdistill.datasets.sources.image_list import ImageList
from mmdistill.store import LabelStore
from mmdistill.store.bbox_file import write_boxes
from mmdistill.store.manifest import DETECTIONS


@pytest.fixture
def detections(tmp_path, make_store, make_rows) -> LabelStore:
    """Five images, one of them broken and one empty."""
    store = LabelStore(tmp_path / 'boxes', DETECTIONS)
    rows = make_rows((2, None, 0, 3, 1), num_keypoints=0)
    make_store(store.root, rows, chunk_size=2, names=())
    return store


def test_what_is_written_is_read_as_the_boxes_of_the_store(detections, tmp_path):
    paths = detections.paths()

    count = write_boxes(
        detections, {path: path for path in paths}, tmp_path / 'boxes.json'
    )

    written = read_boxes(tmp_path / 'boxes.json', ImageList(paths))
    held = stored_boxes(detections, paths)
    assert count == 6
    everything = np.arange(len(paths))
    assert written.sha256(everything) == held.sha256(everything)


def test_images_have_the_given_names(detections, tmp_path):
    names = {path: number + 7 for number, path in enumerate(detections.paths()[:4])}

    write_boxes(detections, names, tmp_path / 'boxes.json')

    entries = json.loads((tmp_path / 'boxes.json').read_text())
    assert [entry['image_id'] for entry in entries] == [7, 7, 10, 10, 10]
    assert set(entries[0]) == {'image_id', 'category_id', 'bbox', 'score'}


def test_no_box_is_an_empty_list(detections, tmp_path):
    assert write_boxes(detections, {}, tmp_path / 'boxes.json') == 0
    assert json.loads((tmp_path / 'boxes.json').read_text()) == []
