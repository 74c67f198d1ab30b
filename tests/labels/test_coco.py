"""The export opens in xtcocotools and in MMPose."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pycocotools.coco
import pytest
from mmpose.datasets.datasets.body import CocoDataset
from xtcocotools.coco import COCO

from mmdistill.errors import UserError
from mmdistill.labels.coco import ExportOptions, export_coco

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
            if candidates.keypoint_scores[row, k] > selection.keypoint_thrs[k]:
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
    assert np.float32(scores).tolist() == kept.instance_scores.tolist()


def test_mmpose_reads_every_instance(exported, coco_metainfo):
    labels, selection, path = exported
    dataset = CocoDataset(ann_file=str(path), metainfo=coco_metainfo)
    assert len(dataset) == selection.kept(labels.candidates).sum()


def test_every_category_names_its_keypoints(exported, coco_names):
    labels, _, path = exported
    categories = json.loads(path.read_text())['categories']
    numbers = set(labels.candidates.category_ids.tolist())
    assert {entry['id'] for entry in categories} == numbers
    assert len({entry['name'] for entry in categories}) == len(numbers) > 1
    for entry in categories:
        assert entry['keypoints'] == coco_names
        assert entry['skeleton'] == [[1, 2]]


def test_one_category_has_the_name_given(
    tmp_path, make_rows, make_store, make_selection
):
    rows = make_rows(COUNTS)
    for row in rows:
        row.candidates.category_ids[:] = 18
    store = make_store(tmp_path / 'store', rows)
    export_coco(store, make_selection(0.4), tmp_path / 'coco.json', 'dog')
    (entry,) = json.loads((tmp_path / 'coco.json').read_text())['categories']
    assert (entry['id'], entry['name']) == (18, 'dog')


def test_annotations_have_the_category_of_their_candidate(exported):
    labels, _, path = exported
    for annotation in json.loads(path.read_text())['annotations']:
        category = labels.candidates.category_ids[annotation['id'] - 1]
        assert annotation['category_id'] == category


def test_images_have_their_source(tmp_path, make_rows, make_store, make_selection):
    rows = [
        replace(row, source=f'video {i % 2}')
        for i, row in enumerate(make_rows((1, 2, 0)))
    ]
    store = make_store(tmp_path / 'store', rows)
    export_coco(store, make_selection(0.4), tmp_path / 'coco.json', 'person')
    images = json.loads((tmp_path / 'coco.json').read_text())['images']
    assert [image['source'] for image in images] == ['video 0', 'video 1', 'video 0']


def test_an_incomplete_store_is_not_exported(
    tmp_path, make_rows, make_store, make_selection
):
    store = make_store(tmp_path / 'store', make_rows(COUNTS))
    (tmp_path / 'store/chunks/000000.parquet').unlink()
    with pytest.raises(UserError, match='not complete'):
        export_coco(store, make_selection(0.4), tmp_path / 'coco.json', 'person')
    assert not (tmp_path / 'coco.json').exists()


def test_pycocotools_reads_every_instance(exported):
    labels, selection, path = exported
    annotations = pycocotools.coco.COCO(str(path)).anns
    assert len(annotations) == selection.kept(labels.candidates).sum()


def test_the_info_tells_what_made_the_labels(exported):
    _, _, path = exported
    info = json.loads(path.read_text())['info']
    assert info['made_by']['keypoints'][0] == 'nose'
    assert info['selection']['thresholds'][0]['score_thr'] == 0.4
    assert len(info['store']) == 64


def column(annotations, name, *shape):
    values = np.array([annotation[name] for annotation in annotations])
    return values.reshape(-1, *shape).astype(np.float32)


def test_every_kept_value_comes_back_to_the_last_bit(exported):
    labels, selection, path = exported
    kept = labels.candidates[np.flatnonzero(selection.kept(labels.candidates))]
    annotations = json.loads(path.read_text())['annotations']
    for name in ('bbox_scores', 'keypoint_scores', 'keypoint_agreement'):
        key = 'bbox_score' if name == 'bbox_scores' else name
        back = np.array([a[key] for a in annotations], dtype=np.float32)
        assert np.array_equal(back, getattr(kept, name))
    assert np.array_equal(column(annotations, 'score'), kept.instance_scores)
    boxes = np.array([a['bbox'] for a in annotations])
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    assert np.array_equal(corners.astype(np.float32), kept.bboxes)
    keypoints = column(annotations, 'keypoints', 17, 3)
    visible = kept.keypoint_scores > np.float32(selection.keypoint_thrs)
    assert np.array_equal(keypoints[..., 2] == 2, visible)
    assert np.array_equal(keypoints[visible][:, :2], kept.keypoints[visible])


@pytest.fixture
def export(tmp_path, make_rows, make_store, make_selection):
    """Export with options; returns the store's labels, what is kept and the json."""
    store = make_store(tmp_path / 'store', make_rows(COUNTS))

    def export(**options):
        selection = make_selection(0.4)
        path = tmp_path / 'coco.json'
        export_coco(store, selection, path, 'person', options=ExportOptions(**options))
        labels = store.read()
        return labels, selection.kept(labels.candidates), path

    return export


