"""Projects in and out: what is written trains, and comes back the same."""

import copy
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from mmdistill.datasets.coco.annotations import read_annotations
from mmdistill.datasets.coco.images import check_sizes, find_images, size_of_image
from mmdistill.errors import ConfigError, DataError
from mmdistill.interchange import TOOLS, ImportOptions, export_labels, import_labels
from tests.helpers.projects import NAMES, SIZE, draw, draw_points, write_deeplabcut

pytest.importorskip('tables', reason='pip install "mmdistill[import]"')


@pytest.fixture
def labels(tmp_path):
    """A COCO json of two images in folders of one name, and their folder."""
    images, annotations = [], []
    for number, folder in enumerate(('a/film', 'b/film'), 1):
        draw(tmp_path / 'images' / folder / '1.png', number)
        size = dict(width=SIZE[0], height=SIZE[1])
        images.append(dict(id=number, file_name=f'{folder}/1.png', **size))
        for _ in range(2):
            points = draw_points(len(annotations))[0]
            seen = np.isfinite(points).all(axis=1)
            rows = np.where(
                seen[:, None], np.column_stack([points, np.full(len(points), 2)]), 0
            )
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=number,
                    category_id=1,
                    bbox=[1.5, 2.0, 45.0, 44.0],
                    area=700.0,
                    iscrowd=0,
                    num_keypoints=int(seen.sum()),
                    keypoints=rows.reshape(-1).tolist(),
                    segmentation=[[1, 2, 46, 2, 46, 46, 1, 46]],
                )
            )
    category = dict(
        id=1, name='mouse', keypoints=list(NAMES), skeleton=[[1, 2], [2, 4]]
    )
    content = dict(images=images, annotations=annotations, categories=[category])
    path = tmp_path / 'labels.json'
    path.write_text(json.dumps(content))
    return path, tmp_path / 'images', content


def by_image(folder, content=None, root=None):
    """Keypoints by name of each instance, by the bytes of its image."""
    content = content or json.loads((folder / 'labeled.json').read_text())
    root = root or folder / 'images'
    found = {}
    for image in content['images']:
        data = (root / image['file_name']).read_bytes()
        found[data] = [
            dict(
                zip(
                    content['categories'][0]['keypoints'],
                    np.float32(one['keypoints']).reshape(-1, 3).tolist(),
                    strict=True,
                )
            )
            for one in content['annotations']
            if one['image_id'] == image['id']
        ]
    return found


def project_in(folder, tool):
    names = {
        'sleap': 'labels.slp',
        'label-studio': 'tasks.json',
        'cvat': 'annotations.json',
    }
    return folder / names.get(tool, '')


@pytest.mark.parametrize('tool', TOOLS)
def test_labels_come_back_from_each_tool(labels, tmp_path, tool):
    if tool == 'sleap':
        pytest.importorskip('sleap_io', reason='pip install "mmdistill[import]"')
    path, images, content = labels

    export_labels(path, tmp_path / 'out', tool, images)
    options = ImportOptions(
        keypoints=NAMES, images=tmp_path / 'out/images' if tool == 'cvat' else None
    )
    import_labels(project_in(tmp_path / 'out', tool), tmp_path / 'back', options)

    assert by_image(tmp_path / 'back') == by_image(None, content, images)


@pytest.mark.parametrize('instances', [1, 2])
def test_sleap_io_reads_the_project_of_deeplabcut(labels, tmp_path, instances):
    sio = pytest.importorskip('sleap_io', reason='pip install "mmdistill[import]"')
    path, images, content = labels
    chosen = [one for one in content['annotations'] if one['id'] % 2 or instances == 2]
    # It misreads a table of one row.
    (images / 'b/film/1.png').rename(images / 'a/film/2.png')
    content['images'][1]['file_name'] = 'a/film/2.png'
    path.write_text(json.dumps(dict(content, annotations=chosen)))

    export_labels(path, tmp_path / 'out', 'deeplabcut', images)

    theirs = {}
    read = sio.load_file(str(tmp_path / 'out'))
    for frame in read:
        data = Path(frame.video.filename[frame.frame_idx]).read_bytes()
        theirs[data] = [
            dict(zip(read.skeleton.node_names, one.numpy().tolist(), strict=True))
            for one in frame.instances
        ]
    ours = by_image(None, dict(content, annotations=chosen), images)
    assert set(theirs) == set(ours)
    for data, poses in ours.items():
        for pose, other in zip(poses, theirs[data], strict=True):
            for name, (x, y, v) in pose.items():
                point = np.float32(other[name])
                assert np.isnan(point).all() if v == 0 else point.tolist() == [x, y]


