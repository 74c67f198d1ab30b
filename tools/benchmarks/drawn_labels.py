"""Random labels like those of a teacher, and a stub of a teacher."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from mmengine.structures import InstanceData
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from mmdistill.config.metainfo import keypoint_names
from mmdistill.functional.quantization import (
    STEPS_OF_SCORE,
    STEPS_PER_PIXEL,
    rounded,
)
from mmdistill.functional.reduced_decoding import CropSampling
from mmdistill.functional.scoring import instance_scores
from mmdistill.store import Candidates, ImageRow, LabelStore

METAINFO = dict(from_file='configs/_base_/datasets/coco.py')
PARSED = parse_pose_metainfo(METAINFO)
NAMES = keypoint_names(PARSED)
K = len(NAMES)
WIDTH, HEIGHT = 640, 480
IMAGES_PER_CANDIDATE = 0.4


class Names:
    """Names of images, as a store needs them."""

    def __init__(self, count: int) -> None:
        self.paths = [f'unlabeled2017/{number:012d}.jpg' for number in range(count)]

    def boxes_sha256(self, numbers: np.ndarray) -> str:
        """Return the same hash for all images."""
        return 'the whole image'


class StubTeacher(torch.nn.Module):
    """Model that returns random poses at once."""

    ensemble = ()

    def __init__(self) -> None:
        super().__init__()
        self.module = torch.nn.Linear(1, 1)
        self.module.weight.data.fill_(1)
        self.module.bias.data.fill_(1)
        self.rng = np.random.default_rng(0)

    def provenance(self) -> dict[str, str]:
        """Return its entry in a manifest."""
        return dict(views='stub')

    def sampling(self) -> CropSampling:
        """Return the sampling of an input of 192×256."""
        steps = [[1 / 192, 0.0], [0.0, 1 / 256]]
        return CropSampling(padding=1.25, aspect_ratio=0.75, steps=np.array([steps]))

    def test_step(self, batch: dict) -> list:
        """Predict, as `HeatmapFusionTTA` does."""
        for sample in batch['data_samples']:
            boxes, scores = sample.gt_instances.bboxes, sample.gt_instances.bbox_scores
            candidates = draw(self.rng, len(boxes))
            sample.pred_instances = InstanceData(
                bboxes=boxes,
                bbox_scores=scores,
                keypoints=candidates.keypoints,
                keypoint_scores=candidates.keypoint_scores,
                keypoint_agreement=candidates.keypoint_agreement,
            )
        return batch['data_samples']


def draw(rng: np.random.Generator, count: int) -> Candidates:
    """Draw candidates like those of a teacher: each pose within its box."""
    centers = rng.uniform((80, 80), (WIDTH - 80, HEIGHT - 80), (count, 2))
    halves = rng.uniform(20, 75, (count, 2))
    boxes = np.concatenate([centers - halves, centers + halves], 1).astype(np.float32)
    points = centers[:, None] + halves[:, None] * rng.uniform(-0.9, 0.9, (count, K, 2))
    keypoint_scores = rounded(rng.beta(5, 2, (count, K)), STEPS_OF_SCORE)
    box_scores = rng.beta(4, 2, count).astype(np.float32)
    return Candidates(
        bboxes=boxes,
        bbox_scores=box_scores,
        keypoints=rounded(points, STEPS_PER_PIXEL),
        keypoint_scores=keypoint_scores,
        keypoint_agreement=rounded(rng.beta(8, 2, (count, K)), STEPS_OF_SCORE),
        instance_scores=instance_scores(box_scores, keypoint_scores),
        category_ids=np.ones(count, dtype=np.int32),
    )


def write_store(root: Path, candidates: int) -> None:
    """Write a store of `count` candidates, chunk by chunk."""
    rng = np.random.default_rng(0)
    names = Names(max(int(candidates * IMAGES_PER_CANDIDATE), 1))
    bounds = np.linspace(0, candidates, len(names.paths) + 1).astype(int)
    counts = np.diff(bounds)
    store = LabelStore(root)
    store.claim(
        dict(about=dict(img_root='images'), chunk_size=256, keypoints=NAMES), names
    )
    for chunk, span in enumerate(store.chunk_spans()):
        rows = [
            ImageRow(names.paths[i], WIDTH, HEIGHT, 'ok', '', draw(rng, counts[i]))
            for i in range(span.start, span.stop)
        ]
        store.write_chunk(chunk, rows)