def test_rejected_candidates_are_ignored_by_all(export, coco_metainfo):
    _, kept, path = export(rejected=True)
    annotations = COCO(str(path)).anns
    assert sorted(annotations) == list(range(1, len(kept) + 1))
    for number, annotation in annotations.items():
        assert annotation['ignore'] == annotation['iscrowd'] == (not kept[number - 1])
    dataset = CocoDataset(ann_file=str(path), metainfo=coco_metainfo)
    assert len(dataset) == kept.sum() < len(kept)


def test_details_can_be_left_out(export):
    annotations = COCO(str(export(details=False)[2])).anns.values()
    assert not any('keypoint_scores' in annotation for annotation in annotations)


def test_the_worst_images_come_first(export):
    labels, kept, path = export(most_disagreed=2)
    worst = {}
    for row in np.flatnonzero(kept):
        candidate = labels.candidates[row]
        seen = candidate.keypoint_scores > 0.2
        mean = 1 - candidate.keypoint_agreement[seen].mean()
        image = int(labels.image_index[row]) + 1
        worst[image] = max(worst.get(image, -1), mean)
    expected = sorted(worst, key=worst.get, reverse=True)[:2]
    assert [i['id'] for i in json.loads(path.read_text())['images']] == expected
    of_images = {a['image_id'] for a in COCO(str(path)).anns.values()}
    assert of_images == set(expected)


def test_corrected_labels_are_labelled_data(export, tmp_path, coco_metainfo):
    labels, _, path = export(most_disagreed=3)
    content = json.loads(path.read_text())
    corrected, deleted = content['annotations'][0], content['annotations'].pop()
    corrected['keypoints'][:3] = [12.5, 13.25, 2]
    path.write_text(json.dumps(content))

    dataset = CocoDataset(
        ann_file=str(path),
        data_prefix=dict(img='images/'),
        metainfo=coco_metainfo,
    )

    infos = {
        info['id']: info for info in map(dataset.get_data_info, range(len(dataset)))
    }
    assert infos.keys() == {a['id'] for a in content['annotations']}
    assert deleted['id'] not in infos
    mine = infos[corrected['id']]
    assert mine['keypoints'][0, 0].tolist() == [12.5, 13.25]
    assert mine['keypoints_visible'][0, 0] == 1
    others = labels.candidates[corrected['id'] - 1]
    seen = mine['keypoints_visible'][0, 1:] > 0
    assert np.array_equal(mine['keypoints'][0, 1:][seen], others.keypoints[1:][seen])


def test_a_store_without_kept_labels_is_valid_json(
    tmp_path, make_rows, make_store, make_selection
):
    store = make_store(tmp_path / 'store', make_rows((0, 0)))
    export_coco(store, make_selection(0.4), tmp_path / 'coco.json', 'person')
    assert json.loads((tmp_path / 'coco.json').read_text())['annotations'] == []
