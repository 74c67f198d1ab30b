"""YOLO pose data sets, read by sleap-io too."""

import numpy as np
import pytest
import yaml

from mmdistill.errors import DataError
from mmdistill.interchange import project as projects
from mmdistill.interchange.yolo import is_yolo, read_yolo, write_yolo
from tests.helpers.projects import NAMES, SIZE, draw

ROWS = np.array([[5.5, 6.125, 2], [7.3, 8.7, 1], [0, 0, 0], [9.1, 10.25, 2]])
BOX = (2.0, 3.0, 20.0, 15.5)


@pytest.fixture
def labeled(tmp_path):
    instances = (
        projects.LabeledInstance(ROWS, BOX, 'mouse'),
        projects.LabeledInstance(ROWS + np.array([9, 9, 0]) * (ROWS > 0), BOX, 'rat'),
    )
    return projects.Project(
        NAMES,
        tuple(
            projects.LabeledImage(
                name, draw(tmp_path / 'train/images' / name, n), own, size=SIZE
            )
            for n, (name, own) in enumerate([('1.png', instances), ('2.png', ())])
        ),
        skeleton=((0, 1), (1, 3)),
        pairs=((1, 2),),
        category='mouse',
    )


@pytest.fixture
def folder(tmp_path, labeled):
    write_yolo(labeled, tmp_path, {i.key: i.content for i in labeled.images})
    return tmp_path


def test_the_yaml_mirrors_left_and_right(folder):
    content = yaml.safe_load((folder / 'data.yaml').read_text())

    assert content['kpt_shape'] == [4, 3]
    assert content['flip_idx'] == [0, 2, 1, 3]
    assert content['names'] == {0: 'mouse', 1: 'rat'}
    assert content['kpt_names'] == {0: list(NAMES), 1: list(NAMES)}
    assert content['train'] == content['val'] == 'train/images'


def test_lines_are_class_box_and_points_as_shares(folder):
    first, second = (folder / 'train/labels/1.txt').read_text().splitlines()
    numbers = np.array(first.split(), dtype=float)

    assert numbers[0] == 0
    assert second.startswith('1 ')
    center = np.array(BOX[:2]) + np.array(BOX[2:]) / 2
    assert np.allclose(numbers[1:3] * SIZE, center)
    assert np.allclose(numbers[3:5] * SIZE, BOX[2:])
    points = numbers[5:].reshape(4, 3)
    assert np.allclose(points[:, :2] * SIZE, ROWS[:, :2], atol=1e-6)
    assert points[:, 2].tolist() == ROWS[:, 2].tolist()
    assert (folder / 'train/labels/2.txt').read_text() == ''


def test_sleap_io_reads_the_same_points(folder):
    sio = pytest.importorskip('sleap_io', reason='pip install "mmdistill[import]"')

    labels = sio.load_file(str(folder))

    assert labels.skeleton.node_names == list(NAMES)
    frames = {frame.video.filename[0].split('/')[-1]: frame for frame in labels}
    points = frames['1.png'].instances[0].numpy(invisible_as_nan=False)
    assert np.allclose(points[[0, 1, 3]], ROWS[[0, 1, 3], :2], atol=1e-5)
    assert np.isnan(points[2]).all()
    assert not frames['2.png'].instances


def test_what_is_written_is_read_back(folder, labeled):
    assert is_yolo(folder)
    assert is_yolo(folder / 'data.yaml')

    back = read_yolo(folder)

    assert back.keypoints == NAMES
    assert back.skeleton == labeled.skeleton
    assert back.pairs == labeled.pairs
    assert back.categories == ('mouse', 'rat')
    for image, own in zip(back.images, labeled.images, strict=True):
        assert image.content == own.content
        for one, other in zip(image.instances, own.instances, strict=True):
            assert (
                np.float32(one.keypoints).tolist()
                == np.float32(other.keypoints).tolist()
            )
            assert np.allclose(one.bbox, other.bbox, atol=1e-6)


def test_points_off_the_image_are_missing_and_boxes_end_at_it(tmp_path, labeled):
    rows = ROWS.copy()
    rows[0, 0] = -3
    instance = projects.LabeledInstance(rows, (-5.0, 3.0, 100.0, 15.0), 'mouse')
    image = projects.LabeledImage(
        '1.png', labeled.images[0].content, (instance,), size=SIZE
    )

    write_yolo(projects.Project(NAMES, (image,)), tmp_path, {'1.png': image.content})

    numbers = np.array(
        (tmp_path / 'train/labels/1.txt').read_text().split(), dtype=float
    )
    assert numbers.min() >= 0
    assert numbers[1:5].tolist() == [0.5, 10.5 / 48, 1.0, 15 / 48]
    assert numbers[5:8].tolist() == [0, 0, 0]


def test_all_splits_and_points_of_two_numbers_are_read(tmp_path):
    for split in ('train', 'valid'):
        draw(tmp_path / split / 'images/a.png', 1)
        (tmp_path / split / 'labels').mkdir()
        line = '0 0.5 0.5 0.2 0.2 0.25 0.5 0 0'
        (tmp_path / split / 'labels/a.txt').write_text(line)
    # Roboflow names its folders from one below.
    content = dict(
        train='../train/images',
        val='../valid/images',
        kpt_shape=[2, 2],
        names=['mouse'],
    )
    (tmp_path / 'data.yaml').write_text(yaml.safe_dump(content))

    project = read_yolo(tmp_path, ('snout', 'tail'))

    assert [image.key for image in project.images] == [
        'train/images/a.png',
        'valid/images/a.png',
    ]
    keypoints = project.images[0].instances[0].keypoints
    assert keypoints.tolist() == [[16, 24, 2], [0, 0, 0]]
    unnamed = read_yolo(tmp_path)
    assert unnamed.keypoints == ('0', '1')
    assert 'keypoints have no names; --keypoints gives them some' in unnamed.notes
    assert not project.notes


def test_a_line_of_another_length_is_refused(folder):
    (folder / 'train/labels/1.txt').write_text('0 0.5 0.5 0.2 0.2 0.25 0.5 2\n')

    with pytest.raises(DataError, match=r'must have 5 \+ 4 x 3 numbers'):
        read_yolo(folder)


def test_a_set_without_labels_is_refused(folder):
    for file in folder.glob('train/labels/*'):
        file.unlink()

    with pytest.raises(DataError, match='no labeled instance in 2 images'):
        read_yolo(folder)
