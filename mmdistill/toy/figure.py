"""Drawing of one clothed figure in a given pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmdistill.toy.canvas import Canvas
from mmdistill.toy.pose import (
    LEFT_ANKLE,
    LEFT_EAR,
    LEFT_ELBOW,
    LEFT_EYE,
    LEFT_HIP,
    LEFT_KNEE,
    LEFT_SHOULDER,
    LEFT_WRIST,
    NOSE,
    Pose,
)

LEFT, RIGHT = 0, 1
_HEAD_RADIUS = 0.085


@dataclass(frozen=True)
class Outfit:
    """Appearance of a figure; colors are BGR, widths in figure units."""

    skin: np.ndarray
    hair: np.ndarray
    shirt: np.ndarray
    stripe: np.ndarray
    trousers: np.ndarray
    shoes: np.ndarray
    long_sleeves: bool
    long_trousers: bool
    num_stripes: int
    arm_width: float
    leg_width: float
    right_arm_first: bool


def sample_outfit(rng: np.random.Generator) -> Outfit:
    """Sample a random appearance.

    Args:
        rng: Random generator.

    Returns:
        The clothes, skin, hair and build of one figure.
    """
    shirt = rng.uniform(10, 245, 3)
    return Outfit(
        skin=np.array([140, 175, 225]) * rng.uniform(0.3, 1.1) + rng.normal(0, 8, 3),
        hair=np.array([40, 60, 80]) * rng.uniform(0.1, 2.5),
        shirt=shirt,
        stripe=shirt if rng.random() < 0.5 else rng.uniform(10, 245, 3),
        trousers=rng.uniform(10, 230, 3),
        shoes=rng.uniform(0, 255, 3),
        long_sleeves=bool(rng.random() < 0.5),
        long_trousers=bool(rng.random() < 0.6),
        num_stripes=int(rng.integers(1, 5)),
        arm_width=rng.uniform(0.032, 0.045),
        leg_width=rng.uniform(0.042, 0.058),
        right_arm_first=bool(rng.random() < 0.5),
    )


def draw_figure(image: np.ndarray, pose: Pose, outfit: Outfit) -> np.ndarray:
    """Draw a figure in place.

    Args:
        image: (H, W, 3) uint8 BGR, changed in place.
        pose: The joints in pixels of the image.
        outfit: Appearance of the figure.

    Returns:
        (H, W) uint8 silhouette, 255 on the figure.
    """
    canvas = Canvas(image)
    sides = (RIGHT, LEFT) if outfit.right_arm_first else (LEFT, RIGHT)
    for side in sides:
        _draw_leg(canvas, pose, outfit, side)
    _draw_torso(canvas, pose, outfit)
    _draw_head(canvas, pose, outfit)
    for side in sides:
        _draw_arm(canvas, pose, outfit, side)
    return canvas.silhouette


def _draw_leg(canvas: Canvas, pose: Pose, outfit: Outfit, side: int) -> None:
    joints = np.array([LEFT_HIP, LEFT_KNEE, LEFT_ANKLE]) + side
    hip, knee, ankle = pose.keypoints[joints]
    width = outfit.leg_width * pose.unit
    lower = outfit.trousers if outfit.long_trousers else outfit.skin
    canvas.disc(ankle + (ankle - knee) * 0.08, 0.8 * width, outfit.shoes)
    canvas.capsule(knee, ankle, (0.8 * width, 0.6 * width), lower * 0.9)
    canvas.capsule(hip, knee, (width, 0.8 * width), outfit.trousers)


def _draw_arm(canvas: Canvas, pose: Pose, outfit: Outfit, side: int) -> None:
    joints = np.array([LEFT_SHOULDER, LEFT_ELBOW, LEFT_WRIST]) + side
    shoulder, elbow, wrist = pose.keypoints[joints]
    width = outfit.arm_width * pose.unit
    lower = outfit.shirt if outfit.long_sleeves else outfit.skin
    # Darker than the shirt behind it, or an arm before the body is invisible.
    canvas.capsule(shoulder, elbow, (width, 0.8 * width), outfit.shirt * 0.85)
    canvas.capsule(elbow, wrist, (0.8 * width, 0.6 * width), lower * 0.78)
    canvas.disc(wrist + (wrist - elbow) * 0.1, 0.75 * width, outfit.skin)


def _draw_torso(canvas: Canvas, pose: Pose, outfit: Outfit) -> None:
    joints = pose.keypoints
    shoulders = joints[[LEFT_SHOULDER, LEFT_SHOULDER + 1]]
    hips = joints[[LEFT_HIP, LEFT_HIP + 1]]
    margin = 0.04 * pose.unit
    down = hips.mean(0) - shoulders.mean(0)
    down = down / np.hypot(*down)
    across = np.array([-down[1], down[0]]) * margin
    # `across` points to the figure's right; widen both ends away from it.
    wide = np.array([-across, across])
    edges = np.linspace(0, 1, 2 * outfit.num_stripes)
    top, bottom = shoulders + wide - down * margin, hips + wide + down * margin
    canvas.polygon(np.concatenate([top, bottom[::-1]]), outfit.shirt)
    for start, stop in zip(edges[1:-1:2], edges[2::2], strict=True):
        upper, lower = (top + (bottom - top) * share for share in (start, stop))
        canvas.polygon(np.concatenate([upper, lower[::-1]]), outfit.stripe)
    canvas.capsule(pose.head, shoulders.mean(0), (margin, margin), outfit.skin * 0.9)


def _draw_head(canvas: Canvas, pose: Pose, outfit: Outfit) -> None:
    radius = _HEAD_RADIUS * pose.unit
    up = pose.head - pose.keypoints[[LEFT_HIP, LEFT_HIP + 1]].mean(0)
    up = up / np.hypot(*up)
    face = pose.keypoints[:LEFT_SHOULDER]
    for ear, hidden in zip(
        face[LEFT_EAR:], pose.hidden[LEFT_EAR:LEFT_SHOULDER], strict=True
    ):
        if not hidden:
            canvas.disc(ear, 0.28 * radius, outfit.skin * 0.8)
    canvas.disc(pose.head + up * 0.3 * radius, radius, outfit.hair)
    canvas.disc(pose.head - up * 0.1 * radius, 0.9 * radius, outfit.skin)
    for eye in face[LEFT_EYE:LEFT_EAR]:
        canvas.disc(eye, 0.2 * radius, (235, 235, 235))
        canvas.disc(eye, 0.11 * radius, (25, 20, 20))
    canvas.disc(face[NOSE], 0.16 * radius, outfit.skin * 0.6)
