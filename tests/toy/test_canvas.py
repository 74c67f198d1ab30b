import cv2
import numpy as np
import pytest

from mmdistill.toy.canvas import Canvas

BLACK = np.zeros((80, 80, 3), np.uint8)


@pytest.fixture
def canvas():
    return Canvas(BLACK.copy())


def test_disc_covers_the_area_of_a_circle(canvas):
    canvas.disc(np.array([40.0, 40.0]), 20, (255, 255, 255))
    assert canvas.silhouette.astype(bool).sum() == pytest.approx(
        np.pi * 20**2, rel=0.06
    )


def test_capsule_covers_a_bar_and_two_half_circles(canvas):
    ends = np.array([[20.0, 40.0], [60.0, 40.0]])
    canvas.capsule(*ends, (8, 8), (255, 255, 255))
    expected = 40 * 16 + np.pi * 8**2
    assert canvas.silhouette.astype(bool).sum() == pytest.approx(expected, rel=0.08)


def test_polygon_takes_the_color_inside(canvas):
    canvas.polygon(np.array([[10, 10], [30, 10], [30, 30], [10, 30]]), (7, 80, 200))
    assert canvas.image[20, 20].tolist() == [7, 80, 200]


def test_convention_pixel_centers_are_integers(canvas):
    canvas.disc(np.array([40.0, 20.0]), 9, (255, 255, 255))
    ys, xs = np.nonzero(canvas.silhouette)
    assert (xs.mean(), ys.mean()) == pytest.approx((40, 20), abs=0.1)


def test_sub_pixel_positions_shift_the_drawing(canvas):
    canvas.disc(np.array([40.5, 40.0]), 9, (255, 255, 255))
    weight = canvas.image[..., 0].astype(float)
    center = (weight * np.arange(80)).sum() / weight.sum()
    assert center == pytest.approx(40.5, abs=0.1)


def test_color_stays_within_a_pixel_of_the_silhouette(canvas):
    canvas.capsule(np.array([15.3, 20.1]), np.array([60.7, 55.2]), (6, 3), (255,) * 3)
    near = cv2.dilate(canvas.silhouette, np.ones((3, 3), np.uint8)) > 0
    assert not canvas.image[~near].any()


def test_shapes_beyond_the_border_are_clipped(canvas):
    canvas.disc(np.array([-5.0, 85.0]), 20, (255, 255, 255))
    assert canvas.silhouette[79, 0] == 255
    assert canvas.silhouette[0, 79] == 0
