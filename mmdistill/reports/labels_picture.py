"""From a config and its label store to the picture on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from mmengine.config import Config

from mmdistill.errors import UserError
from mmdistill.labels import LabelStore
from mmdistill.labels.files import write_whole
from mmdistill.labels.selection import read_selection
from mmdistill.reports.gallery import draw_gallery
from mmdistill.reports.skeleton import skeleton_of_config
from mmdistill.reports.store_images import (
    PackedImagesOf,
    StoreImages,
    no_packed_images,
)


def draw_labels(
    config: Config,
    path: Path,
    num: int = 8,
    packed_images: PackedImagesOf = no_packed_images,
) -> None:
    """Draw labels that were kept and labels that were rejected.

    Args:
        config: A config with a `distill` section; the keypoints' colours are those
            of its test set, or another of its sets.
        path: The picture to write; its ending decides the format, e.g. `.png`.
        num: Crops in each of the two blocks.
        packed_images: Reads frames and members that were not written out.

    Raises:
        UserError: If `num` is not positive, the store is not complete or has no
            selection, or an image is missing.
    """
    if num < 1:
        raise UserError(f'a picture needs at least 1 label of each kind, got {num}')
    if 'labels' not in (config.get('distill') or {}):
        raise UserError(f'{config.filename} names no label store in distill.labels')
    store = LabelStore(config.distill.labels)
    labels = store.read()
    root = Path(store.manifest['about']['img_root'])
    images = StoreImages(store.root, root, packed_images(root))

    def image_of(number: int) -> np.ndarray:
        key = labels.paths[int(labels.image_index[number])].as_py()
        return images.read(key)

    figure = draw_gallery(
        labels.candidates,
        image_of,
        read_selection(store),
        skeleton_of_config(config),
        num,
        labels.candidate_sources,
    )
    save_figure(figure, path)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure, whole or not at all.

    Args:
        figure: The figure.
        path: The picture; its ending decides the format, e.g. `.png`.

    Raises:
        UserError: If the ending is no format, or the disk refuses the file.
    """
    picture_format = path.suffix.removeprefix('.') or 'png'
    if picture_format not in figure.canvas.get_supported_filetypes():
        raise UserError(f'a picture is written as .png, .svg or .pdf, got {path}')
    write_whole(path, lambda part: figure.savefig(part, format=picture_format, dpi=110))
