"""What labels can be worth, of candidates whose errors are known."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from mmdistill.audits.audited_set import AuditedSet
from mmdistill.audits.candidates import (
    MatchedCandidates,
    match_candidates,
    pair_errors,
)
from mmdistill.audits.worth_run import _Sample, _worth
from mmdistill.config.recipe import Recipe
from mmdistill.store import LabelStore
from tests.helpers.named_images import NamedImages

COUNTS = (2, 0, None, 3, 1)
"""Candidates of the images of `perfect`."""
SIGMAS = np.full(17, 0.5)
"""So wide that every candidate is near its own instance."""


def moved(truth: Path, name: str, distances: dict[str, float]) -> Path:
    """The json with all keypoints of an image moved along x, by pixels."""
    content = json.loads(truth.read_text())
    files = {image['id']: image['file_name'] for image in content['images']}
    for annotation in content['annotations']:
        distance = distances[files[annotation['image_id']]]
        points = np.array(annotation['keypoints'], float)
        points[0::3] += distance
        annotation.update(keypoints=points.tolist(), area=100.0)
    path = truth.with_name(f'{name}.json')
    path.write_text(json.dumps(content))
    return path


IMAGES = ('000.png', '001.png', '002.png', '003.png', '004.png')
"""Of these, 001 has no candidate and 002 could not be read."""
BEFORE = dict(zip(IMAGES, (1.0, 9.0, 9.0, 2.0, 0.5), strict=True))
FLIP = dict(zip(IMAGES, (0.75, 9.0, 9.0, 2.0, 0.25), strict=True))
AFTER = dict(zip(IMAGES, (0.5, 9.0, 9.0, 2.0, 0.25), strict=True))


@pytest.fixture
def matched(perfect, selection_at):
    """Candidates in three views, each off by a distance of its own on each image."""
    store, truth = perfect
    views = {'single view': BEFORE, 'flip': FLIP, 'fused': AFTER}
    return {
        name: match_candidates(
            store, moved(truth, name, distances), SIGMAS, selection_at()
        )
        for name, distances in views.items()
    }


def test_pairs_know_their_images(matched, selection_at):
    errors = pair_errors(matched, selection_at().selection)
    for name, distances in (('single view', BEFORE), ('fused', AFTER)):
        for path, row in zip(errors.paths, errors.by_view[name], strict=True):
            # Of an instance whose area is 100.
            assert row == pytest.approx(np.full(17, distances[path] / 10))
    assert Counter(errors.paths.tolist()) == {'000.png': 2, '003.png': 3, '004.png': 1}


def test_boxes_that_are_fitted_in_each_view_do_not_part_its_pairs(
    tmp_path, perfect, selection_at, make_rows, coco_names
):
    """Around the poses of one view they are others than around those of two."""
    _, truth = perfect

    def match_moved(name: str, manifest: dict, pixels: float) -> MatchedCandidates:
        rows = [
            replace(
                row,
                candidates=replace(
                    row.candidates, bboxes=row.candidates.bboxes + np.float32(pixels)
                ),
            )
            for row in make_rows(COUNTS)
        ]
        store = LabelStore(tmp_path / name)
        about = dict(about=dict(img_root='images'), keypoints=coco_names, chunk_size=9)
        store.claim(about | manifest, NamedImages([row.path for row in rows]))
        store.write_chunk(0, rows)
        return match_candidates(store, truth, SIGMAS, selection_at())

    for manifest, pairs in ((dict(), 0), (dict(views=dict(box_fit={})), 6)):
        views = {
            name: match_moved(f'{name} {pairs}', manifest, pixels)
            for name, pixels in (('single view', 3), ('fused', 0))
        }
        assert len(pair_errors(views, selection_at().selection).paths) == pairs


def test_errors_gains_and_counts_are_those_of_the_pairs(matched, selection_at):
    section = dict(teacher={}, unlabeled={}, store='labels')
    sample = _Sample(
        audited=AuditedSet(Path(__file__), Path('images')),
        ann_file='val.json',
        listed=9,
        trained_on=3,
        made_by='abc',
        known=None,
    )

    worth = _worth(
        Recipe.of(Config(dict(distill=section))), sample, 'b', matched, selection_at()
    )

    # Two, three and one instance of 17 keypoints, in images with a size of 10.
    before = np.array([2 * 1.0, 3 * 2.0, 0.5]) * 17 / 10
    after = np.array([2 * 0.5, 3 * 2.0, 0.25]) * 17 / 10
    flip = np.array([2 * 0.75, 3 * 2.0, 0.25]) * 17 / 10
    assert (worth.keypoints, worth.images) == (6 * 17, 4)
    assert worth.errors['single view'] == pytest.approx(before.sum() / 102)
    assert worth.errors['fused'] == pytest.approx(after.sum() / 102)
    assert worth.gain.share == pytest.approx(1 - after.sum() / before.sum())
    assert worth.gain_over_flip.share == pytest.approx(1 - after.sum() / flip.sum())
    residuals = after - after.sum() / before.sum() * before
    standard_error = np.sqrt(3 / 2 * (residuals**2).sum()) / before.sum()
    assert worth.gain.standard_error == pytest.approx(standard_error)
    for name, candidates in matched.items():
        assert worth.precision[name] == candidates.mean_average_precision()
    assert (worth.listed, worth.trained_on, worth.teachers) == (9, 3, 1)
