"""Drawn instances, and what COCO's own evaluation makes of candidates on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from xtcocotools.coco import COCO
from xtcocotools.cocoeval import COCOeval

from mmdistill.functional.oks import (
    TrueInstances,
)
from mmdistill.store import StoredLabels

SIGMAS = np.array([0.03, 0.07, 0.1])
seeds = st.integers(0, 2**32 - 1)


def draw_truth(rng: np.random.Generator, count: int) -> TrueInstances:
    """Instances near each other; some crowds, some without keypoints."""
    low = rng.uniform(0, 30, (count, 2))
    labeled = rng.random((count, 3)) < 0.6
    crowd = rng.random(count) < 0.2
    return TrueInstances(
        keypoints=np.where(labeled[..., None], rng.uniform(0, 60, (count, 3, 2)), 0),
        labeled=labeled,
        areas=rng.uniform(200, 3000, count),
        bboxes=np.hstack([low, low + rng.uniform(5, 40, (count, 2))]),
        ignored=crowd | ~labeled.any(axis=1),
        crowd=crowd,
        category_ids=np.ones(count, dtype=np.int32),
    )


def draw_keypoints(rng: np.random.Generator, truth: TrueInstances) -> np.ndarray:
    """Candidates around the instances, several on some, and one apart."""
    near = [truth.keypoints[i] for i in rng.integers(0, len(truth), len(truth) + 2)]
    noise = rng.normal(0, 4, (len(near), 3, 2))
    return np.concatenate([near + noise, rng.uniform(0, 60, (1, 3, 2))])


def coco_of(content: dict[str, Any]) -> COCO:
    coco = COCO()
    coco.dataset = content
    coco.createIndex()
    return coco


def evaluate(
    images: list[tuple[np.ndarray, np.ndarray, TrueInstances]],
) -> COCOeval:
    """Run COCO's own evaluation over (keypoints, scores, truth) of some images."""
    header = dict(
        images=[dict(id=i + 1) for i in range(len(images))],
        categories=[dict(id=1)],
        info={},
    )
    truths, found = [], []
    for image, (keypoints, scores, truth) in enumerate(images, start=1):
        for i in range(len(truth)):
            x1, y1, x2, y2 = truth.bboxes[i]
            triplets = np.column_stack([truth.keypoints[i], 2 * truth.labeled[i]])
            truths.append(
                dict(
                    id=len(truths) + 1,
                    image_id=image,
                    category_id=1,
                    bbox=[x1, y1, x2 - x1, y2 - y1],
                    area=truth.areas[i],
                    iscrowd=int(truth.crowd[i]),
                    keypoints=triplets.ravel().tolist(),
                )
            )
        for pose, score in zip(keypoints, scores, strict=True):
            triplets = np.column_stack([pose, np.ones(len(pose))])
            found.append(
                dict(
                    id=len(found) + 1,
                    image_id=image,
                    category_id=1,
                    keypoints=triplets.ravel().tolist(),
                    area=1.0,
                    score=float(score),
                )
            )
    evaluation = COCOeval(
        coco_of(dict(header, annotations=truths)),
        coco_of(dict(header, annotations=found)),
        'keypoints',
        SIGMAS,
    )
    evaluation.params.areaRng = [[0, 1e10]]
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation


def box_precision(ann_file: Path, labels: StoredLabels) -> float:
    """AP of the boxes of a store by COCO's own evaluation, however many there are."""
    content = json.loads(ann_file.read_text())
    ids = {image['file_name']: image['id'] for image in content['images']}
    candidates = labels.candidates
    found = []
    for row, number in enumerate(labels.image_index.tolist()):
        x1, y1, x2, y2 = candidates.bboxes[row].tolist()
        found.append(
            dict(
                id=row + 1,
                image_id=ids[labels.paths[number].as_py()],
                category_id=int(candidates.category_ids[row]),
                bbox=[x1, y1, x2 - x1, y2 - y1],
                area=(x2 - x1) * (y2 - y1),
                iscrowd=0,
                score=float(candidates.instance_scores[row]),
            )
        )
    content['info'] = {}
    evaluation = COCOeval(
        coco_of(content), coco_of(dict(content, annotations=found)), 'bbox'
    )
    evaluation.params.maxDets = [10000]
    evaluation.params.areaRng = [[0, 1e10]]
    evaluation.params.areaRngLbl = ['all']
    evaluation.evaluate()
    evaluation.accumulate()
    return float(evaluation.eval['precision'].mean())
