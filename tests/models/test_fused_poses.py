import numpy as np

from mmdistill.models.view_fuser import FusedPoses, join_poses


def poses(count: int, value: float) -> FusedPoses:
    return FusedPoses(
        np.full((count, 3, 2), value, dtype=np.float32),
        *[np.full((count, 3), value, dtype=np.float32)] * 3,
    )


def test_parts_are_joined_in_order():
    joined = join_poses([poses(2, 1.0), poses(1, 2.0)], num_keypoints=3)

    assert joined.keypoint_scores[:, 0].tolist() == [1, 1, 2]


def test_no_parts_are_no_poses_of_the_right_shape():
    joined = join_poses([], num_keypoints=3)

    assert joined.keypoints.shape == (0, 3, 2)
    assert joined.keypoint_agreement.shape == (0, 3)


def test_rows_are_taken_from_all_arrays():
    taken = join_poses([poses(2, 1.0), poses(2, 2.0)], num_keypoints=3)[1:3]

    assert len(taken) == 2
    assert taken.keypoints[:, 0, 0].tolist() == [1, 2]
    assert taken.keypoints_visible[:, 0].tolist() == [1, 2]
    assert taken.keypoint_agreement[:, 0].tolist() == [1, 2]
