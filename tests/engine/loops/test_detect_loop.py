"""The real loop, store and data set; a stub stands for the network."""

from __future__ import annotations

import pytest
import torch

from mmdistill.errors import UserError
from tests.helpers.detecting import (
    MODULE,
    NUM_IMAGES,
    Detector,
)


def test_every_image_is_a_row_with_its_boxes(detect):
    _, store = detect()

    held = store.read()

    assert held.paths.to_pylist() == [f'{i}.png' for i in range(NUM_IMAGES)]
    assert held.image_index.tolist() == [1, 2, 3, 4]
    assert held.candidates.bboxes.tolist() == [[0, 0, 64, 48]] * 4
    assert held.candidates.bbox_scores.tolist() == [0.125, 0.25, 0.375, 0.5]
    assert held.candidates.instance_scores.tolist() == [0.125, 0.25, 0.375, 0.5]
    assert held.candidates.category_ids.tolist() == [4] * 4


def test_only_a_lost_chunk_is_looked_at_again(detect):
    _, store = detect()
    path = store.root / 'chunks/000001.parquet'
    before = path.read_bytes()
    path.unlink()

    detector, _ = detect()

    assert sum(detector.batches) == 2
    assert path.read_bytes() == before


def test_another_floor_is_refused_with_the_difference(detect):
    detect()

    with pytest.raises(
        UserError, match=r'detector\.score_thr: the store has 0\.05, this run 0\.3'
    ):
        detect(detector=Detector(score_thr=0.3))


def test_other_weights_are_refused(detect):
    detect()
    detector = Detector()
    torch.nn.init.zeros_(detector.module.bias)

    with pytest.raises(UserError, match=r'detector\.weights: the store has'):
        detect(detector=detector)


def test_what_is_about_training_or_its_order_does_not_matter(detect, monkeypatch):
    detect()
    others = dict(reversed(MODULE.items()), train_cfg=None, _scope_='mmdet')
    monkeypatch.setattr('tests.helpers.detecting.MODULE', others)
    detect()
    changed = dict(MODULE, test_cfg=dict(nms_pre=8))
    monkeypatch.setattr('tests.helpers.detecting.MODULE', changed)

    with pytest.raises(UserError, match=r'test_cfg\.nms_pre: the store has 9, .* 8'):
        detect()


def test_a_broken_image_is_a_row_with_its_reason(detect, tmp_path):
    (tmp_path / 'pile/2.png').write_text('no image')

    _, store = detect(max_failures=0.2)

    assert store.read().failures[2] == 'not an image: no header that Pillow reads'


def test_a_folder_is_needed(detect):
    with pytest.raises(UserError, match='DetectLoop needs a folder for the boxes'):
        detect(boxes='')
