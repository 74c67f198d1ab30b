"""A store whose labels are exactly the annotations of a json."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmdistill.audits.unlabeled_selection import UnlabeledSelection
from mmdistill.selection.export import export_coco
from mmdistill.store import LabelStore

COUNTS = (2, 0, None, 3, 1)


@pytest.fixture
def perfect(tmp_path, make_rows, make_store, make_selection) -> tuple[LabelStore, Path]:
    """A store of 6 candidates on 4 images that were read, and the same as truth."""
    store = make_store(tmp_path / 'store', make_rows(COUNTS))
    truth = tmp_path / 'truth.json'
    export_coco(store, make_selection(-1, -1.0), truth, 'person')
    content = json.loads(truth.read_text())
    failed = dict(id=3, file_name='002.png', width=64, height=48)
    content['images'].append(failed)
    content['annotations'].append({**content['annotations'][0], 'image_id': 3})
    truth.write_text(json.dumps(content))
    return store, truth


@pytest.fixture
def selection_at(make_selection) -> Callable[..., UnlabeledSelection]:
    """An unlabeled selection by score, with thresholds of keypoints, one or each."""

    def make(
        score_thr: float = 0.0, keypoint_thrs: float | np.ndarray = -1.0
    ) -> UnlabeledSelection:
        thresholds = np.broadcast_to(keypoint_thrs, 17).tolist()
        selection = make_selection(score_thr, -1.0)
        return UnlabeledSelection(replace(selection, keypoint_thrs=tuple(thresholds)))

    return make
