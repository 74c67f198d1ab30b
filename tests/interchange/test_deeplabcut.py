"""Projects of DeepLabCut, written with pandas as DeepLabCut writes them."""

import shutil

import numpy as np
import pytest

from mmdistill.errors import DataError
from mmdistill.interchange.deeplabcut import read_deeplabcut
from tests.helpers.projects import NAMES, draw_points, write_deeplabcut

pytest.importorskip('tables', reason='pip install "mmdistill[import]"')


def rows_of(points):
    """Keypoints as they should be read: (K, 3), missing ones 0, 0, 0."""
    seen = np.isfinite(points).all(axis=1)
    rows = np.concatenate([points, np.full((len(points), 1), 2.0)], axis=1)
    return np.where(seen[:, None], rows, 0)


@pytest.fixture
def videos():
    return {
        'm1': [draw_points(0), draw_points(1), draw_points(2)],
        'm2': [draw_points(3), draw_points(4)],
    }


@pytest.fixture
def root(tmp_path, videos):
    return write_deeplabcut(tmp_path / 'mouse', videos)


def assert_read(project, videos):
    images = {image.key: image for image in project.images}
    assert sorted(images) == sorted(
        f'{video}/img{n:03d}.png'
        for video, all_ in videos.items()
        for n in range(len(all_))
    )
    for video, frames in videos.items():
        for number, points in enumerate(frames):
            image = images[f'{video}/img{number:03d}.png']
            assert image.video == video
            (instance,) = image.instances
            assert instance.keypoints.tolist() == rows_of(points[0]).tolist()


def test_keypoints_are_in_the_order_of_the_config(root, videos):
    project = read_deeplabcut(root)

    assert project.keypoints == NAMES
    assert project.skeleton == ((0, 1), (1, 3))
    assert project.category == 'mouse'
    assert_read(project, videos)


@pytest.mark.parametrize('name', ['', 'config.yaml'])
def test_a_project_is_its_folder_or_its_config(root, videos, name):
    assert_read(read_deeplabcut(root / name), videos)


def test_sleap_io_reads_the_same_by_name(root, videos):
    sio = pytest.importorskip('sleap_io', reason='pip install "mmdistill[import]"')
    labels = sio.load_file(str(root))
    names = labels.skeleton.node_names
    assert names != list(NAMES)  # it sorts them
    theirs = {}
    for frame in labels:
        file = frame.video.filename[frame.frame_idx].replace('\\', '/')
        points = frame.instances[0].numpy()
        theirs['/'.join(file.split('/')[-2:])] = dict(zip(names, points, strict=True))

    for image in read_deeplabcut(root).images:
        for name, (x, y, v) in zip(NAMES, image.instances[0].keypoints, strict=True):
            point = theirs[image.key][name]
            assert np.isfinite(point).all() == (v > 0)
            assert v == 0 or point.tolist() == [x, y]


def test_h5_alone_is_the_same_as_csv(tmp_path, videos):
    root = write_deeplabcut(tmp_path / 'h5', videos, endings=('.h5',))

    assert_read(read_deeplabcut(root), videos)


def test_one_table_is_read_by_itself(root, videos):
    table = root / 'labeled-data' / 'm2' / 'CollectedData_someone.csv'

    assert_read(read_deeplabcut(table), {'m2': videos['m2']})


def test_older_tables_with_one_column_of_paths_are_read(root, videos):
    for table in root.glob('labeled-data/*/*.csv'):
        lines = []
        for line in table.read_text().splitlines():
            first, second, third, rest = line.split(',', 3)
            path = '\\'.join([first, second, third]) if second else first
            lines.append(f'{path},{rest}')
        table.write_text('\n'.join(lines))

    assert_read(read_deeplabcut(root), videos)


def test_each_individual_is_an_instance(tmp_path):
    points = draw_points(0, 3)
    points[1] = np.nan
    root = write_deeplabcut(tmp_path, {'m1': [points]}, ['anna', 'bert', 'single'])

    project = read_deeplabcut(root)

    (image,) = project.images
    (instance,) = image.instances
    assert instance.attributes == dict(individual='anna')
    assert instance.keypoints.tolist() == rows_of(points[0]).tolist()
    assert any('body parts of no animal are left out' in n for n in project.notes)


def test_two_individuals_are_two_instances(tmp_path):
    points = draw_points(0, 2)
    root = write_deeplabcut(tmp_path, {'m1': [points]}, ['anna', 'bert'])

    (image,) = read_deeplabcut(root).images

    for instance, own in zip(image.instances, points, strict=True):
        assert instance.keypoints.tolist() == rows_of(own).tolist()


def test_frames_that_nobody_labeled_are_left_out_and_counted(tmp_path, videos):
    videos['m1'][1] = np.full((1, len(NAMES), 2), np.nan)
    project = read_deeplabcut(write_deeplabcut(tmp_path / 'p', videos))

    assert len(project.images) == 4
    assert '1 frames without a label are left out' in project.notes


def test_a_missing_image_is_refused_with_both_ways_on(root, videos, tmp_path):
    path = root / 'labeled-data' / 'm1' / 'img000.png'
    other = tmp_path / 'elsewhere'
    shutil.copytree(root / 'labeled-data' / 'm1', other / 'm1')
    shutil.copytree(root / 'labeled-data' / 'm2', other / 'm2')
    path.unlink()

    with pytest.raises(DataError, match=r'1 of 5 .* --images, or add --skip-missing'):
        read_deeplabcut(root)

    assert_read(read_deeplabcut(root, images=other), videos)
    # The other labels stay on their own images.
    kept = read_deeplabcut(root, skip_missing=True)
    images = {image.key: image for image in kept.images}
    assert 'm1/img000.png' not in images
    for number in (1, 2):
        keypoints = images[f'm1/img{number:03d}.png'].instances[0].keypoints
        assert keypoints.tolist() == rows_of(videos['m1'][number][0]).tolist()


def test_predictions_of_a_video_are_no_labels(tmp_path):
    table = tmp_path / 'm1DLC_resnet50.csv'
    table.write_text(
        'scorer,a,a,a\nbodyparts,s,s,s\ncoords,x,y,likelihood\n0,1,2,0.9\n'
    )

    with pytest.raises(
        DataError, match=r'predictions .* name the folder of the project'
    ):
        read_deeplabcut(table)


def test_a_project_without_tables_is_refused(root):
    for table in root.glob('labeled-data/*/Collected*'):
        table.unlink()

    with pytest.raises(
        DataError, match=r'no table labeled-data/\*/CollectedData_someone'
    ):
        read_deeplabcut(root)
