"""The `distill` section of a config: what it may state, read before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmdistill.config.selection_options import SelectionOptions
from mmdistill.config.values import check_values, normalize
from mmdistill.errors import UserError

REQUIRED = ('teacher', 'unlabeled', 'store')


def distill_section(config: Config) -> Any:
    """The `distill` section of a config, checked.

    Settings that are None have their defaults, and are removed.

    Args:
        config: The user's config.

    Raises:
        UserError: If there is none, it lacks what has no default, or states what
            cannot be.
    """
    section = stated_section(config)
    if section is None:
        raise UserError(
            f'{config.filename} has no distill section, which names the teacher, the '
            'unlabeled images and the label store'
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
        UserError: If the section states what cannot be.
    """
    section = config.get('distill')
    if section is None:
        return None
    if isinstance(section, Mapping):
        normalize(section)
    check_values(section)
    try:
        SelectionOptions(**section.get('selection', {}))
    except UserError as error:
        raise UserError(f'distill.selection: {error}') from error
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


def check_boxes(section: Mapping[str, Any]) -> None:
    """Make sure that boxes come from one place.

    Args:
        section: The `distill` section of a config.

    Raises:
        UserError: If several shall give or find them.
    """
    unlabeled = section['unlabeled']
    places = [
        *(
            f'unlabeled.{key}'
            for key in ('bbox_file', 'detections')
            if unlabeled.get(key)
        ),
        *(['detector'] if section.get('detector') else []),
    ]
    if len(places) > 1:
        raise UserError(
            'boxes are given by distill.unlabeled (bbox_file, detections) or found by '
            f'distill.detector, got {" and ".join(places)}'
        )


def boxes_folder(section: Mapping[str, Any]) -> Path | None:
    """Folder of the detection store; beside that of the labels if none is stated.

    Args:
        section: The `distill` section of a config.

    Returns:
        The folder; None where no detector finds boxes.
    """
    detector = section.get('detector')
    if not detector:
        return None
    labels = Path(section['store'])
    return Path(detector.get('boxes') or labels.with_name(f'{labels.name}_boxes'))


def boxes_arguments(section: Mapping[str, Any]) -> dict[str, Any]:
    """What `UnlabeledDataset` is told of boxes that a detector finds.

    Args:
        section: The `distill` section of a config.
    """
    folder = boxes_folder(section)
    return {} if folder is None else {'detections': str(folder)}


def refit_arguments(section: Mapping[str, Any]) -> dict[str, bool]:
    """What `BoxFitHook` is told of boxes that are fitted around poses.

    Where nothing is stated they are, if an image is one box: a teacher was hardly
    trained on those. Boxes that are given, found or followed stay.

    Args:
        section: The `distill` section of a config.
    """
    stated = (section.get('labeling') or {}).get('refit_boxes')
    unlabeled = section['unlabeled']
    given = any(unlabeled.get(key) for key in ('bbox_file', 'detections'))
    followed = unlabeled.get('follow') is not None
    whole = not given and not followed and boxes_folder(section) is None
    return dict(refit=whole if stated is None else stated, stated=stated is not None)


def is_type(part: Mapping[str, Any], name: str) -> bool:
    """Whether a part of a config names a type, with or without its scope.

    Args:
        part: The part, with a `type` or without.
        name: The type's own name.
    """
    return str(part.get('type')).rpartition('.')[2] == name
