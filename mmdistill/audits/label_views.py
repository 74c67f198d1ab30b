"""Labeling of the audited images in the same way as the unlabeled set."""

from __future__ import annotations

import copy
from dataclasses import asdict, replace
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log

from mmdistill import stages
from mmdistill.audits.audited_set import FOUND, AuditedSet, choose_boxes
from mmdistill.audits.metrics import FUSED
from mmdistill.config.detector_options import DetectorConfig
from mmdistill.config.detectors import distills_boxes
from mmdistill.config.recipe import Recipe
from mmdistill.config.schema import UnlabeledConfig, ViewsConfig, is_type
from mmdistill.errors import StoreError
from mmdistill.stages.detections import find_boxes
from mmdistill.stages.image_teachers import are_finders, refit_arguments
from mmdistill.stages.label_config import label_config, label_store, teacher_models
from mmdistill.store import LabelStore
from mmdistill.store.manifest import differences, identity
from mmdistill.utils.files import json_sha256

SINGLE_VIEW, FLIP = 'single view', 'flip'
VIEW_SETTINGS = (
    *('scales', 'flip', 'aspect_ratios', 'rotations'),
    *('resolutions', 'fusion_resolution', 'size_dependent'),
)
"""Settings of `distill.views` that define the views."""
UNCOMPARED_FIELDS = ('boxes', 'chunk_size', 'max_pixels')
"""Fields of a store's manifest that do not affect the label of a box."""


def label_views(
    recipe: Recipe, audited: AuditedSet, folder: Path, *ignored_fields: str
) -> tuple[dict[str, LabelStore], str]:
    """Label the audited images in the views of the config, in one view and in two.

    Args:
        recipe: The recipe.
        audited: The labeled set.
        folder: Folder of the stores.
        ignored_fields: Fields of the manifest that may differ.

    Returns:
        The stores by name, the one with the views of the config last, and the source
        of the boxes.

    Raises:
        UserError: If the unlabeled set was labeled with other settings, or the audited
            set is not usable.
    """
    detector = recipe.distill.detector
    boxes_only = distills_boxes(recipe)
    models = [] if boxes_only else teacher_models(recipe)
    if boxes_only or (models and are_finders(models)):
        boxes, source = UnlabeledConfig(), FOUND
    elif audited.bbox_file is None and detector is not None:
        boxes, source = _detect_boxes(recipe, detector, audited, folder / 'boxes')
    else:
        boxes, source = choose_boxes(recipe.distill.unlabeled, audited, folder)
    own_kind = label_store(recipe).kind
    views_by_name = _views_of(recipe.distill.views)
    stores: dict[str, LabelStore] = {}
    # The store that is compared with that of the config comes first: a mismatch is
    # reported before the others are labeled.
    for name, views in reversed(views_by_name.items()):
        store = LabelStore(_store_folder(folder, name), own_kind)
        if FUSED in stores and _same_views(views, views_by_name[FUSED]):
            stores[name] = stores[FUSED]
            continue
        print_log(f'audit: {audited.ann_file}, {name}, {source}', logger='current')
        stages.test(_label_stage(recipe, audited, boxes, store, views))
        stores[name] = store
        if name == FUSED:
            check_same_views(recipe, store, *ignored_fields)
    return {name: stores[name] for name in views_by_name}, source


def are_labeled(recipe: Recipe, folder: Path) -> bool:
    """Whether `label_views` has nothing to do in a folder.

    Args:
        recipe: The recipe.
        folder: Folder of the stores.
    """
    by_name, kind = _views_of(recipe.distill.views), label_store(recipe).kind
    stores = {
        name: LabelStore(_store_folder(folder, name), kind)
        for name, views in by_name.items()
        if name == FUSED or not _same_views(views, by_name[FUSED])
    }
    try:
        complete = all(store.complete for store in stores.values())
        if complete:
            check_same_views(recipe, stores[FUSED])
    except StoreError:  # damaged, or of other labels
        return False
    return complete


