"""Choice of the labeled images that are audited, and of their boxes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.logging import print_log

from mmdistill.config.datasets import members_of
from mmdistill.config.detectors import distills_boxes
from mmdistill.config.recipe import Recipe
from mmdistill.config.schema import UnlabeledConfig, stated
from mmdistill.datasets.annotation_configs import (
    annotations_folder,
    keypoint_names_of,
    read_ann_file,
)
from mmdistill.datasets.boxes import true_boxes
from mmdistill.datasets.sources.image_list import annotated_images
from mmdistill.errors import ConfigError, DataError
from mmdistill.stages.label_config import labeled_config, labeled_members
from mmdistill.utils.files import file_sha256, json_sha256, read_json, write_json

TRUE_BOXES = 'the true boxes, each with score 1'
WHOLE_IMAGE = 'the whole image'
FOUND = 'the boxes that the teacher finds'
MAX_STEM = 200
"""Maximum number of bytes of a stem in the name of a folder."""


@dataclass(frozen=True)
class AuditedSet:
    """Labeled images that the teacher was not trained on.

    Attributes:
        ann_file: COCO json with their annotations.
        img_root: Folder that its file names are relative to.
        bbox_file: Detections in MMPose's `bbox_file` form, if there are any.
    """

    ann_file: Path
    img_root: Path
    bbox_file: Path | None = None

    @property
    def images(self) -> set[Path]:
        """Image files, with links resolved."""
        root = self.img_root.resolve()
        return {root / path for path in annotated_images(self.ann_file)}

    @property
    def name(self) -> str:
        """Name of the set and its boxes, usable for a folder."""
        boxes = file_sha256(self.bbox_file) if self.bbox_file else None
        digest = json_sha256([file_sha256(self.ann_file), str(self.img_root), boxes])
        stem = self.ann_file.stem.encode(errors='replace')[:MAX_STEM]
        return f'{stem.decode(errors="ignore")}-{digest[:8]}'


def audited_set(
    recipe: Recipe,
    ann_file: str | None = None,
    img: str | None = None,
    bbox_file: str | None = None,
) -> AuditedSet:
    """Choose the audited set: the arguments, `distill.audit` or the val set.

    Args:
        recipe: The recipe.
        ann_file: COCO json to audit instead of the config's.
        img: Its folder of images, by default that of the config's set.
        bbox_file: Detections on its images; by default those of the config, if its set
            is audited.

    Raises:
        UserError: If no set is named or a file is missing.
    """
    config, audit = recipe.config, recipe.distill.audit
    dataset = val_dataset(config, ann_file is None) if audit is None else stated(audit)
    default = _set_of(dataset) if dataset else None
    if ann_file is not None:
        if img is None and default is None:
            raise ConfigError(
                f'the images of {ann_file} need a folder, name it by --img'
            )
        root = default.img_root if default else ''
        default = AuditedSet(Path(ann_file), Path(root))
    if default is None:
        raise ConfigError(
            f'{config.filename} names no val set with annotations to audit; name one '
            'with --ann-file and --img, or in distill.audit'
        )
    boxes = Path(bbox_file) if bbox_file else default.bbox_file
    chosen = AuditedSet(default.ann_file, Path(img or default.img_root), boxes)
    for path in (chosen.ann_file, chosen.bbox_file):
        if path is not None and not path.is_file():
            raise DataError(f'{path}, which the audit needs, does not exist')
    return chosen


def labeled_set(recipe: Recipe) -> AuditedSet:
    """Return the labeled set of a config, on which its teacher was trained.

    Args:
        recipe: The recipe.

    Raises:
        UserError: If it consists of several data sets.
    """
    members = labeled_members(recipe)
    if len(members) > 1:
        raise ConfigError(
            'folds are parts of one labeled set, that of '
            f'{recipe.config.filename} is made of {len(members)} '
            f'({_listed(members)}); audit on a set that the teacher was not trained '
            'on, with --ann-file and --img'
        )
    return _set_of(members[0])


def checked_annotations(recipe: Recipe, audited: AuditedSet) -> AuditedSet:
    """Check the annotations of a set, and normalize them where needed.

    Those of a detector are read as they are, as its training reads them.

    Args:
        recipe: The recipe, whose keypoints the set must have.
        audited: The set; its own json is not changed.

    Raises:
        UserError: If the json contradicts itself, the keypoints or its images.
    """
    if distills_boxes(recipe):
        if audited.bbox_file is not None:
            raise ConfigError(
                'an audit of a detector looks at the boxes that it finds itself; leave '
                f'out the detections {audited.bbox_file}'
            )
        return audited
    names = keypoint_names_of(labeled_config(recipe))
    ann_file, annotations = read_ann_file(
        'audited',
        *(audited.ann_file, names, audited.img_root),
        annotations_folder(recipe.config),
    )
    print_log(f'the audited set {annotations.summary("count")}', logger='current')
    return replace(audited, ann_file=ann_file)


def shared_images(recipe: Recipe, audited: AuditedSet) -> int:
    """Count the audited images that the teacher was trained on.

    Args:
        recipe: The recipe.
        audited: The audited set.

    Raises:
        UserError: If the audited set is the labeled set itself.
    """
    shared = images_trained_on(recipe, audited)
    if shared == audited.images:
        # Folds split a single set.
        without = ', or train teachers without a part of it with --folds'
        raise ConfigError(
            f'{audited.ann_file} is what the teacher was trained on, its labels there '
            'are better than elsewhere; name another set with --ann-file and --img'
            + (without if len(labeled_members(recipe)) == 1 else '')
        )
    return len(shared)


def images_trained_on(recipe: Recipe, audited: AuditedSet) -> set[Path]:
    """Return the audited images that the teacher was trained on, links resolved.

    Args:
        recipe: The recipe.
        audited: The audited set.

    Returns:
        The images; all of them where the set has the labeled set's own json.
    """
    images, trained_on = audited.images, set()
    for labeled in map(_set_of, labeled_members(recipe)):
        if labeled.ann_file.resolve() == audited.ann_file.resolve():
            return images
        if labeled.ann_file.is_file():
            trained_on |= labeled.images
    return images & trained_on


def sampled_set(
    audited: AuditedSet,
    num: int,
    left_out: Collection[Path],
    folder: Path,
    of_boxes: bool = False,
) -> AuditedSet:
    """Choose some images of a set, evenly over its list, with all their instances.

    Only images with an annotated keypoint, or with a box where instances have no
    keypoints, are chosen: others tell nothing of errors.

    Args:
        audited: The set, whose annotations are checked.
        num: Maximum number of images.
        left_out: Images that are not chosen, links resolved.
        folder: Folder to which the json of the chosen images is written.
        of_boxes: Whether instances are boxes, without keypoints.

    Returns:
        The chosen images; the set itself where that are all of its images.

    Raises:
        DataError: If there is none to choose.
    """
    content = read_json(audited.ann_file, 'the annotation file')
    annotated = {
        annotation['image_id']
        for annotation in content['annotations']
        if of_boxes or any(np.array(annotation.get('keypoints', ()))[2::3] > 0)
    }
    root = audited.img_root.resolve()
    usable = [
        image
        for image in content['images']
        if image['id'] in annotated and root / image['file_name'] not in left_out
    ]
    if not usable:
        reason = ' that the teacher was not trained on' if left_out else ''
        what = 'boxes' if of_boxes else 'keypoints'
        raise DataError(f'{audited.ann_file} has no image with {what}{reason}')
    rows = np.linspace(0, len(usable) - 1, min(num, len(usable))).round().astype(int)
    images = [usable[row] for row in rows.tolist()]
    if len(images) == len(content['images']):
        return audited
    chosen = {image['id'] for image in images}
    content['images'] = images
    content['annotations'] = [
        each for each in content['annotations'] if each['image_id'] in chosen
    ]
    digest = json_sha256(content)
    path = folder / f'{audited.ann_file.stem[: MAX_STEM // 2]}-{digest[:8]}.json'
    if not path.is_file():
        write_json(path, content)
    return replace(audited, ann_file=path)


def choose_boxes(
    unlabeled: UnlabeledConfig, audited: AuditedSet, folder: Path
) -> tuple[UnlabeledConfig, str]:
    """Choose the boxes in which the audited images are labeled.

    They are of the kind of the unlabeled set: detections if that has detections. If
    the audited images have none, their true boxes replace them, as they replace boxes
    propagated from frame to frame.

    Args:
        unlabeled: Settings of the unlabeled set.
        audited: The audited set.
        folder: Folder to which true boxes are written.

    Returns:
        Settings of the boxes, and the source of the boxes in words.
    """
    if audited.bbox_file is not None:
        detected = UnlabeledConfig(
            bbox_file=str(audited.bbox_file), category_ids=unlabeled.category_ids
        )
        return detected, f'detections, {audited.bbox_file}'
    if not unlabeled.box_sources and unlabeled.follow is None:
        return UnlabeledConfig(), WHOLE_IMAGE
    path = folder / 'true_boxes.json'
    write_json(path, true_boxes(audited.ann_file))
    return UnlabeledConfig(bbox_file=str(path)), TRUE_BOXES


def val_dataset(config: Config, required: bool) -> Mapping[str, Any] | None:
    """Return the validation set, if it is a single one with annotations.

    Args:
        config: A config.
        required: Whether one of several data sets is an error.

    Raises:
        UserError: If it is required and consists of several data sets.
    """
    dataset = (config.get('val_dataloader') or {}).get('dataset') or {}
    members = [member for member in members_of(dataset) if member.get('ann_file')]
    if required and len(members) > 1:
        raise ConfigError(
            f'the validation set of {config.filename} is made of {len(members)} data '
            f'sets ({_listed(members)}); name the one to audit, in the keypoints of '
            'the teacher, with --ann-file and --img or in distill.audit'
        )
    return members[0] if len(members) == 1 else None


def _listed(members: Sequence[Mapping[str, Any]]) -> str:
    return ', '.join(f'{member["type"]} {member.get("ann_file")}' for member in members)


def _set_of(dataset: Mapping[str, Any]) -> AuditedSet:
    if not dataset.get('ann_file'):
        raise ConfigError(f'the labeled images to audit need an ann_file: {dataset!r}')
    root = Path(dataset.get('data_root') or '')
    images = (dataset.get('data_prefix') or {}).get('img', '')
    # MMPose does not prefix the path of a bbox_file.
    boxes = dataset.get('bbox_file')
    return AuditedSet(
        root / dataset['ann_file'], root / images, Path(boxes) if boxes else None
    )
