"""Evidence of a store against what is true by construction."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mmdistill.audits.evidence import errors_in_common, gather, join
from mmdistill.errors import UserError
from mmdistill.functional.scoring import AREA_OF_BOX
from tests.audits.conftest import ALL_VISIBLE, SIGMAS


def moved(path, offset):
    """The same json with every keypoint moved to the right."""
    content = json.loads(path.read_text())
    for annotation in content['annotations']:
        keypoints = np.array(annotation['keypoints']).reshape(-1, 3)
        keypoints[:, 0] += offset
        annotation['keypoints'] = keypoints.ravel().tolist()
    path.write_text(json.dumps(content))
    return path


def test_a_perfect_labelling_is_correct_and_has_no_error(perfect):
    evidence = gather(*perfect, SIGMAS, ALL_VISIBLE)
    assert evidence.correct.all()
    assert evidence.counted.all()
    assert evidence.errors.max() == 0
    assert evidence.mean_average_precision() == 1


def test_images_that_failed_and_their_instances_do_not_count(perfect):
    evidence = gather(*perfect, SIGMAS, ALL_VISIBLE)
    assert (evidence.images, evidence.failed, evidence.num_true) == (4, 1, 6)


def test_errors_are_in_units_of_the_instance(perfect):
    store, truth = perfect
    evidence = gather(store, moved(truth, 0.5), SIGMAS, ALL_VISIBLE)

    boxes = store.read().candidates.bboxes
    sizes = np.sqrt(AREA_OF_BOX * (boxes[:, 2:] - boxes[:, :2]).prod(axis=1))
    expected = np.sort(np.repeat(0.5 / sizes, 17))
    assert np.sort(evidence.errors.ravel()) == pytest.approx(expected, rel=1e-4)


def test_candidates_that_could_be_no_label_are_left_out(perfect):
    store, truth = perfect
    best = store.read().candidates.keypoint_scores.max(axis=1)
    keypoint_thr = float(np.sort(best)[2])

    evidence = gather(store, truth, SIGMAS, np.full(17, keypoint_thr))

    assert len(evidence.scores) == 3
    assert (evidence.keypoint_scores.max(axis=1) > keypoint_thr).all()


def test_keypoints_can_have_thresholds_of_their_own(perfect):
    store, truth = perfect
    first = store.read().candidates.keypoint_scores[:, 0]
    keypoint_thrs = np.array([np.median(first), *[np.inf] * 16])

    evidence = gather(store, truth, SIGMAS, keypoint_thrs)

    assert len(evidence.scores) == (first > np.median(first)).sum() == 3


def test_an_ignored_instance_counts_neither_way(perfect):
    store, truth = perfect
    content = json.loads(truth.read_text())
    for annotation in content['annotations']:
        annotation['iscrowd'] = int(annotation['image_id'] == 1)
    truth.write_text(json.dumps(content))

    evidence = gather(store, truth, SIGMAS, ALL_VISIBLE)

    assert evidence.num_true == 4
    assert (~evidence.counted).sum(axis=1).tolist() == [2] * 10
    assert np.isnan(evidence.errors).all(axis=1).sum() == 2


def test_a_set_without_a_readable_image_is_refused(
    tmp_path, make_rows, make_store, perfect
):
    broken = make_store(tmp_path / 'broken', make_rows((None, None)))
    with pytest.raises(UserError, match='none of the 2 audited images'):
        gather(broken, perfect[1], SIGMAS, ALL_VISIBLE)


def test_joined_evidence_is_that_of_all_images(perfect):
    part = gather(*perfect, SIGMAS, ALL_VISIBLE)
    both = join([part, part])
    assert len(both.scores) == 12
    assert both.correct.shape == both.counted.shape == (10, 12)
    assert (both.images, both.failed, both.num_true) == (8, 2, 12)


def test_errors_are_compared_over_the_same_keypoints(perfect):
    store, truth = perfect
    exact = gather(store, truth, SIGMAS, ALL_VISIBLE)
    # Half as many: a candidate of low keypoint scores is in one evidence alone.
    best = np.sort(store.read().candidates.keypoint_scores.max(axis=1))
    off = gather(store, moved(truth, 0.5), SIGMAS, np.full(17, best[2]))

    errors = errors_in_common(dict(off=off, exact=exact), ALL_VISIBLE)

    assert errors == dict(off=pytest.approx(off.errors.mean()), exact=0)


def test_errors_of_nothing_in_common_are_unknown(perfect):
    exact = gather(*perfect, SIGMAS, ALL_VISIBLE)
    none = gather(*perfect, SIGMAS, np.full(17, 2.0))
    errors = errors_in_common(dict(none=none, exact=exact), ALL_VISIBLE)
    assert np.isnan(list(errors.values())).all()
