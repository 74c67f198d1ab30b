"""Results of each image of a detector against COCO's own evaluation."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
import torch

from mmdistill.datasets.coco.ground_truth import read_truth
from mmdistill.engine.box_results import BoxResults, image_precision
from mmdistill.errors import UserError
from mmdistill.pipeline.evaluation import AP, ImageResults
from mmdistill.pipeline.verdict import compare_models, verdict_sentence
from mmdistill.store import StoredLabels
from mmdistill.store.image_sources import Sources
from mmdistill.store.schema import Candidates
from tests.helpers.box_recipes import NAMES, write_boxes
from tests.helpers.coco_evaluation import box_precision

IMAGES = 3


@pytest.fixture
def ann_file(tmp_path):
    """Images of squares alone, the last one without any."""
    path = write_boxes(tmp_path, 'val', IMAGES, seed=0)
    content = json.loads(path.read_text())
    last = content['images'][-1]['id']
    kept = [a for a in content['annotations'] if a['image_id'] != last]
    for annotation in kept:
        annotation['category_id'] = 7
    path.write_text(json.dumps(dict(content, annotations=kept)))
    return path


def sample(path, boxes, scores, labels):
    instances = dict(bboxes=boxes, scores=scores, labels=labels)
    return dict(img_path=str(path), pred_instances=instances)


def guesses(truth, seed):
    """Boxes about the true ones, and some anywhere."""
    rng = np.random.default_rng(seed)
    near = truth.bboxes + rng.normal(0, 1.5, truth.bboxes.shape)
    low = rng.uniform(0, 30, (3, 2))
    boxes = np.concatenate([near, np.hstack([low, low + 12])])
    return boxes, rng.uniform(0, 1, len(boxes))


def written(ann_file, tmp_path, seed):
    metric = BoxResults(
        str(tmp_path / f'{seed}.json'), str(ann_file), str(ann_file.parent / 'val')
    )
    metric.dataset_meta = dict(classes=NAMES)
    for key, truth in read_truth(ann_file, 0).items():
        boxes, scores = guesses(truth, seed)
        tensors = (torch.tensor(each) for each in (boxes, scores))
        labels = torch.zeros(len(scores), dtype=torch.int64)
        path = ann_file.parent / 'val' / key
        metric.process(None, [sample(path, *tensors, labels)])
    assert metric.evaluate(IMAGES) == {}
    return tmp_path / f'{seed}.json'


def labels_of(boxes, scores, key):
    """The same boxes as those of a store with one image."""
    none, count = np.zeros((len(scores), 0)), len(scores)
    return StoredLabels(
        paths=pa.chunked_array([[key]]),
        sizes=np.array([[64, 48]]),
        failures=[None],
        image_index=np.zeros(count, dtype=int),
        candidates=Candidates(
            *(boxes, scores, np.zeros((count, 0, 2)), none, none, scores),
            category_ids=np.full(count, 7),
        ),
        sources=Sources(('',), np.zeros(1, dtype=int)),
    )


def test_the_precision_of_an_image_is_coco_s(ann_file, tmp_path):
    content = json.loads(ann_file.read_text())
    for number, (key, truth) in enumerate(read_truth(ann_file, 0).items()):
        if not len(truth):
            continue
        boxes, scores = guesses(truth, number)
        path = tmp_path / 'one.json'
        image = content['images'][number]
        own = [a for a in content['annotations'] if a['image_id'] == image['id']]
        square = [each for each in content['categories'] if each['id'] == 7]
        path.write_text(
            json.dumps(dict(images=[image], annotations=own, categories=square))
        )

        instances = dict(bboxes=boxes, scores=scores, labels=np.full(len(scores), 7))
        ours = image_precision(instances, truth)

        expected = box_precision(path, labels_of(boxes, scores, key))
        assert ours == pytest.approx(expected, abs=1e-6)
        assert 0 < ours < 1


def test_a_box_of_another_class_is_wrong(ann_file):
    (truth, *_) = read_truth(ann_file, 0, dict(square=0, bar=1)).values()

    def precision(label):
        labels = np.full(len(truth), label)
        instances = dict(bboxes=truth.bboxes, scores=np.ones(len(truth)), labels=labels)
        return image_precision(instances, truth)

    assert precision(0) == 1
    assert precision(1) == 0


def test_images_are_compared_one_by_one(ann_file, tmp_path):
    results = {
        name: ImageResults.read(written(ann_file, tmp_path, seed))
        for seed, name in enumerate(('student', 'teacher'))
    }

    # The third has no true box.
    assert results['student'].images == ('000.png', '001.png')
    assert list(results['student'].values) == [AP]
    verdict = compare_models(results)
    assert verdict.images == 2
    assert list(verdict.means['teacher']) == [AP]
    assert 'cannot be told' in verdict_sentence(verdict)


def test_images_that_the_json_lacks_are_refused(ann_file, tmp_path):
    metric = BoxResults(str(tmp_path / 'a.json'), str(ann_file), str(tmp_path))
    metric.dataset_meta = dict(classes=NAMES)

    with pytest.raises(UserError, match=r'x\.png is no image of .*val\.json'):
        metric.process(None, [sample(tmp_path / 'x.png', [], [], [])])
