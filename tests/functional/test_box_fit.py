"""Tests of how poses fill boxes and of boxes fitted around them, by closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdistill.functional.box_fit import (
    BoxFit,
    boxes_around,
    fit_like,
    least_keypoints,
    measure_fill,
)

MARGINS = (0.25, 0.5, 0.75, 1.0)
WIDE = np.array([[1000.0, 1000.0]])


def poses(corners, num_keypoints=5):
    """Poses whose extent goes from one corner to the other, the rest inside."""
    low, high = np.split(np.asarray(corners, dtype=float), 2, axis=1)
    shares = np.linspace(0, 1, num_keypoints)[:, None]
    return low[:, None] + shares * (high - low)[:, None]


def around(corners, margins):
    """Boxes with margins in diagonals of the extents."""
    corners = np.asarray(corners, dtype=float)
    diagonals = np.hypot(*(corners[:, 2:] - corners[:, :2]).T)[:, None]
    return corners + diagonals * np.array(margins) * [-1, -1, 1, 1]


# A 3-4-5 triangle, lying, standing, and a line: their diagonals are 50, 50 and 20.
CORNERS = [[100, 200, 140, 230], [300, 100, 330, 140], [500, 500, 520, 500]]


class TestMeasureFill:
    def test_margins_are_those_that_the_boxes_were_made_with(self):
        fill = measure_fill(
            around(CORNERS, MARGINS), poses(CORNERS), np.ones((3, 5), dtype=bool)
        )

        assert fill.margins == pytest.approx(MARGINS)
        assert fill.overlap == pytest.approx(1)
        assert (fill.keypoints, fill.poses) == (5, 3)

    def test_shares_are_of_the_box(self):
        bboxes = np.array([[90.0, 190, 170, 250]])

        fill = measure_fill(bboxes, poses(CORNERS[:1]), np.ones((1, 5), dtype=bool))

        assert (fill.width, fill.height) == pytest.approx((40 / 80, 30 / 60))

    def test_medians_ignore_a_few_wild_boxes(self):
        corners = [*CORNERS[:2] * 4, CORNERS[0]]
        bboxes = around(corners, MARGINS)
        bboxes[-1] = [0, 0, 1000, 1000]

        fill = measure_fill(bboxes, poses(corners), np.ones((9, 5), dtype=bool))

        assert fill.margins == pytest.approx(MARGINS)

    def test_keypoints_that_do_not_count_are_not_in_the_extent(self):
        keypoints = poses(CORNERS[:1])
        keypoints[0, 2] = [900, 900]
        keypoints[0, 3] = np.nan
        counted = np.array([[True, True, False, True, True]])

        fill = measure_fill(around(CORNERS[:1], MARGINS), keypoints, counted)

        assert fill.margins == pytest.approx(MARGINS)

    def test_an_instance_with_few_keypoints_says_nothing_of_its_box(self):
        counted = np.ones((3, 5), dtype=bool)
        counted[1, 1:4] = False  # two of five, less than three quarters

        fill = measure_fill(around(CORNERS, MARGINS), poses(CORNERS), counted)

        assert fill.poses == 2

    def test_the_usual_number_of_keypoints_can_be_set(self):
        counted = np.ones((3, 5), dtype=bool)

        assert (
            measure_fill(around(CORNERS, MARGINS), poses(CORNERS), counted, 9) is None
        )

    @pytest.mark.parametrize('num_keypoints', [0, 1])
    def test_skeletons_without_an_extent_are_not_measured(self, num_keypoints):
        bboxes = around(CORNERS, MARGINS)
        counted = np.ones((3, num_keypoints), dtype=bool)

        assert measure_fill(bboxes, poses(CORNERS, num_keypoints), counted) is None

    def test_boxes_without_a_size_are_not_measured(self):
        bboxes = np.array([[100.0, 200, 100, 230]])

        assert (
            measure_fill(bboxes, poses(CORNERS[:1]), np.ones((1, 5), dtype=bool))
            is None
        )

    def test_nothing_is_not_measured(self):
        nothing = np.zeros((0, 5, 2))
        assert (
            measure_fill(nothing[:, 0, :1].repeat(4, 1), nothing, nothing[..., 0] > 0)
            is None
        )

    def test_boxes_that_do_not_follow_their_poses_overlap_little(self):
        rng = np.random.default_rng(0)
        low = rng.uniform(0, 700, (200, 2))
        corners = np.concatenate([low, low + 300], axis=1)
        whole = np.tile([0.0, 0, 1000, 1000], (200, 1))

        fill = measure_fill(whole, poses(corners), np.ones((200, 5), dtype=bool))

        assert fill.overlap < 0.6


class TestDiffersFrom:
    @pytest.mark.parametrize(
        ('width', 'height', 'differs'),
        [(0.5, 0.5, False), (0.45, 0.55, False), (0.38, 0.5, True), (0.5, 0.7, True)],
    )
    def test_one_side_is_enough(self, width, height, differs):
        ones = np.ones((1, 5), dtype=bool)
        bboxes = np.array([[0.0, 0, 100, 100]])
        left = measure_fill(bboxes, poses([[0, 0, 50, 50]]), ones)
        right = measure_fill(bboxes, poses([[0, 0, 100 * width, 100 * height]]), ones)

        assert left.differs_from(right) is differs
        assert right.differs_from(left) is differs


class TestBoxFit:
    @given(
        st.lists(
            st.tuples(
                *(st.integers(0, 400), st.integers(0, 400)),
                *(st.integers(1, 200), st.integers(1, 200)),
            ),
            min_size=1,
            max_size=5,
        )
    )
    def test_boxes_of_a_labeled_set_come_back_from_their_poses(self, sides):
        corners = [[x + 300, y + 300, x + 300 + w, y + 300 + h] for x, y, w, h in sides]
        bboxes = around(corners, MARGINS)
        counted = np.ones((len(corners), 5), dtype=bool)
        fit = fit_like(measure_fill(bboxes, poses(corners), counted))
        sizes = np.tile(WIDE * 2, (len(corners), 1))
        whole = np.tile([0.0, 0, 2000, 2000], (len(corners), 1))

        fitted = fit.boxes(poses(corners), np.ones((len(corners), 5)), whole, sizes)

        np.testing.assert_allclose(fitted, bboxes, atol=1 / 128)

    def test_a_box_ends_at_the_border_of_its_own_image(self):
        fit = BoxFit((1.0, 1.0, 1.0, 1.0), least=2)
        corners = [[10, 10, 40, 50], [10, 10, 40, 50]]
        sizes = np.array([[60, 80], [70, 90]])
        whole = np.concatenate([np.zeros((2, 2)), sizes], axis=1)

        fitted = fit.boxes(poses(corners), np.ones((2, 5)), whole, sizes)

        assert fitted.tolist() == [[0, 0, 60, 80], [0, 0, 70, 90]]
        assert fitted.dtype == np.float32

    @pytest.mark.parametrize(
        ('scores', 'keypoints', 'box'),
        [
            ([1, 1, 0, 0, 0], poses(CORNERS[:1]), [0, 0, 1000, 1000]),
            ([1, 1, 1, 1, 1], poses([[100, 100, 100, 100]]), [0, 0, 1000, 1000]),
            ([1, 1, 1, 1, 1], poses(CORNERS[:1]), [600, 600, 900, 900]),
            ([1, 1, 1, 1, 1], poses(CORNERS[:1]) - 5000, [0, 0, 1000, 1000]),
            ([1, 1, 1, 1, 1], np.full((1, 5, 2), np.nan), [0, 0, 1000, 1000]),
        ],
        ids=['few are sure', 'no extent', 'another object', 'off the image', 'nan'],
    )
    def test_a_box_that_cannot_be_fitted_stays(self, scores, keypoints, box):
        fit = BoxFit((0.1, 0.1, 0.1, 0.1), least=3)
        given_box = np.array([box], dtype=np.float32)

        fitted = fit.boxes(keypoints, np.array([scores], float), given_box, WIDE)

        assert (fitted == given_box).all()

    def test_only_sure_keypoints_are_inside(self):
        keypoints = poses(CORNERS[:1])
        keypoints[0, 2] = [900, 900]
        scores = np.array([[0.9, 0.9, 0.1, 0.9, 0.9]])

        (box,) = BoxFit((0, 0, 0, 0), least=3).boxes(
            keypoints, scores, np.array([[0.0, 0, 1000, 1000]]), WIDE
        )

        assert box.tolist() == CORNERS[0]

    def test_no_boxes_are_fitted_to_none(self):
        nothing = np.zeros((0, 5, 2))

        fitted = BoxFit((0, 0, 0, 0), least=3).boxes(
            nothing, nothing[..., 0], np.zeros((0, 4)), np.zeros((0, 2))
        )

        assert fitted.shape == (0, 4)

    def test_it_survives_as_json(self):
        fit = BoxFit(MARGINS, least=7, score_thr=0.25)
        assert BoxFit.of_json(fit.as_json()) == fit


@pytest.mark.parametrize(
    ('usual', 'share', 'least'), [(17, 0.5, 9), (4, 0.75, 3), (1, 0.5, 2), (2, 0.5, 2)]
)
def test_an_extent_needs_two_keypoints_and_a_share_of_the_usual_ones(
    usual, share, least
):
    assert least_keypoints(usual, share) == least


def test_boxes_of_poses_are_their_extents_with_margins():
    corners = np.array([[100.0, 200.0, 130.0, 240.0], [300.0, 300.0, 360.0, 380.0]])
    scores = np.full((2, 5), 0.02)

    boxes = boxes_around(poses(corners), scores, MARGINS, (1000, 1000))

    np.testing.assert_allclose(boxes, around(corners, MARGINS))


def test_keypoints_far_below_the_best_one_do_not_widen_a_box():
    pose = poses([[100.0, 200.0, 130.0, 240.0]])
    pose[0, 4] = [900, 900]
    scores = np.array([[0.5, 0.1, 0.1, 0.1, 0.09]])

    (box,) = boxes_around(pose, scores, (0, 0, 0, 0), (1000, 1000))

    assert box.tolist() == [100, 200, 122.5, 230]


def test_one_keypoint_alone_makes_no_box_and_so_all_count():
    pose = poses([[100.0, 200.0, 130.0, 240.0]])
    scores = np.array([[0.5, 0.0, 0.0, 0.0, 0.0]])

    (box,) = boxes_around(pose, scores, (0, 0, 0, 0), (1000, 1000))

    assert box.tolist() == [100, 200, 130, 240]


def test_boxes_of_poses_end_at_the_border_of_the_image():
    pose = poses([[-20.0, 10.0, 90.0, 70.0]])

    (box,) = boxes_around(pose, np.ones((1, 5)), (0, 0, 0, 0), (80, 60))

    assert box.tolist() == [0, 10, 80, 60]
