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
