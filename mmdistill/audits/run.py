"""The audit of a config: label the audited images and match them with the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from mmengine.dist import barrier, is_main_process
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from mmdistill.audits.audited_set import (
    TRUE_BOXES,
    AuditedSet,
    checked_annotations,
    shared_images,
)
from mmdistill.audits.candidates import BOX, MatchedCandidates, match_candidates
from mmdistill.audits.label_views import label_views
from mmdistill.audits.metrics import FUSED, measure
from mmdistill.audits.result import AUDIT_FILE, Audit, AuditedImages
from mmdistill.audits.unlabeled_selection import (
    UnlabeledSelection,
    unlabeled_selection_of,
)
from mmdistill.config.datasets import unparsed_metainfo
from mmdistill.config.detectors import distills_boxes
from mmdistill.config.recipe import Recipe
from mmdistill.functional.scoring import known_sigmas
from mmdistill.stages.label_config import label_store, labeled_config
from mmdistill.store.manifest import identity
from mmdistill.utils.files import file_sha256, write_json


def audit(recipe: Recipe, audited: AuditedSet) -> Audit | None:
    """Audit the labels of a config on a labeled set.

    Labels it as the unlabeled images were labeled, and in a single view and in
    two mirrored ones, into label stores beside that of the config (`...-audit`).
    An audit that was stopped resumes. The result is `audit.json` in the store of the
    config.

    Args:
        recipe: A recipe whose images are labeled.
        audited: The labeled set.

    Returns:
        The audit on the first process, None on others.

    Raises:
        UserError: If the teacher was trained on the audited set, the config's store
            is not complete or was labeled with other settings, or the set is not
            usable.
    """
    unlabeled_selection = read_unlabeled_selection(recipe)
    shared = shared_images(recipe, audited)
    audited = checked_annotations(recipe, audited)
    folder = audit_folder(recipe, audited)
    stores, boxes = label_views(recipe, audited, folder)
    barrier()
    if not is_main_process():
        return None
    matched = {
        name: match_candidates(
            store, audited.ann_file, sigmas_of(recipe), unlabeled_selection
        )
        for name, store in stores.items()
    }
    images = describe_images(audited, boxes, matched[FUSED])
    images = replace(images, images_trained_on=shared)
    return write_audit(recipe, matched, unlabeled_selection, images)


def read_unlabeled_selection(recipe: Recipe) -> UnlabeledSelection:
    """Read the selection of the store of a config.

    Args:
        recipe: The recipe.

    Raises:
        UserError: If nothing was labeled or selected yet.
    """
    return unlabeled_selection_of(label_store(recipe))


def audit_folder(recipe: Recipe, audited: AuditedSet) -> Path:
    """Return the folder of the label stores of an audit.

    Args:
        recipe: The recipe.
        audited: The labeled set.
    """
    labels = Path(recipe.distill.store)
    return labels.with_name(f'{labels.name}-audit') / audited.name


def sigmas_of(recipe: Recipe) -> np.ndarray:
    """Return the standard deviations of a config's keypoints for OKS, (K,).

    A detector has none.
    """
    if distills_boxes(recipe):
        return np.zeros(0)
    parsed = parse_pose_metainfo(unparsed_metainfo(labeled_config(recipe)))
    return known_sigmas(parsed['sigmas'], parsed['num_keypoints'])


def describe_images(
    audited: AuditedSet, boxes: str, fused: MatchedCandidates
) -> AuditedImages:
    """Describe the audited images.

    Args:
        audited: The labeled set.
        boxes: Description of the boxes in which it was labeled.
        fused: Its matched candidates.
    """
    return AuditedImages(
        ann_file=str(audited.ann_file),
        sha256=file_sha256(audited.ann_file),
        boxes=boxes,
        images=fused.images,
        failed=fused.failed,
        instances=fused.num_true,
        candidates=len(fused.scores),
    )


def write_audit(
    recipe: Recipe,
    matched: Mapping[str, MatchedCandidates],
    unlabeled_selection: UnlabeledSelection,
    audited: AuditedImages,
) -> Audit:
    """Write `audit.json` into the store of a config.

    Args:
        recipe: The recipe.
        matched: Matched candidates by view.
        unlabeled_selection: Its selection.
        audited: The audited images.

    Returns:
        The audit.
    """
    store = label_store(recipe)
    names = store.manifest['keypoints']
    result = replace(
        measure(
            matched,
            names or [BOX],
            unlabeled_selection,
            audited.boxes == TRUE_BOXES,
        ),
        of_boxes=not names,
        audited=audited,
        made_by=dict(store=store.digest(), **identity(store.manifest)),
    )
    write_json(store.root / AUDIT_FILE, result.to_json())
    return result
