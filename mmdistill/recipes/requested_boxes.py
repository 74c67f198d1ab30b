"""Boxes of the unlabeled images, as they are asked for: given, detected, followed."""

from __future__ import annotations

from typing import Any

from mmdistill.config.detector_options import DetectorConfig
from mmdistill.errors import ConfigError
from mmdistill.recipes.labeled_set import LabeledSet
from mmdistill.recipes.request import RecipeRequest
from mmdistill.recipes.unlabeled_set import UnlabeledSet
from mmdistill.stages.detect_config import detector_config
from mmdistill.utils.files import read_json

SMALL_COVER = 0.3
"""Share of an image below which what is in it has to be searched."""


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


def box_entries(request: RecipeRequest) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the entries of `distill`, and of its `unlabeled`, about boxes.

    Args:
        request: What is asked for.
    """
    if request.boxes is not None:
        return {}, dict(bbox_file=request.boxes.as_posix())
    if request.detector is not None:
        detector = dict(config=request.detector, checkpoint=request.detector_checkpoint)
        return dict(detector=detector), {}
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
