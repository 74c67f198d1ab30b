"""A store whose labels are exactly the annotations of a json."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mmdistill.labels import LabelStore
from mmdistill.labels.coco import export_coco

SIGMAS = np.full(17, 0.05)
COUNTS = (2, 0, None, 3, 1)
ALL_VISIBLE = np.full(17, -1.0)


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
