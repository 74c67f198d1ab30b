import cv2
import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from mmdistill.errors import UserError
from mmdistill.reports.crops import draw_crop, read_image, square_around
from mmdistill.reports.skeleton import Skeleton
from mmdistill.store import Candidates

CHAIN = Skeleton(np.array([[0, 1], [1, 2]]), np.eye(3)[:2], np.eye(3))


def drawn(image, bbox, scores=(0.9, 0.9, 0.1), keypoint_thr=0.2):
    candidate = Candidates(
        bboxes=np.array(bbox, dtype=np.float32),
        bbox_scores=np.float32(1),
        keypoints=np.array([[4, 5], [6, 8], [7, 3]], dtype=np.float32),
        keypoint_scores=np.array(scores, dtype=np.float32),
        keypoint_agreement=np.ones(3, dtype=np.float32),
        instance_scores=np.float32(0.5),
        category_ids=np.int32(1),
    )
    axes = Figure().subplots()
    draw_crop(axes, image, candidate, CHAIN, np.array(scores) > keypoint_thr)
    return axes


def points_of(axes):
    return [c for c in axes.collections if isinstance(c, PathCollection)]


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def test_a_window_is_a_square_around_the_box():
    window = square_around(np.array([10.0, 20, 30, 60]), padding=1.5)
    assert window.tolist() == [-10, 10, 50, 70]


def test_a_box_without_size_has_a_window():
    assert square_around(np.array([3.0, 4, 3, 4])).tolist() == [2, 3, 4, 5]


@pytest.mark.parametrize(
    'bbox', [(3, 4, 9, 11), (-8, -6, 5, 5), (22, 12, 40, 30), (1.3, 2.7, 8.1, 9.9)]
)
def test_whole_numbers_are_pixel_centers(image, bbox):
    shown = drawn(image, bbox).images[0]
    left, right, bottom, top = shown.get_extent()
    piece = shown.get_array()
    assert piece.shape[:2] == (bottom - top, right - left)
    x, y = int(left + 0.5), int(top + 0.5)
    np.testing.assert_array_equal(
        piece, image[y : y + piece.shape[0], x : x + piece.shape[1]]
    )


def test_the_view_is_the_window_and_not_what_is_drawn_beyond_it(image):
    axes = drawn(image, (20, 10, 22, 12))
    x1, y1, x2, y2 = square_around(np.array([20.0, 10, 22, 12]))
    assert axes.get_xlim() == pytest.approx((x1, x2))
    assert axes.get_ylim() == pytest.approx((y2, y1))


def test_where_the_box_is_the_image_the_pose_is_looked_at(image):
    axes = drawn(image, (0, 0, 30, 20))
    # The keypoints span 4 to 7 and 3 to 8.
    assert axes.get_xlim() == pytest.approx((5.5 - 5, 5.5 + 5))
    assert axes.get_ylim() == pytest.approx((5.5 + 5, 5.5 - 5))


def test_a_box_beyond_the_image_is_still_drawn(image):
    assert drawn(image, (40, 40, 50, 50)).images[0].get_array().size > 0


def test_visible_keypoints_are_filled_and_the_others_hollow(image):
    filled, hollow = points_of(drawn(image, (3, 4, 9, 11)))
    assert filled.get_offsets().tolist() == [[4, 5], [6, 8]]
    assert filled.get_facecolors().tolist() == [[1, 0, 0, 1], [0, 1, 0, 1]]
    assert hollow.get_offsets().tolist() == [[7, 3]]
    assert len(hollow.get_facecolors()) == 0
    assert hollow.get_edgecolors().tolist() == [list(to_rgba('blue'))]


def test_a_keypoint_at_the_threshold_is_hollow(image):
    axes = drawn(image, (3, 4, 9, 11), scores=(0.5, 0.25, 0.1), keypoint_thr=0.25)
    assert points_of(axes)[0].get_offsets().tolist() == [[4, 5]]


def test_only_links_between_visible_keypoints_are_drawn(image):
    axes = drawn(image, (3, 4, 9, 11))
    rim, links = (c for c in axes.collections if isinstance(c, LineCollection))
    for lines in (rim, links):
        assert [s.tolist() for s in lines.get_segments()] == [[[4, 5], [6, 8]]]
    assert links.get_colors().tolist() == [[1, 0, 0, 1]]


def test_an_image_is_read_as_rgb(tmp_path):
    path = tmp_path / 'red.png'
    cv2.imwrite(str(path), np.full((4, 5, 3), (0, 0, 255), dtype=np.uint8))
    assert read_image(path)[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize('content', [None, b'', b'not an image'])
def test_an_image_that_cannot_be_read_is_named(tmp_path, content):
    path = tmp_path / 'lost.png'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r'lost\.png of the label store'):
        read_image(path)
