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
from mmdistill.selection.export import ExportOptions, Surroundings, export_coco

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


def test_rejected_candidates_have_a_file_of_their_own(export, coco_metainfo):
    """Many readers take for true whatever a json holds, and drop `iscrowd`."""
    _, kept, path = export(rejected=True)
    files = path, path.with_name('coco.rejected.json')
    contents = [json.loads(file.read_text()) for file in files]
    for content, rows, ignored in zip(contents, (kept, ~kept), (0, 1), strict=True):
        found = content['annotations']
        assert [a['id'] - 1 for a in found] == np.flatnonzero(rows).tolist()
        assert (
            {a['ignore'] for a in found} == {a['iscrowd'] for a in found} == {ignored}
        )
    assert contents[0]['images'] == contents[1]['images']
    assert contents[0]['categories'] == contents[1]['categories']
    dataset = CocoDataset(ann_file=str(path), metainfo=coco_metainfo)
    assert len(dataset) == kept.sum() < len(kept)
    assert len(COCO(str(files[1])).anns) == (~kept).sum()


def test_there_is_no_file_of_rejected_ones_unless_it_is_asked_for(export):
    assert not export()[2].with_name('coco.rejected.json').exists()


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


def test_corrected_labels_are_labeled_data(export, tmp_path, coco_metainfo):
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


@pytest.fixture
def export_around(tmp_path, make_rows, make_store, make_selection):
    """Export rows with categories, ids and files given; returns the json's content."""

    def export(rows=None, path=tmp_path / 'coco.json', **surroundings):
        rows = rows or make_rows(COUNTS)
        store = make_store(tmp_path / 'store', rows)
        selection = make_selection(0.1)
        around = Surroundings(**surroundings)
        export_coco(store, selection, path, 'person', [(1, 2)], None, around)
        return json.loads(path.read_text())

    return export


def test_a_keypoint_off_the_image_is_not_labeled(export_around, make_rows):
    rows = make_rows((1,))
    keypoints = rows[0].candidates.keypoints
    off = [[-0.25, 5], [64, 5], [5, 48], [5, -1], [1e6, 1e6]]
    on = [[0, 0], [63.875, 47.875]]
    keypoints[0, :7] = [*off, *on]
    rows[0].candidates.keypoint_scores[:] = 0.5
    (annotation,) = export_around(rows)['annotations']
    triples = np.reshape(annotation['keypoints'], (-1, 3))
    assert triples[:7].tolist() == [[0, 0, 0]] * 5 + [[x, y, 2] for x, y in on]
    assert annotation['num_keypoints'] == 17 - len(off)


def test_masks_are_the_boxes_on_their_images(exported):
    path = exported[2]
    coco = pycocotools.coco.COCO(str(path))
    assert coco.anns
    for annotation in coco.anns.values():
        mask = coco.annToMask(annotation)
        x, y, w, h = annotation['bbox']
        assert mask.shape == (48, 64)
        rows, columns = np.nonzero(mask)
        assert abs(columns.min() - x) <= 1
        assert abs(columns.max() + 1 - min(x + w, 64)) <= 1
        assert abs(rows.min() - y) <= 1
        assert abs(rows.max() + 1 - min(y + h, 48)) <= 1


def test_categories_are_those_of_the_labeled_set(export_around, coco_names):
    labeled = [
        dict(id=7, name='cat', supercategory='pet', keypoints=coco_names, skeleton=[]),
        dict(id=2, name='dog'),
    ]
    content = export_around(categories=labeled)
    first, second, third, fourth = content['categories']
    assert [first['id'], second['id'], third['id']] == [1, 2, 3]
    assert second == dict(
        id=2, name='dog', supercategory='dog', keypoints=coco_names, skeleton=[[1, 2]]
    )
    assert fourth == labeled[0]
    assert {a['category_id'] for a in content['annotations']} <= {1, 2, 3}


def test_labels_are_of_the_one_category_that_is_labeled(export_around, coco_names):
    """Detections may call it otherwise; they were counted as it."""
    content = export_around(categories=[dict(id=9, name='mouse')])
    assert [(c['id'], c['name']) for c in content['categories']] == [(9, 'mouse')]
    assert {a['category_id'] for a in content['annotations']} == {9}


def test_images_keep_their_ids_and_others_have_none_of_them(export_around):
    ids = {'000.png': 40, '004.png': 2}
    content = export_around(image_ids=ids)
    found = {image['file_name']: image['id'] for image in content['images']}
    assert found | ids == found
    assert len(set(found.values())) == len(found)
    assert {a['image_id'] for a in content['annotations']} <= set(found.values())
    names = {number: name for name, number in found.items()}
    for annotation in content['annotations']:
        first = annotation['id'] - 1
        owners = np.repeat(np.arange(6), [2, 0, 0, 3, 0, 4])
        assert names[annotation['image_id']] == f'{owners[first]:03d}.png'


def test_an_image_without_a_file_is_left_out_with_its_labels(export_around):
    content = export_around(files_of=lambda labels, images: {'005.png': 'a/5.png'})
    (image,) = content['images']
    assert (image['file_name'], image['key']) == ('a/5.png', '005.png')
    assert {a['image_id'] for a in content['annotations']} == {image['id']}


def test_what_readers_ask_for_is_there(exported):
    content = json.loads(exported[2].read_text())
    assert content['licenses'] == []
    assert content['info']['version']
    for annotation in content['annotations']:
        assert len(annotation['segmentation'][0]) == 8
        assert annotation['iscrowd'] == 0
        assert annotation['area'] > 0