def check_same_views(recipe: Recipe, store: LabelStore, *ignored_fields: str) -> None:
    """Check that a store was labeled with the settings of the config's store.

    Args:
        recipe: The recipe.
        store: A store of audited images.
        ignored_fields: Further fields of the manifest that may differ.

    Raises:
        UserError: If it was not, a line for each difference.
    """
    own_store = label_store(recipe)
    settings = [
        {
            k: v
            for k, v in identity(compared.manifest).items()
            if k not in (*UNCOMPARED_FIELDS, *ignored_fields)
        }
        for compared in (own_store, store)
    ]
    lines = differences(*settings)
    if lines:
        raise StoreError(
            f'the label store {own_store.root} was labeled with other settings than '
            'those of the config, so an audit would not apply to it; restore its '
            'settings, or label into another folder'
            + ''.join(f'\n- {line}' for line in lines)
        )


def _store_folder(folder: Path, name: str) -> Path:
    return folder / name.replace(' ', '_')


def _views_of(views: ViewsConfig) -> dict[str, ViewsConfig]:
    """Settings of the views to compare; those of the config last."""
    one = {name: getattr(ViewsConfig, name) for name in VIEW_SETTINGS}
    return {
        SINGLE_VIEW: replace(views, **{**one, 'flip': False}),
        FLIP: replace(views, **{**one, 'flip': True}),
        FUSED: views,
    }


def _same_views(left: ViewsConfig, right: ViewsConfig) -> bool:
    return json_sha256(asdict(left)) == json_sha256(asdict(right))


def _detect_boxes(
    recipe: Recipe, detector: DetectorConfig, audited: AuditedSet, folder: Path
) -> tuple[UnlabeledConfig, str]:
    """Detect boxes on the audited images with the detector of the config."""
    print_log(f'audit: boxes of {audited.ann_file}', logger='current')
    detector = replace(detector, boxes=str(folder), distill=False)
    recipe = _audited_recipe(recipe, audited, UnlabeledConfig(), 'audit')
    find_boxes(replace(recipe, distill=replace(recipe.distill, detector=detector)))
    source = f'detections of {detector.checkpoint}'
    return UnlabeledConfig(detections=str(folder)), source


def _audited_recipe(
    recipe: Recipe, audited: AuditedSet, boxes: UnlabeledConfig, *folder: str
) -> Recipe:
    """Copy of the recipe with the audited images as the unlabeled set."""
    config = copy.copy(recipe.config)
    config.work_dir = str(Path(config.work_dir, *folder))
    unlabeled = replace(
        boxes,
        data_prefix=dict(img=str(audited.img_root)),
        ann_file=str(audited.ann_file),
        max_pixels=recipe.distill.unlabeled.max_pixels,
    )
    # The audited images are the validation set on purpose.
    distill = replace(recipe.distill, unlabeled=unlabeled, leak_guard=False)
    return Recipe(config, distill)


def _label_stage(
    recipe: Recipe,
    audited: AuditedSet,
    boxes: UnlabeledConfig,
    store: LabelStore,
    views: ViewsConfig,
) -> Config:
    """The config of a labeling stage over the audited images, without matching."""
    # Boxes are fitted around poses as in the store of the config, of any source.
    models = [] if distills_boxes(recipe) else teacher_models(recipe)
    refit = refit_arguments(recipe, models)
    own_store = recipe.distill.store
    recipe = _audited_recipe(recipe, audited, boxes, 'audit', store.root.name)
    distill = replace(recipe.distill, detector=None, store=str(store.root), views=views)
    stage = label_config(replace(recipe, distill=distill))
    stage.custom_hooks = [
        hook for hook in stage.custom_hooks if not is_type(hook, 'CountMatchingHook')
    ]
    for hook in stage.custom_hooks:
        if is_type(hook, 'BoxFitHook'):
            hook.update(refit, like=own_store)
    return stage
