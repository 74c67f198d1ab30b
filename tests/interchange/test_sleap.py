"""Files of SLEAP, written and read back by sleap-io itself."""

import sys

import cv2
import numpy as np
import pytest

from mmdistill.errors import ConfigError, DataError
from mmdistill.interchange import project as projects
from mmdistill.interchange.sleap import read_sleap, write_slp
from tests.helpers.projects import NAMES, draw, draw_points, write_film

sio = pytest.importorskip('sleap_io', reason='pip install "mmdistill[import]"')


@pytest.fixture
def skeleton():
    return sio.Skeleton(
        nodes=list(NAMES),
        edges=[('snout', 'leftear'), ('leftear', 'tail')],
        symmetries=[('rightear', 'leftear')],
        name='mouse',
    )


def user(skeleton, points, track=None):
    return sio.Instance.from_numpy(points, skeleton=skeleton, track=track)


def save(path, skeleton, *frames, **settings):
    labels = sio.Labels(
        [
            sio.LabeledFrame(video=video, frame_idx=number, instances=instances)
            for video, number, instances in frames
        ],
        skeletons=[skeleton],
    )
    sio.save_file(labels, str(path), verbose=False, **settings)
    return path


def assert_points(instance, points):
    seen = np.isfinite(points).all(axis=1)
    assert (instance.keypoints[:, 2] > 0).tolist() == seen.tolist()
    assert instance.keypoints[seen, :2].tolist() == points[seen].tolist()
    assert not instance.keypoints[~seen].any()


def test_frames_of_two_films_of_one_name_are_two_images(tmp_path, skeleton):
    films = [
        write_film(tmp_path / f'{d}/film.avi', 5, s) for d, s in (('a', 0), ('b', 50))
    ]
    first, second = (sio.Video.from_filename(str(film)) for film in films)
    points = draw_points(0)[0]
    path = save(
        tmp_path / 'l.slp',
        skeleton,
        (first, 3, [user(skeleton, points)]),
        (second, 3, [user(skeleton, points + 1)]),
    )

    project = read_sleap(path)

    assert project.keypoints == NAMES
    assert project.skeleton == ((0, 1), (1, 3))
    assert project.pairs == ((1, 2),)
    assert project.category == 'mouse'
    keys = [image.key for image in project.images]
    assert keys == ['film-1/000003.png', 'film-2/000003.png']
    for image, film, shift in zip(project.images, films, (0, 1), strict=True):
        assert image.frame == 3
        assert_points(image.instances[0], points + shift)
        capture = cv2.VideoCapture(str(film))
        for _ in range(4):
            _, frame = capture.read()
        assert np.array_equal(image.content(), frame)


def test_images_of_a_sequence_are_their_own_files(tmp_path, skeleton):
    files = [draw(tmp_path / f'{d}/{n}.png', n) for d in 'ab' for n in (1, 2)]
    video = sio.Video.from_filename([str(file) for file in files])
    points = [draw_points(n)[0] for n in range(4)]
    frames = [(video, n, [user(skeleton, own)]) for n, own in enumerate(points)]

    project = read_sleap(save(tmp_path / 'l.slp', skeleton, *frames))

    by_file = {image.content: image for image in project.images}
    assert set(by_file) == set(files)
    assert len({image.key for image in project.images}) == 4
    for file, own in zip(files, points, strict=True):
        assert_points(by_file[file].instances[0], own)


def test_embedded_frames_are_read_pixel_by_pixel(tmp_path, skeleton):
    files = [draw(tmp_path / f'{n}.png', n) for n in (1, 2)]
    video = sio.Video.from_filename([str(file) for file in files])
    frames = [(video, n, [user(skeleton, draw_points(n)[0])]) for n in (0, 1)]
    path = save(tmp_path / 'l.pkg.slp', skeleton, *frames, embed=True)
    pixels = [cv2.imread(str(file)) for file in files]
    for file in files:
        file.unlink()

    project = read_sleap(path)

    for image, own in zip(project.images, pixels, strict=True):
        assert np.array_equal(image.content(), own)


def test_what_is_not_visible_is_occluded_where_somebody_placed_it(tmp_path, skeleton):
    draw(tmp_path / '1.png', 1)
    video = sio.Video.from_filename([str(tmp_path / '1.png')])
    instance = user(skeleton, np.arange(8.0).reshape(4, 2) + 5)
    instance.points['visible'] = [True, False, False, True]
    instance.points['complete'] = [True, True, False, False]

    (image,) = read_sleap(
        save(tmp_path / 'l.slp', skeleton, (video, 0, [instance]))
    ).images

    assert image.instances[0].keypoints[:, 2].tolist() == [2, 1, 0, 2]
    assert image.instances[0].keypoints[2].tolist() == [0, 0, 0]


