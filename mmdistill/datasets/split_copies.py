"""Images that both sides of a split show, whatever they are called."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmdistill.datasets.image_prints import file_prints, same_images


@dataclass(frozen=True)
class Copies:
    """What a comparison by content found.

    Attributes:
        compared: Images of both sides that could be read.
        pairs: An unlabelled image and a labelled one that it equals, by file name.
    """

    compared: int
    pairs: list[tuple[str, str]]


def find_copies(
    images: Sequence[Mapping[str, Any]], labeled: Collection[int], img_root: Path
) -> Copies:
    """Compare both sides by their bytes and by what they show.

    Args:
        images: All images of a COCO json.
        labeled: Ids of the labelled ones.
        img_root: Folder of the images.
    """
    sides: tuple[list[Path], list[Path]] = ([], [])
    for image in images:
        sides[image['id'] in labeled].append(Path(img_root, image['file_name']))
    unlabeled, theirs = (file_prints(side, {}) for side in sides)
    names = [str(file.relative_to(img_root)) for file in unlabeled]
    found = same_images([*unlabeled.values()], theirs)
    pairs = [(names[i], str(file.relative_to(img_root))) for i, file in found]
    return Copies(len(unlabeled) + len(theirs), pairs)


def images_beside(ann_file: Path, images: Sequence[Mapping[str, Any]]) -> Path | None:
    """The folder that a json's images are in, where its layout is a usual one.

    `data/coco/annotations/person_keypoints_train2017.json` has them in
    `data/coco/train2017/`, others in `images/` or named from the root.

    Args:
        ann_file: The COCO json.
        images: Its images.
    """
    root = ann_file.resolve().parent.parent
    folders = (root / ann_file.stem.rpartition('_')[2], root / 'images', root)
    return next(
        (folder for folder in folders if (folder / images[0]['file_name']).is_file()),
        None,
    )
