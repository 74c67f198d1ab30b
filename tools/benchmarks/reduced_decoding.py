"""Compare labels of JPEGs that are decoded whole and at a part of their size.

    python tools/benchmarks/reduced_decoding.py CONFIG CHECKPOINT

Images of the config's validation set are enlarged and written as JPEGs, so that a
person fills many pixels, as on a photograph of a phone. The checkpoint labels them in
one view, in their true boxes, with and without `labeling.reduced_decoding`: PCK at
three radii, and the CPU time of reading an image. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.config import Config
from mmpose.apis import init_model
from mmpose.evaluation.functional import keypoint_pck_accuracy

from mmdistill.apis import fuse_views
from mmdistill.cli.environment import check_environment
from mmdistill.cli.main import run
from mmdistill.datasets import UnlabeledDataset
from mmdistill.functional.reduced_decoding import reduction_in
from mmdistill.registry import DATASETS

RADII = (0.2, 0.1, 0.05)
"""Radii of PCK, shares of the longer side of the box."""
QUALITY = 92
"""Quality of the JPEGs."""


@dataclass(frozen=True)
class LabeledImage:
    """An enlarged image with one instance.

    Attributes:
        name: Its file.
        box: Box (x, y, width, height), pixels.
        keypoints: Coordinates (x, y), pixels, (K, 2).
        visible: Whether each is labeled, (K,).
    """

    name: str
    box: np.ndarray
    keypoints: np.ndarray
    visible: np.ndarray


def enlarge(
    config: Config, folder: Path, factor: int, count: int
) -> list[LabeledImage]:
    """Write enlarged images of the validation set, the first instance of each.

    Args:
        config: The config with `val_dataloader`.
        folder: Where to.
        factor: Factor of both sides.
        count: Number of instances at most.
    """
    dataset = config.val_dataloader.dataset.copy()
    dataset.pipeline = []
    samples = DATASETS.build(dataset)
    labeled: dict[str, LabeledImage] = {}
    for number in range(min(count, len(samples))):
        sample = samples[number]
        name = f'{Path(sample["img_path"]).stem}.jpg'
        if name in labeled:
            continue
        image = cv2.imread(sample['img_path'])
        size = image.shape[1] * factor, image.shape[0] * factor
        large = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / name), large, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        corners = sample['bbox'].reshape(2, 2) * factor
        labeled[name] = LabeledImage(
            name,
            np.concatenate([corners[0], corners[1] - corners[0]]),
            # The middle of a pixel is the middle of the square it becomes.
            (sample['keypoints'][0] + 0.5) * factor - 0.5,
            sample['keypoints_visible'].reshape(-1) > 0,
        )
    return [*labeled.values()]


def evaluate(
    model: Any, dataset: UnlabeledDataset, labeled: Sequence[LabeledImage]
) -> dict[str, float]:
    """Label the images and compare with the truth.

    Args:
        model: The teacher in its wrapper.
        dataset: The images.
        labeled: Their truth.

    Returns:
        PCK by radius, `reading_ms`, and `reduction`, the mean of all images.
    """
    truth = {image.name: image for image in labeled}
    poses, images, reductions, seconds = [], [], [], 0.0
    for number, path in enumerate(dataset.paths):
        start = time.process_time()
        entry = dataset[number]
        seconds += time.process_time() - start
        sample = entry['data_samples']
        reductions.append(reduction_in(sample.metainfo))
        model.test_step(dict(inputs=[entry['inputs']], data_samples=[sample]))
        poses.append(sample.pred_instances.keypoints[0])
        images.append(truth[path])
    return dict(
        _pck(np.stack(poses), images),
        reduction=float(np.mean(reductions)),
        reading_ms=1e3 * seconds / len(dataset),
    )


def _pck(poses: np.ndarray, images: Sequence[LabeledImage]) -> dict[str, float]:
    """PCK by radius of the poses on some images, (N, K, 2), as MMPose computes it."""
    sides = np.array([[image.box[2:].max()] * 2 for image in images])
    truth = np.stack([image.keypoints for image in images])
    visible = np.stack([image.visible for image in images])
    return {
        f'PCK@{radius:g}': float(
            keypoint_pck_accuracy(poses, truth, visible, radius, sides)[1]
        )
        for radius in RADII
    }


def compare(options: argparse.Namespace, folder: Path) -> dict[str, dict[str, float]]:
    """Label enlarged images both ways.

    Args:
        options: The command line.
        folder: A folder for the images.
    """
    config = Config.fromfile(options.config)
    images = folder / 'images'
    images.mkdir()
    labeled = enlarge(config, images, options.enlarge, options.images)
    boxes = [
        dict(image_id=image.name, bbox=image.box.tolist(), category_id=1, score=1.0)
        for image in labeled
    ]
    (folder / 'boxes.json').write_text(json.dumps(boxes))
    teacher = init_model(options.config, options.checkpoint, device='cpu')
    model = fuse_views(teacher, scales=(1.0,), flip=False)
    metainfo = config.val_dataloader.dataset.metainfo.to_dict()
    results = {}
    for name in ('whole', 'reduced'):
        dataset = UnlabeledDataset(
            metainfo, str(images), bbox_file=str(folder / 'boxes.json')
        )
        if name == 'reduced':
            dataset.decode_reduced(model.sampling())
        results[name] = evaluate(model, dataset, labeled)
    return results


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('config', help='config of the teacher, with a validation set')
    add('checkpoint')
    add('--images', type=int, default=500, help='images at most')
    add('--enlarge', type=int, default=6, help='factor of both sides')
    options = parser.parse_args(argv)
    check_environment()
    with tempfile.TemporaryDirectory() as folder:
        results = compare(options, Path(folder))
    for name, figures in results.items():
        cells = [f'{key} {value:.4f}' for key, value in figures.items()]
        print(f'{name:8} {"  ".join(cells)}')
    print(json.dumps(results))


if __name__ == '__main__':
    sys.exit(run(main))
