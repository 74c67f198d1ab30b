"""Images that train and are not files by themselves: written into the store."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pyarrow.compute as pc
from mmengine.logging import print_log

from mmdistill.labels import LabelStore, Selection
from mmdistill.labels.files import write_bytes
from mmdistill.labels.image_files import SCALED, is_packed, written_name
from mmdistill.labels.training_labels import read_training_labels
from mmdistill.progress import told


def write_kept_images(
    store: LabelStore, selection: Selection, dataset: Callable[[], Any]
) -> int:
    """Write the kept images that stock loaders can not read below ``frames/``.

    These are frames, members of tars, and images whose pixels were scaled. Those that
    are there stay; an interrupted run goes on. Frames of a video are decoded in their
    order.

    Args:
        store: A complete store.
        selection: Which candidates are kept.
        dataset: Gives the data set that was labelled; called if anything is missing.

    Returns:
        How many were written.

    Raises:
        UserError: If the store is damaged or the disk refuses a file.
    """
    # The list of images is read in no time, the labels of a million are not.
    if not any(map(is_packed, store.paths())) and not _has_scaled(store):
        return 0
    missing = {
        key
        for key in read_training_labels(store, selection).written_keys
        if not (store.root / written_name(key)).is_file()
    }
    if not missing:
        return 0
    images = dataset()
    wanted = [(n, key) for n, key in enumerate(images.paths) if key in missing]
    lost = len(missing) - len(wanted)
    for number, key in told(wanted, len(wanted), 'kept images are written'):
        data = images.encoded(number)
        if data is None:
            lost += 1
        else:
            write_bytes(store.root / written_name(key), data)
    if lost:
        print_log(
            f'{lost} of {len(missing)} kept images of {store.root} can not be read any '
            'more and are not written',
            logger='current',
            level=logging.WARNING,
        )
    print_log(
        f'{len(missing) - lost} kept images are written below {store.root}/frames',
        logger='current',
    )
    return len(missing) - lost


def _has_scaled(store: LabelStore) -> bool:
    tables = store.scan(['reason'])
    return any(pc.any(pc.starts_with(t['reason'], SCALED)).as_py() for t in tables)
