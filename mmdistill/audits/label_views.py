"""Labeling the audited images with the code that labels the pile."""

from __future__ import annotations

import copy
from dataclasses import asdict, replace
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log

from mmdistill import stages
from mmdistill.audits.audited_set import AuditedSet, boxes_of
from mmdistill.audits.metrics import FUSED
from mmdistill.config.recipe import Recipe
from mmdistill.config.schema import (
    DetectorConfig,
    UnlabeledConfig,
    ViewsConfig,
    is_type,
)
from mmdistill.errors import StoreError
from mmdistill.stages.detections import find_boxes
from mmdistill.stages.label_config import label_config
from mmdistill.store import LabelStore
from mmdistill.store.manifest import differences, identity
from mmdistill.utils.files import json_sha256

SINGLE_VIEW, FLIP = 'single view', 'flip'
OF_VIEWS = ('scales', 'flip', 'aspect_ratios', 'rotations', 'size_dependent')
"""Settings of `distill.views` that say which views there are."""
NOT_RULES = ('boxes', 'chunk_size', 'max_pixels')
"""Parts of a store's manifest that do not decide what a box is labeled with."""


def label_views(
    recipe: Recipe, audited: AuditedSet, folder: Path, *but: str
) -> tuple[dict[str, LabelStore], str]:
    """Label the audited images as the pile, in one view, and in two mirrored ones.

    Args:
        recipe: The recipe.
        audited: The labeled set.
        folder: Where the stores lie.
        but: Parts of the pile's manifest that may differ.

    Returns:
        The stores by name, the one labeled as the pile last, and the source of the
        boxes.

    Raises:
        UserError: If the pile was labeled otherwise, or the set is not usable.
    """
    detector = recipe.distill.detector
    if audited.bbox_file is None and detector is not None:
        boxes, source = _found_boxes(recipe, detector, audited, folder / 'boxes')
    else:
        boxes, source = boxes_of(recipe.distill.unlabeled, audited, folder)
    kinds = _views_of(recipe.distill.views)
    stores: dict[str, LabelStore] = {}
    # What is compared with the pile comes first: a store that does not fit is told
    # before the others are made.
    for name, views in reversed(kinds.items()):
        store = LabelStore(folder / name.replace(' ', '_'))
        if FUSED in stores and _same_views(views, kinds[FUSED]):
            stores[name] = stores[FUSED]
            continue
        print_log(f'audit: {audited.ann_file}, {name}, {source}', logger='current')
        stages.test(_stage(recipe, audited, boxes, store, views))
        stores[name] = store
        if name == FUSED:
            check_same_views(recipe, store, *but)
    return {name: stores[name] for name in kinds}, source


def check_same_views(recipe: Recipe, store: LabelStore, *but: str) -> None:
    """Make sure that a store was labeled as the config's own store was.

    Args:
        recipe: The recipe.
        store: A store of audited images.
        but: Further parts of the manifest that may differ.

    Raises:
        UserError: If it was not, a line for each difference.
    """
    pile = LabelStore(recipe.distill.store)
    rules = [
        {
            k: v
            for k, v in identity(each.manifest).items()
            if k not in (*NOT_RULES, *but)
        }
        for each in (pile, store)
    ]
    lines = differences(*rules)
    if lines:
        raise StoreError(
            f'the label store {pile.root} was made otherwise than the config labels '
            'now, so an audit would tell nothing of it'
            + ''.join(f'\n- {line}' for line in lines)
        )


def _views_of(views: ViewsConfig) -> dict[str, ViewsConfig]:
    """Settings of the views to compare; those of the config last."""
    one = {name: getattr(ViewsConfig, name) for name in OF_VIEWS}
    return {
        SINGLE_VIEW: replace(views, **{**one, 'flip': False}),
        FLIP: replace(views, **{**one, 'flip': True}),
        FUSED: views,
    }


def _same_views(left: ViewsConfig, right: ViewsConfig) -> bool:
    return json_sha256(asdict(left)) == json_sha256(asdict(right))


def _found_boxes(
    recipe: Recipe, detector: DetectorConfig, audited: AuditedSet, folder: Path
) -> tuple[UnlabeledConfig, str]:
    """The boxes that the pile's detector finds on the audited images."""
    print_log(f'audit: boxes of {audited.ann_file}', logger='current')
    detector = replace(detector, boxes=str(folder))
    recipe = _audited_recipe(recipe, audited, UnlabeledConfig(), 'audit')
    find_boxes(replace(recipe, distill=replace(recipe.distill, detector=detector)))
    source = f'detections of {detector.checkpoint}'
    return UnlabeledConfig(detections=str(folder)), source


def _audited_recipe(
    recipe: Recipe, audited: AuditedSet, boxes: UnlabeledConfig, *folder: str
) -> Recipe:
    """The recipe with the audited images in the place of the pile."""
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


def _stage(
    recipe: Recipe,
    audited: AuditedSet,
    boxes: UnlabeledConfig,
    store: LabelStore,
    views: ViewsConfig,
) -> Config:
    """The config of a labeling stage over the audited images, without matching."""
    # Boxes are fitted around poses as those of the pile, whatever boxes they are.
    refit, pile = recipe.distill.refit_arguments, recipe.distill.store
    recipe = _audited_recipe(recipe, audited, boxes, 'audit', store.root.name)
    distill = replace(recipe.distill, detector=None, store=str(store.root), views=views)
    stage = label_config(replace(recipe, distill=distill))
    stage.custom_hooks = [
        hook for hook in stage.custom_hooks if not is_type(hook, 'CountMatchingHook')
    ]
    for hook in stage.custom_hooks:
        if is_type(hook, 'BoxFitHook'):
            hook.update(refit, like=pile)
    return stage