def assert_trains(folder, boxes=None):
    """The labeled set is read without a change, and its metainfo by MMPose."""
    info = parse_pose_metainfo(dict(from_file=str(folder / 'metainfo.py')))
    names = list(info['keypoint_id2name'].values())
    found = read_annotations(folder / 'labeled.json', names)
    assert not found.changes
    assert not found.rejected
    assert found.content == json.loads((folder / 'labeled.json').read_text())
    find_images('labeled', found, folder / 'images')
    check_sizes(found, lambda name: size_of_image(folder / 'images' / name))
    return info, found


def test_an_imported_project_trains_as_it_is(tmp_path):
    root = write_deeplabcut(tmp_path / 'p', {'m1': [draw_points(0), draw_points(1)]})

    project = import_labels(root, tmp_path / 'mouse')

    info, found = assert_trains(tmp_path / 'mouse')
    assert info['dataset_name'] == 'mouse'
    assert tuple(info['keypoint_id2name'].values()) == NAMES == project.keypoints
    assert info['flip_indices'] == [0, 2, 1, 3]
    assert info['skeleton_links'] == [(0, 1), (1, 3)]
    assert found.trained == 2
    assert {image['video'] for image in found.content['images']} == {'m1'}
    for one in found.content['annotations']:
        points = np.reshape(one['keypoints'], (-1, 3))
        seen = points[points[:, 2] > 0, :2]
        left, top, width, height = one['bbox']
        # Not the hull of the points: there is something around them.
        assert left < seen[:, 0].min()
        assert top < seen[:, 1].min()
        assert left + width > seen[:, 0].max()
        assert top + height > seen[:, 1].max()


def test_a_margin_in_pixels_is_that_around_the_points(tmp_path):
    points = np.array([[[10.1, 20.2], [30.3, 25.4], [12.0, 22.0], [14.0, 23.0]]])
    root = write_deeplabcut(tmp_path / 'p', {'m1': [points]})

    import_labels(root, tmp_path / 'out', ImportOptions(margin=12.0))

    content = json.loads((tmp_path / 'out/labeled.json').read_text())
    assert content['annotations'][0]['bbox'] == [0.0, 8.2, 42.3, 29.2]


def test_keypoints_and_category_are_those_asked_for(tmp_path):
    root = write_deeplabcut(tmp_path / 'p', {'m1': [draw_points(1)]})
    options = ImportOptions(keypoints=('tail', 'snout'), category='rodent')

    import_labels(root, tmp_path / 'out', options)

    content = json.loads((tmp_path / 'out/labeled.json').read_text())
    (category,) = content['categories']
    assert category['name'] == 'rodent'
    assert category['keypoints'] == ['tail', 'snout']
    points = draw_points(1)[0]
    expected = [[*points[3], 2], [*points[0], 2]]
    assert (
        np.reshape(content['annotations'][0]['keypoints'], (2, 3)).tolist() == expected
    )


def test_keypoints_that_the_project_does_not_have_are_refused_with_its_own(tmp_path):
    root = write_deeplabcut(tmp_path / 'p', {'m1': [draw_points(1)]})

    with pytest.raises(DataError, match='it has snout, leftear, rightear, tail'):
        import_labels(root, tmp_path / 'out', ImportOptions(keypoints=('nose',)))


def test_nothing_is_overwritten(tmp_path, labels):
    path, images, _ = labels
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out/mine').touch()

    with pytest.raises(
        ConfigError, match='nothing is overwritten: name another folder'
    ):
        export_labels(path, tmp_path / 'out', 'yolo', images)
    export_labels(path, tmp_path / 'other', 'yolo', images)


