import json

from mmdistill.datasets.boxes import read_boxes
from mmdistill.datasets.sources.image_list import images_of_coco

ANNOTATIONS = [
    dict(id=1, image_id=5, category_id=1, bbox=[1, 2, 3, 4], iscrowd=0),
    dict(id=2, image_id=5, category_id=1, bbox=[1, 2, 3, 4], iscrowd=1),
    dict(id=3, image_id=3, category_id=1, bbox=[5, 6, 0, 4], iscrowd=0),
    dict(id=4, image_id=3, category_id=7, bbox=[5, 6, 7, 8]),
]


def test_true_boxes_are_read_as_detections(tmp_path, tool):
    images = [dict(id=i, file_name=f'{i}.jpg') for i in (3, 5)]
    source = tmp_path / 'coco.json'
    source.write_text(json.dumps(dict(images=images, annotations=ANNOTATIONS)))

    assert tool('make_boxes', str(source), str(tmp_path / 'boxes.json')) == 0

    boxes = read_boxes(tmp_path / 'boxes.json', images_of_coco(source))
    assert boxes.offsets.tolist() == [0, 1, 2]
    assert boxes.bboxes.tolist() == [[5, 6, 12, 14], [1, 2, 4, 6]]
    assert boxes.scores.tolist() == [1, 1]


def test_a_json_without_annotations_is_refused(tmp_path, tool, capfd):
    source = tmp_path / 'coco.json'
    source.write_text('{}')

    assert tool('make_boxes', str(source), str(tmp_path / 'boxes.json')) == 2
    assert 'images of the annotations' in capfd.readouterr().err
    assert not (tmp_path / 'boxes.json').exists()


def test_boxes_never_replace_the_annotations(tmp_path, tool, capfd):
    source = tmp_path / 'coco.json'
    images = [dict(id=i, file_name=f'{i}.jpg') for i in (3, 5)]
    source.write_text(json.dumps(dict(images=images, annotations=ANNOTATIONS)))
    (tmp_path / 'link.json').symlink_to(source)
    before = source.read_bytes()

    for out in (source, tmp_path / 'link.json'):
        assert tool('make_boxes', str(source), str(out)) == 2
        assert f'out {out} is ann_file, which it would' in capfd.readouterr().err
    assert source.read_bytes() == before
