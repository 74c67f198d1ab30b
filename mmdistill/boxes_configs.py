"""Where the boxes of the unlabelled images come from, by the `distill` section."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmdistill.errors import UserError


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
    labels = Path(section['labels'])
    return Path(detector.get('boxes') or labels.with_name(f'{labels.name}_boxes'))


def boxes_arguments(section: Mapping[str, Any]) -> dict[str, Any]:
    """What `UnlabeledDataset` is told of boxes that a detector finds.

    Args:
        section: The `distill` section of a config.
    """
    folder = boxes_folder(section)
    return {} if folder is None else {'detections': str(folder)}
