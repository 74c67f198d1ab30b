"""Boxes of the unlabeled images, detected before they are labeled."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config
from mmengine.dist import barrier, is_main_process
from mmengine.logging import print_log
from mmengine.registry import DATASETS

from mmdistill.config.detectors import is_joint
from mmdistill.config.recipe import Recipe
from mmdistill.engine.runner import stage_runner
from mmdistill.errors import ConfigError
from mmdistill.stages.detect_config import detect_config, images_without_boxes
from mmdistill.store import LabelStore
from mmdistill.store.bbox_file import write_boxes
from mmdistill.store.manifest import DETECTIONS
from mmdistill.store.status import format_status


def detect(config: Config) -> None:
    """Find the boxes of the unlabeled images.

    A store that is complete is only compared with the config.

    Args:
        config: A config with a `distill` section that has a `detector`.

    Raises:
        UserError: If the section, the detector or the images are not usable.
    """
    find_boxes(Recipe.of(config))


def find_boxes(recipe: Recipe) -> None:
    """Find the boxes of a recipe, see `detect`.

    Args:
        recipe: A recipe that has a `detector`.

    Raises:
        UserError: If it names a missing file, or the detector does not fit its weights.
    """
    if is_joint(recipe):
        raise ConfigError(
            'the boxes of distill.detector.distill are labels, too, and are found with '
            'them: use tools/label.py or tools/train.py'
        )
    stage_runner(detect_config(recipe)).test()
    barrier()


def status(config: Config) -> list[str]:
    """The progress of a config's detection store, line by line.

    Args:
        config: A config with a `distill` section that has a `detector`.

    Raises:
        UserError: If there is no store.
    """
    return format_status(_store(Recipe.of(config)))


def export_boxes(config: Config, path: str) -> None:
    """Write the boxes of a config's detection store in MMPose's `bbox_file` form.

    An image is called by its id in the COCO json that lists it, else by its path.

    Args:
        config: A config with a `distill` section that has a `detector`.
        path: The json to write.

    Raises:
        UserError: If the store is not complete or the disk refuses the file.
    """
    recipe = Recipe.of(config)
    # On every process: one of them looks for the images and broadcasts them.
    images = DATASETS.build(images_without_boxes(recipe))
    if is_main_process():
        count = write_boxes(_store(recipe), dict(images.names()), Path(path))
        print_log(f'wrote {count} boxes to {path}', logger='current')


def _store(recipe: Recipe) -> LabelStore:
    folder = recipe.distill.boxes_folder
    if folder is None:
        raise ConfigError(
            f'{recipe.config.filename} has no distill.detector to find boxes'
        )
    return LabelStore(folder, DETECTIONS)
