"""The export opens in xtcocotools and in MMPose."""

from __future__ import annotations

import json

import numpy as np
import pytest
from mmpose.datasets.datasets.body import CocoDataset
from xtcocotools.coco import COCO

from mmdistill.errors import UserError
from mmdistill.labels.coco import export_coco

COUNTS = (2, 0, None, 3, 0, 4)


@pytest.fixture
def exported(tmp_path, make_rows, make_store, make_selection):
    """A store, its selection and its export."""
    store = make_store(tmp_path / 'store', make_rows(COUNTS))
    selection = make_selection(0.4)
    export_coco(store, selection, tmp_path / 'coco.json', 'person', [(1, 2)])
    return store.read(), selection, tmp_path / 'coco.json'


def test_xtcocotools_finds_the_kept_instances(exported):
    labels, selection, path = exported
    kept = selection.kept(labels.candidates)
    assert 0 < kept.sum() < len(kept)
    assert len(COCO(str(path)).getAnnIds()) == kept.sum()


def test_images_without_people_are_listed_and_failed_ones_are_not(exported):
    images = COCO(str(exported[2])).imgs
    assert {i: image['file_name'] for i, image in images.items()} == {
        1: '000.png',
        2: '001.png',
        4: '003.png',
        5: '004.png',
        6: '005.png',
    }


def test_instances_stay_on_their_image(exported):
    labels, selection, path = exported
    kept = labels.image_index[selection.kept(labels.candidates)] + 1
    annotations = COCO(str(path)).anns.values()
    assert [a['image_id'] for a in annotations] == kept.tolist()


def test_keypoints_are_x_y_2_where_visible_and_zeros_elsewhere(exported):
    labels, selection, path = exported
    candidates = labels.candidates[selection.kept(labels.candidates)]
    for row, annotation in enumerate(COCO(str(path)).anns.values()):
        for k, (x, y, v) in enumerate(np.reshape(annotation['keypoints'], (-1, 3))):
            if candidates.keypoint_scores[row, k] > selection.keypoint_thr:
                expected = [*candidates.keypoints[row, k], 2]
            else:
                expected = [0, 0, 0]
            assert [x, y, v] == pytest.approx(expected, abs=1e-4)


def test_num_keypoints_counts_the_visible_ones(exported):
    for annotation in COCO(str(exported[2])).anns.values():
        visible = np.count_nonzero(annotation['keypoints'][2::3])
        assert annotation['num_keypoints'] == visible


def test_boxes_are_xywh_of_the_candidates(exported):
    labels, selection, path = exported
    boxes = labels.candidates[selection.kept(labels.candidates)].bboxes
    for box, annotation in zip(boxes, COCO(str(path)).anns.values(), strict=True):
        x, y, w, h = annotation['bbox']
        assert [x, y, x + w, y + h] == pytest.approx(box.tolist(), abs=1e-4)


def test_scores_are_those_of_the_instances(exported):
    labels, selection, path = exported
    kept = labels.candidates[selection.kept(labels.candidates)]
    scores = [a['score'] for a in COCO(str(path)).anns.values()]
    assert scores == kept.instance_scores.tolist()


def test_mmpose_reads_every_instance(exported, coco_metainfo):
    labels, selection, path = exported
    dataset = CocoDataset(ann_file=str(path), metainfo=coco_metainfo)
    assert len(dataset) == selection.kept(labels.candidates).sum()


def test_the_category_names_its_keypoints(exported, coco_names):
    (category,) = json.loads(exported[2].read_text())['categories']
    assert category['keypoints'] == coco_names
    assert category['skeleton'] == [[1, 2]]


def test_an_incomplete_store_is_not_exported(
    tmp_path, make_rows, make_store, make_selection
):
    store = make_store(tmp_path / 'store', make_rows(COUNTS))
    (tmp_path / 'store/chunks/000000.parquet').unlink()
    with pytest.raises(UserError, match='not complete'):
        export_coco(store, make_selection(0.4), tmp_path / 'coco.json', 'person')
    assert not (tmp_path / 'coco.json').exists()
