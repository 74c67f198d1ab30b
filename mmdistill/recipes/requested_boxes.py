"""Boxes of the unlabeled images, as they are asked for: given, detected, followed."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmpose.evaluation.functional.nms import oks_iou

from mmdistill.config.detector_options import DetectorConfig
from mmdistill.config.schema import NMS_THR
from mmdistill.engine.box_fits import MIN_OVERLAP
from mmdistill.errors import ConfigError
from mmdistill.functional.box_fit import measure_fill
from mmdistill.recipes.config_text import Reasoned
from mmdistill.recipes.keypoints import Keypoints
from mmdistill.recipes.labeled_set import LabeledSet
from mmdistill.recipes.request import RecipeRequest
from mmdistill.recipes.unlabeled_set import UnlabeledSet
from mmdistill.stages.detect_config import detector_config
from mmdistill.utils.files import read_json

SMALL_COVER = 0.3
"""Share of an image below which what is in it has to be searched."""
FEWEST_COMMON = 0.5
"""OKS below which two poses are always taken for two instances."""
CROWDED = 0.99
"""Share of labeled instances that are less like any other than the threshold."""


def check_boxes(request: RecipeRequest) -> None:
    """Check that boxes come from one place, and that it can be read.

    Args:
        request: What is asked for.

    Raises:
        ConfigError: If several are stated, detections are no list, or a detector lacks
            its weights or its config.
        DataError: If the detections cannot be read.
    """
    stated = {
        '--boxes': request.boxes,
        '--detector': request.detector,
        '--follow': request.follow or None,
    }
    given = [flag for flag, value in stated.items() if value is not None]
    if len(given) > 1:
        raise ConfigError(f'boxes come from one of {" and ".join(given)}, got both')
    if request.boxes is not None:
        content = read_json(request.boxes, 'the boxes')
        if not isinstance(content, list) or not content:
            raise ConfigError(
                f'--boxes {request.boxes} must be a list of detections in the form of '
                f'bbox_file, got {type(content).__name__}'
            )
    if request.detector is not None:
        if request.detector_checkpoint is None:
            raise ConfigError(
                f'--detector {request.detector} needs its weights: name them with '
                '--detector-checkpoint'
            )
        detector_config(DetectorConfig(config=request.detector))
    elif request.detector_checkpoint is not None:
        raise ConfigError(
            f'--detector-checkpoint {request.detector_checkpoint} needs its config: '
            'name it with --detector'
        )


def check_follow(
    request: RecipeRequest, labeled: LabeledSet, unlabeled: UnlabeledSet
) -> None:
    """Check that boxes can be followed: frames of a video, and one animal.

    Args:
        request: What is asked for.
        labeled: The labeled set.
        unlabeled: The unlabeled set.

    Raises:
        ConfigError: If they are asked for and cannot be.
    """
    if not request.follow:
        return
    if not unlabeled.has_frames:
        raise ConfigError(
            '--follow needs videos, whose frames follow each other, got '
            f'{unlabeled.description}: leave it out'
        )
    if labeled.most_on_an_image > 1:
        raise ConfigError(
            '--follow follows a single animal, and a labeled image has up to '
            f'{labeled.most_on_an_image} instances: find them with --detector, or give '
            'their boxes with --boxes'
        )


def is_searched(request: RecipeRequest, labeled: LabeledSet) -> bool:
    """Whether the teacher has to find what it labels on whole images.

    Args:
        request: What is asked for.
        labeled: The labeled set.
    """
    has_boxes = request.boxes is not None or request.detector is not None
    is_small = labeled.cover < SMALL_COVER and labeled.most_on_an_image == 1
    return request.follow or (not has_boxes and is_small)


def box_entries(
    request: RecipeRequest, labeled: LabeledSet, keypoints: Keypoints
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the entries of `distill`, and of its `unlabeled`, about boxes.

    Args:
        request: What is asked for.
        labeled: The labeled set.
        keypoints: Its keypoints.
    """
    if request.boxes is not None:
        file = dict(bbox_file=request.boxes.as_posix())
        return dict(labeling=dict(nms_thr=_nms_thr(labeled, keypoints))), file
    if request.detector is not None:
        detector = dict(config=request.detector, checkpoint=request.detector_checkpoint)
        labeling = dict(nms_thr=_nms_thr(labeled, keypoints), **_refit_boxes(labeled))
        return dict(detector=detector, labeling=labeling), {}
    if request.follow:
        return {}, dict(follow=dict(padding=1.5))
    return {}, {}


def boxes_reason(request: RecipeRequest, labeled: LabeledSet) -> str:
    """Say where the boxes of the unlabeled images are from.

    Args:
        request: What is asked for.
        labeled: The labeled set.
    """
    if request.boxes is not None:
        return 'given detections'
    if request.detector is not None:
        return 'found by the detector'
    if request.follow:
        return 'each around the keypoints of the frame before'
    return (
        'none are given, so each image is one box, looked at twice; in the labels a '
        f'box covers {100 * labeled.cover:.0f} % of its image'
    )


def closest_poses(labeled: LabeledSet, keypoints: Keypoints) -> np.ndarray:
    """Compute how alike labeled instances of one image are.

    Args:
        labeled: The labeled set.
        keypoints: Its keypoints.

    Returns:
        OKS of each instance with the most similar other one on its image, (M,), for
        the M instances that have another one.
    """
    images = np.asarray(labeled.trained_images)
    poses = np.concatenate([labeled.points, labeled.visible[..., None]], axis=-1)
    poses = poses.reshape(len(poses), -1).astype(float)
    areas = 0.53 * labeled.boxes[:, 2:].prod(axis=1)
    sigmas, most = np.asarray(keypoints.sigmas), []
    for number, (pose, area) in enumerate(zip(poses, areas, strict=True)):
        others = images == images[number]
        others[number] = False
        if others.any():
            found = oks_iou(pose, poses[others], area, areas[others], sigmas, 0.5)
            most.append(float(np.max(found)))
    return np.asarray(most)


def _nms_thr(labeled: LabeledSet, keypoints: Keypoints) -> Reasoned:
    """Choose the OKS above which two candidates are one, by the labeled instances.

    A detector finds some instances several times; each of these takes the place of
    another one when counts are matched.
    """
    closest = closest_poses(labeled, keypoints)
    most = float(np.quantile(closest, CROWDED)) if len(closest) else 0.0
    thr = min(NMS_THR, max(FEWEST_COMMON, np.ceil(20 * most) / 20))
    return Reasoned(
        round(float(thr), 2),
        f'Labeled instances of one image are up to {most:.2f} alike (OKS); what is '
        'more is one instance, found twice.',
    )


def _refit_boxes(labeled: LabeledSet) -> dict[str, Reasoned]:
    """Fit the boxes of a detector, if labeled ones say how a box lies around a pose."""
    ends = labeled.boxes[:, :2] + labeled.boxes[:, 2:]
    corners = np.concatenate([labeled.boxes[:, :2], ends], axis=1)
    fill = measure_fill(corners, labeled.points, labeled.visible)
    if fill is None or fill.overlap < MIN_OVERLAP:
        return {}
    reason = (
        'The boxes of a detector are rough: each is fitted around the pose in it and '
        'looked at again.'
    )
    return dict(refit_boxes=Reasoned(True, reason))