def test_only_what_a_person_labeled_counts_unless_asked_for(tmp_path, skeleton):
    files = [draw(tmp_path / f'{n}.png', n) for n in (1, 2)]
    video = sio.Video.from_filename([str(file) for file in files])
    predicted = sio.PredictedInstance.from_numpy(
        draw_points(0)[0], skeleton=skeleton, score=0.75
    )
    person = user(skeleton, draw_points(1)[0], sio.Track('anna'))
    path = save(
        tmp_path / 'l.slp', skeleton, (video, 0, [person]), (video, 1, [predicted])
    )

    labeled, all_ = read_sleap(path), read_sleap(path, predicted=True)

    assert [image.content for image in labeled.images] == files[:1]
    assert labeled.images[0].instances[0].attributes == dict(individual='anna')
    assert '1 predictions that no person corrected are left out' in labeled.notes
    assert [image.content for image in all_.images] == files
    assert all_.images[1].instances[0].attributes == dict(score=0.75)


def test_predictions_alone_are_refused_with_the_flag_that_takes_them(
    tmp_path, skeleton
):
    draw(tmp_path / '1.png', 1)
    video = sio.Video.from_filename([str(tmp_path / '1.png')])
    predicted = sio.PredictedInstance.from_numpy(draw_points(0)[0], skeleton=skeleton)
    path = save(tmp_path / 'l.slp', skeleton, (video, 0, [predicted]))

    with pytest.raises(DataError, match='with --predicted'):
        read_sleap(path)
    assert read_sleap(path, predicted=True).count == 1


def test_a_film_that_was_moved_is_found_in_a_folder(tmp_path, skeleton):
    film = write_film(tmp_path / 'old/film.avi', 3, 0)
    video = sio.Video.from_filename(str(film))
    frames = (video, 2, [user(skeleton, draw_points(0)[0])])
    (tmp_path / 'labels').mkdir()
    path = save(tmp_path / 'labels/l.slp', skeleton, frames)
    before = read_sleap(path).images[0].content()
    (tmp_path / 'new').mkdir()
    film.rename(tmp_path / 'new/film.avi')

    with pytest.raises(DataError, match=r'do not exist.*--images'):
        read_sleap(path)
    (image,) = read_sleap(path, images=tmp_path / 'new').images
    assert np.array_equal(image.content(), before)


def test_what_is_written_is_read_by_sleap_io(tmp_path):
    files = {f'a/{n}.png': draw(tmp_path / f'a/{n}.png', n) for n in (1, 2)}
    rows = np.array([[5.5, 6, 2], [7, 8, 1], [0, 0, 0], [9, 10.25, 2]])
    instances = (
        projects.LabeledInstance(rows),
        projects.LabeledInstance(
            rows + np.array([1, 1, 0]),
            attributes=dict(score=0.5, keypoint_scores=[0.1, 0.2, 0, 0.4]),
        ),
    )
    labeled = projects.Project(
        NAMES,
        tuple(
            projects.LabeledImage(key, file, instances) for key, file in files.items()
        ),
        skeleton=((0, 1),),
        pairs=((1, 2),),
        category='mouse',
    )

    write_slp(labeled, tmp_path / 'l.slp', files)

    labels = sio.load_file(str(tmp_path / 'l.slp'))
    assert labels.skeleton.node_names == list(NAMES)
    assert labels.skeleton.symmetry_inds == [(1, 2)]
    for frame, key in zip(labels, files, strict=True):
        assert frame.video.filename[frame.frame_idx] == str(files[key])
        person, predicted = frame.instances
        assert person.numpy(invisible_as_nan=False)[[0, 1, 3]].tolist() == [
            [5.5, 6],
            [7, 8],
            [9, 10.25],
        ]
        assert person.points['visible'].tolist() == [True, False, False, True]
        assert isinstance(predicted, sio.PredictedInstance)
        assert predicted.score == 0.5
    back = read_sleap(tmp_path / 'l.slp')
    assert [i.instances[0].keypoints.tolist() for i in back.images] == [
        rows.tolist()
    ] * 2


def test_keypoints_of_label_studio_by_sleap_io_are_in_a_fixed_order(tmp_path, skeleton):
    draw(tmp_path / '1.png', 1)
    video = sio.Video.from_filename([str(tmp_path / '1.png')])
    points = np.arange(8.0).reshape(4, 2) + 5
    labels = sio.Labels(
        [sio.LabeledFrame(video=video, frame_idx=0, instances=[user(skeleton, points)])]
    )
    sio.save_file(labels, str(tmp_path / 'l.json'), format='labelstudio')

    project = read_sleap(tmp_path / 'l.json')

    assert project.keypoints == NAMES
    assert np.allclose(project.images[0].instances[0].keypoints[:, :2], points)


def test_what_sleap_io_cannot_read_is_refused(tmp_path):
    path = tmp_path / 'l.slp'
    path.write_bytes(b'no labels')

    with pytest.raises(DataError, match='cannot be read by sleap-io'):
        read_sleap(path)


def test_without_the_package_one_sentence_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'sleap_io', None)

    with pytest.raises(ConfigError, match=r'run `pip install "mmdistill\[import\]"`$'):
        read_sleap(tmp_path / 'l.slp')
