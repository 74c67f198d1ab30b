"""The network of the teacher: larger, with a finer input, where one is at hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmdistill.recipes.models import Model
from mmdistill.recipes.parts import Network
from mmdistill.recipes.recommend import (
    LARGEST,
    STEP,
    Recommended,
    Settings,
    learning_rate,
    lite_codec,
)
from mmdistill.recipes.request import Overrides

SCALE = 4 / 3
"""Sides of its input over those of the student's."""
FINE_CELLS = 32
"""Cells of the longer side from which on its peaks are as wide as MMPose has them."""


def teacher_network(
    student: Model, teacher: Model, settings: Settings, stated: Overrides
) -> Network | None:
    """Recommend the input and the learning rate of the teacher's network.

    Args:
        student: The student's model.
        teacher: The teacher's model.
        settings: The student's settings.
        stated: The settings that are stated.

    Returns:
        The network, None where it is the student's.
    """
    if teacher is student:
        return None
    rate = learning_rate(teacher, settings.batch_size.value, stated)
    return Network(teacher, _codec(settings.codec, teacher), rate)


def _codec(
    student: Recommended[Mapping[str, Any]], teacher: Model
) -> Recommended[Mapping[str, Any]]:
    """The codec of a teacher, with cells finer than the student's."""
    if teacher.lite is None:
        return Recommended(teacher.codec, 'its own')
    own = tuple(student.value['input_size'])
    width, height = (
        min(LARGEST, max(side, STEP * round(SCALE * side / STEP))) for side in own
    )
    if (width, height) == own:
        return Recommended(student.value, "the student's")
    return Recommended(
        lite_codec(width, height, FINE_CELLS),
        f'finer than the {own[0]}x{own[1]} of the student',
    )
