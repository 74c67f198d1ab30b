"""The training set of a detector: labeled images beside pseudo-labeled ones."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from mmengine.logging import print_log

from mmdistill.config.datasets import end_pipeline
from mmdistill.config.mixed_loader import BATCHES
from mmdistill.config.schema import MixingConfig, dicts_within, is_type, stated
from mmdistill.selection.selection import read_selection
from mmdistill.selection.training_labels import read_training_labels
from mmdistill.stages.box_labels import MIXING_WRAPPER, classed_metainfo
from mmdistill.store import LabelStore
from mmdistill.store.manifest import BOX_LABELS

IGNORING = ('MaxIoUAssigner', 'ATSSAssigner', 'ApproxMaxIoUAssigner')
"""Assigners of MMDetection that can ignore what lies in flagged boxes."""
IGNORE_IOF_THR = 0.5
"""Share of a prediction within a flagged box from which on it is ignored."""


ASPECT_RATIOS = 'AspectRatioBatchSampler'
"""MMDetection's batches of upright or of wide images, which save padding alone."""


def without_aspect_ratios(loader: Mapping[str, Any]) -> dict[str, Any]:
    """A training loader that leaves its batches to the mix of both kinds.

    Args:
        loader: Config of the loader; only `AspectRatioBatchSampler` is left out.
    """
    free = dict(loader)
    if is_type(free.get('batch_sampler') or {}, ASPECT_RATIOS):
        del free['batch_sampler']
        print_log(
            f'train_dataloader.batch_sampler {ASPECT_RATIOS} makes way for batches of '
            'both kinds: images of different aspect ratio share one, and are padded',
            logger='current',
        )
    return free


def pseudo_boxes(
    labeled: Mapping[str, Any], store: str, mixing: MixingConfig
) -> dict[str, Any]:
    """Config of the pseudo-labels of a detector, seen as labeled images are.

    Where these are mixed of several images (`MultiImageMixDataset`), pseudo-labeled
    ones are mixed in the same way, among themselves: a mixed image is of one kind.

    Args:
        labeled: Config of the labeled set.
        store: Folder of the detection store.
        mixing: The section `distill.mixing`.
    """
    if is_type(labeled, MIXING_WRAPPER):
        inner = pseudo_boxes(labeled['dataset'], store, mixing)
        return {**copy.deepcopy(dict(labeled)), 'dataset': inner}
    return dict(
        type='mmdistill.PseudoBoxDataset',
        store=store,
        metainfo=classed_metainfo(labeled),
        pipeline=end_pipeline(labeled),
        **{k: v for k, v in stated(mixing).items() if k not in BATCHES},
    )


def ignore_regions(model: dict[str, Any]) -> None:
    """Let the assigners of a detector ignore boxes that are flagged so, in place.

    MMDetection's configs switch it off, by an `ignore_iof_thr` of -1; a threshold that
    a config states above 0 stays. The log says which assigners ignore and which heads
    have none that can, where flagged boxes change nothing.

    Args:
        model: Config of the detector.
    """
    assigners = [
        part['assigner'] for part in dicts_within(model) if part.get('assigner')
    ]
    able = [one for one in assigners if any(is_type(one, name) for name in IGNORING)]
    for assigner in able:
        if assigner.get('ignore_iof_thr', -1) <= 0:
            assigner['ignore_iof_thr'] = IGNORE_IOF_THR
    unable = [str(one.get('type')) for one in assigners if one not in able]
    text = f'{len(able)} assigners of the student ignore rejected boxes and crowds'
    if unable or not able:
        names = ', '.join(dict.fromkeys(unable)) or str(model.get('type'))
        text += f'; {names} cannot, so that they are background there'
    print_log(text, logger='current')


def box_samples(store: str) -> tuple[int, int]:
    """Count the images that train a detector: labeled and pseudo-labeled ones.

    Args:
        store: Folder of a detection store with a selection.

    Raises:
        UserError: If it has none, or is damaged.
    """
    labels = LabelStore(store, BOX_LABELS)
    selection = read_selection(labels)
    kept = read_training_labels(labels, selection)
    return selection.labeled.annotated_images, len(kept.paths)