@pytest.mark.parametrize('margin', [-1.0, float('nan')])
def test_a_margin_is_a_number_of_pixels(tmp_path, margin):
    root = write_deeplabcut(tmp_path / 'p', {'m1': [draw_points(1)]})

    with pytest.raises(ConfigError, match='from 0 on'):
        import_labels(root, tmp_path / 'out', ImportOptions(margin=margin))


def test_a_disk_that_is_too_small_is_said_before_anything_is_written(
    tmp_path, monkeypatch
):
    root = write_deeplabcut(tmp_path / 'p', {'m1': [draw_points(0), draw_points(1)]})
    usage = SimpleNamespace(free=10_000)
    monkeypatch.setattr('shutil.disk_usage', lambda path: usage)

    with pytest.raises(ConfigError, match=r'2 images take .* name a folder on another'):
        import_labels(root, tmp_path / 'new/out')
    assert not (tmp_path / 'new').exists()

    usage.free = 100_000
    assert import_labels(root, tmp_path / 'new/out').count == 2


def test_the_same_labels_give_the_same_bytes(tmp_path):
    root = write_deeplabcut(
        tmp_path / 'p', {'m1': [draw_points(0)], 'm2': [draw_points(1)]}
    )

    for name in ('one/a', 'two/a'):
        import_labels(root, tmp_path / name)

    files = [
        {
            p.relative_to(tmp_path / n): p.read_bytes()
            for p in (tmp_path / n).rglob('*.*')
        }
        for n in ('one', 'two')
    ]
    assert files[0] == files[1]


def test_cvat_has_numbers_as_attributes_and_no_polygons(labels, tmp_path):
    path, images, content = labels
    content = copy.deepcopy(content)
    points = np.reshape(content['annotations'][0]['keypoints'], (-1, 3))
    agreement = [0.5, 0.7, 0.9, 0.3]
    content['annotations'][0].update(
        score=0.75, keypoint_agreement=agreement, keypoint_scores=[0.1] * 4
    )
    path.write_text(json.dumps(content))

    export_labels(path, tmp_path / 'out', 'cvat', images)

    written = json.loads((tmp_path / 'out/annotations.json').read_text())
    seen = [a for a, v in zip(agreement, points[:, 2], strict=True) if v]
    assert written['annotations'][0]['attributes'] == dict(
        score=0.75, agreement=pytest.approx(np.mean(seen), abs=1e-4)
    )
    # CVAT makes a shape of its own of each polygon, and skeletons have none.
    assert all(one['segmentation'] == [] for one in written['annotations'])
    assert [one['bbox'] for one in written['annotations']] == [
        [1.5, 2.0, 45.0, 44.0]
    ] * 4


def test_a_json_without_names_is_refused(labels, tmp_path):
    path, images, content = labels
    del content['categories'][0]['keypoints']
    path.write_text(json.dumps(content))

    with pytest.raises(DataError, match='names its keypoints: add their names'):
        export_labels(path, tmp_path / 'out', 'yolo', images)


def test_instances_of_another_skeleton_are_left_out_and_named(labels, tmp_path):
    path, images, content = labels
    others = dict(id=2, name='rat', keypoints=['a', 'b', 'c', 'd'])
    content['categories'].append(others)
    content['annotations'][0]['category_id'] = 2
    path.write_text(json.dumps(content))

    project = export_labels(path, tmp_path / 'out', 'yolo', images)

    assert project.count == 3
    assert 'categories with other keypoints are left out: rat' in project.notes


def test_images_of_another_size_than_the_json_says_are_refused(labels, tmp_path):
    path, images, content = labels
    content['images'][1]['width'] += 1
    path.write_text(json.dumps(content))

    with pytest.raises(DataError, match='65 x 48 pixels, the image has 64 x 48'):
        export_labels(path, tmp_path / 'out', 'yolo', images)


def test_missing_images_are_refused_or_left_out(labels, tmp_path):
    path, images, _ = labels
    Path(images / 'a/film/1.png').unlink()

    with pytest.raises(DataError, match=r'1 of 2 labeled images .* --skip-missing'):
        export_labels(path, tmp_path / 'out', 'yolo', images)
    project = export_labels(path, tmp_path / 'out', 'yolo', images, skip_missing=True)
    assert len(project.images) == 1
