"""Random poses of one figure: an articulated skeleton seen from the front.

Convention: (x, y) with y down, the pelvis at the origin, one unit is the height of
the upright figure. The figure faces the viewer, so its left joints lie towards larger
x while no limb crosses the body.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

KEYPOINT_NAMES = (
    'nose',
    'left_eye',
    'right_eye',
    'left_ear',
    'right_ear',
    'left_shoulder',
    'right_shoulder',
    'left_elbow',
    'right_elbow',
    'left_wrist',
    'right_wrist',
    'left_hip',
    'right_hip',
    'left_knee',
    'right_knee',
    'left_ankle',
    'right_ankle',
)
NOSE, LEFT_EYE, LEFT_EAR = 0, 1, 3
LEFT_SHOULDER, LEFT_ELBOW, LEFT_WRIST = 5, 7, 9
LEFT_HIP, LEFT_KNEE, LEFT_ANKLE = 11, 13, 15

# Beyond this yaw the head hides the far ear.
_EAR_HIDDEN_YAW = np.deg2rad(20)


@dataclass(frozen=True)
class Pose:
    """The joints of one figure.

    Attributes:
        keypoints: (17, 2) positions in the frame of the owner: figure units
            here, image pixels after `to_pixels`.
        hidden: (17,) bool, joints that the figure's own body covers.
        head: (2,) center of the head.
        unit: Length of one figure unit in the frame of the owner.
    """

    keypoints: np.ndarray
    hidden: np.ndarray
    head: np.ndarray
    unit: float = 1.0

    def to_pixels(self, center: np.ndarray, height: float, roll: float) -> Pose:
        """Transform the pose to image pixels.

        Args:
            center: (2,) pixel position of the pelvis.
            height: Height of the upright figure in pixels.
            roll: Rotation in the image plane, radians.

        Returns:
            The pose with joints in pixels.
        """
        transform = height * np.array(
            [[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]]
        )
        return Pose(
            self.keypoints @ transform + center,
            self.hidden,
            self.head @ transform + center,
            height * self.unit,
        )


def sample_pose(rng: np.random.Generator) -> Pose:
    """Sample a random pose in figure units.

    Args:
        rng: Random generator.

    Returns:
        The pose, the pelvis at the origin.
    """
    yaw = np.deg2rad(rng.uniform(-40, 40))
    width = np.cos(yaw)
    neck = np.array([rng.normal(0, 0.02), -rng.uniform(0.26, 0.33)])
    head = neck + np.array([rng.normal(0, 0.015), -rng.uniform(0.11, 0.14)])
    keypoints = np.zeros((len(KEYPOINT_NAMES), 2))
    keypoints[:5] = head + _face(rng, yaw)
    shoulder, hip = rng.uniform(0.11, 0.14), rng.uniform(0.065, 0.09)
    for offset, side in ((0, 1), (1, -1)):
        start = neck + np.array([side * shoulder * width, rng.uniform(0, 0.03)])
        arm = _limb(rng, start, side, 'arm')
        leg = _limb(rng, np.array([side * hip * width, 0.0]), side, 'leg')
        keypoints[LEFT_SHOULDER + offset : LEFT_HIP + offset : 2] = arm
        keypoints[LEFT_HIP + offset :: 2] = leg
    hidden = np.zeros(len(KEYPOINT_NAMES), bool)
    if abs(yaw) > _EAR_HIDDEN_YAW:
        hidden[LEFT_EAR + (yaw < 0)] = True
    return Pose(keypoints, hidden, head)


def _face(rng: np.random.Generator, yaw: float) -> np.ndarray:
    """Nose, eyes and ears on a rotated sphere, relative to its center."""
    radius = 0.08
    azimuth = yaw + np.deg2rad([0, 32, -32, 90, -90])
    across = radius * np.sin(azimuth)
    down = np.array([0.016, -0.018, -0.018, 0.0, 0.0]) + rng.normal(0, 0.006)
    return np.stack([across, down], axis=1)


# Per limb: lengths of both bones, mean and spread of the first bone's angle
# away from straight down, and range of the joint's bend, in degrees.
_LIMBS = {
    'arm': ((0.17, 0.16), (50, 50), (-110, 40)),
    'leg': ((0.24, 0.23), (12, 22), (-20, 60)),
}


def _limb(
    rng: np.random.Generator, start: np.ndarray, side: int, kind: str
) -> np.ndarray:
    """Sample the two bones of a limb.

    Args:
        rng: Random generator.
        start: (2,) the shoulder or hip.
        side: 1 for the left limb, -1 for the right one.
        kind: `arm` or `leg`.

    Returns:
        (3, 2) start, middle and end joint.
    """
    lengths, (mean, spread), bend = _LIMBS[kind]
    # Bones that point towards the viewer look shorter.
    first, second = lengths * rng.uniform(0.7, 1.1, 2)
    upper_angle = np.deg2rad(rng.normal(mean, spread))
    # An elbow bends up and in (a large angle), a knee down and in.
    lower_angle = upper_angle - np.deg2rad(rng.uniform(*bend))
    middle = start + first * np.array([side * np.sin(upper_angle), np.cos(upper_angle)])
    end = middle + second * np.array([side * np.sin(lower_angle), np.cos(lower_angle)])
    return np.stack([start, middle, end])
