"""The `distill` section of a config: what it may state, read before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmdistill.boxes_configs import check_boxes
from mmdistill.errors import UserError
from mmdistill.labels.selection_options import SelectionOptions
from mmdistill.section_values import check_values, normalize

REQUIRED = ('teacher', 'unlabeled', 'labels')


def distill_section(config: Config) -> Any:
    """The `distill` section of a config, checked.

    Settings that are None have their defaults, and are removed.

    Args:
        config: The user's config.

    Raises:
        UserError: If there is none, it lacks what has no default, or states what
            can not be.
    """
    section = stated_section(config)
    if section is None:
        raise UserError(
            f'{config.filename} has no distill section, which names the teacher, the '
            'unlabelled images and the label store'
        )
    for key in REQUIRED:
        if key not in section:
            raise UserError(f'the distill section of {config.filename} has no {key}')
    check_boxes(section)
    return section


def stated_section(config: Config) -> Any:
    """What a config states of a `distill` section, complete or not; None if nothing.

    Args:
        config: Any config.

    Raises:
        UserError: If the section states what can not be.
    """
    section = config.get('distill')
    if section is None:
        return None
    if isinstance(section, Mapping):
        normalize(section)
    check_values(section)
    try:
        SelectionOptions(**section.get('counting', {}))
    except UserError as error:
        raise UserError(f'distill.counting: {error}') from error
    return section


def check_checkpoint(role: str, part: Mapping[str, Any]) -> None:
    """Make sure that a model's checkpoint is there, before anything is built.

    Args:
        role: What the model is, as the section of `distill` that names it.
        part: That section.

    Raises:
        UserError: If none is named, or there is no such file.
    """
    checkpoint = part.get('checkpoint')
    if not checkpoint:
        raise UserError(f'distill.{role}.checkpoint must name a checkpoint, got none')
    if '://' not in checkpoint and not Path(checkpoint).is_file():
        raise UserError(
            f'the {role} checkpoint {checkpoint} does not exist; train the {role} '
            f'first, or set distill.{role}.checkpoint'
        )
