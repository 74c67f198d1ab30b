"""Labeling the audited images with the code that labels the pile."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from mmdistill import stages
from mmdistill.audits.audited_set import AuditedSet, boxes_of
from mmdistill.audits.metrics import FUSED
from mmdistill.config.schema import (
    boxes_folder,
    distill_section,
    is_type,
    refit_arguments,
)
from mmdistill.errors import StoreError
from mmdistill.stages.detections import detect
from mmdistill.stages.label_config import label_config
from mmdistill.store import LabelStore
from mmdistill.store.manifest import differences, identity
from mmdistill.utils.files import json_sha256

SINGLE_VIEW, FLIP = 'single view', 'flip'
ONE_VIEW = dict(
    scales=(1.0,), flip=True, aspect_ratios=(), rotations=(), size_dependent=False
)
"""Settings of `distill.views` that say which views there are, and their defaults."""
NOT_RULES = ('boxes', 'chunk_size', 'max_pixels')
"""Parts of a store's manifest that do not decide what a box is labeled with."""


def label_views(
    config: Config, audited: AuditedSet, folder: Path, *but: str
) -> tuple[dict[str, LabelStore], str]:
    """Label the audited images as the pile, in one view, and in two mirrored ones.

    Args:
        config: A config with a `distill` section.
        audited: The labeled set.
        folder: Where the stores lie.
        but: Parts of the pile's manifest that may differ.

    Returns:
        The stores by name, the one labeled as the pile last, and the source of the
        boxes.

    Raises:
        UserError: If the pile was labeled otherwise, or the set is not usable.
    """
    section = distill_section(config)
    if audited.bbox_file is None and boxes_folder(section) is not None:
        boxes, source = _found_boxes(config, audited, folder / 'boxes')
    else:
        boxes, source = boxes_of(section['unlabeled'], audited, folder)
    kinds = _views_of(section.get('views', {}))
    stores: dict[str, LabelStore] = {}
    # What is compared with the pile comes first: a store that does not fit is told
    # before the others are made.
    for name, views in reversed(kinds.items()):
        store = LabelStore(folder / name.replace(' ', '_'))
        if FUSED in stores and _same_views(views, kinds[FUSED]):
            stores[name] = stores[FUSED]
            continue
        print_log(f'audit: {audited.ann_file}, {name}, {source}', logger='current')
        stages.test(_stage(config, audited, boxes, store, views))
        stores[name] = store
        if name == FUSED:
            check_same_views(config, store, *but)
    return {name: stores[name] for name in kinds}, source


def check_same_views(config: Config, store: LabelStore, *but: str) -> None:
    """Make sure that a store was labeled as the config's own store was.

    Args:
        config: A config with a `distill` section.
        store: A store of audited images.
        but: Further parts of the manifest that may differ.

    Raises:
        UserError: If it was not, a line for each difference.
    """
    pile = LabelStore(distill_section(config)['store'])
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


def _views_of(views: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Settings of the views to compare; those of the config last."""
    others = {key: value for key, value in views.items() if key not in ONE_VIEW}
    return {
        SINGLE_VIEW: dict(others, flip=False),
        FLIP: dict(others, flip=True),
        FUSED: dict(views),
    }


def _same_views(left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    return json_sha256({**ONE_VIEW, **left}) == json_sha256({**ONE_VIEW, **right})


def _found_boxes(
    config: Config, audited: AuditedSet, folder: Path
) -> tuple[dict[str, Any], str]:
    """The boxes that the pile's detector finds on the audited images."""
    config = _audited_config(config, audited, {})
    config.distill.detector.boxes = str(folder)
    config.work_dir = str(Path(config.work_dir, 'audit'))
    print_log(f'audit: boxes of {audited.ann_file}', logger='current')
    detect(config)
    checkpoint = config.distill.detector.checkpoint
    return dict(detections=str(folder)), f'detections of {checkpoint}'


def _audited_config(
    config: Config, audited: AuditedSet, boxes: Mapping[str, Any]
) -> Config:
    """The config with the audited images in the place of the pile."""
    config = copy.deepcopy(config)
    unlabeled = config.distill.unlabeled
    limits = {key: unlabeled[key] for key in ('max_pixels',) if key in unlabeled}
    config.distill.unlabeled = dict(
        data_prefix=dict(img=str(audited.img_root)),
        ann_file=str(audited.ann_file),
        **boxes,
        **limits,
    )
    # The audited images are the validation set on purpose.
    config.distill.leak_guard = False
    return config


def _stage(
    config: Config,
    audited: AuditedSet,
    boxes: Mapping[str, Any],
    store: LabelStore,
    views: Mapping[str, Any],
) -> Config:
    """The config of a labeling stage over the audited images, without matching."""
    # Boxes are fitted around poses as those of the pile, whatever boxes they are.
    refit, pile = refit_arguments(config.distill), str(config.distill.store)
    config = _audited_config(config, audited, boxes)
    config.distill.detector = None
    config.distill.store = str(store.root)
    config.distill.views = dict(views)
    config.work_dir = str(Path(config.work_dir, 'audit', store.root.name))
    stage = label_config(config)
    stage.custom_hooks = [
        hook for hook in stage.custom_hooks if not is_type(hook, 'CountMatchingHook')
    ]
    for hook in stage.custom_hooks:
        if is_type(hook, 'BoxFitHook'):
            hook.update(refit, like=pile)
    return stage
