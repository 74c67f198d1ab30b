"""Evidence of a store against what is true by construction."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mmdistill.audits.candidates import errors_in_common, join, match_candidates
from mmdistill.audits.unlabeled_selection import UnlabeledSelection
from mmdistill.errors import UserError
from mmdistill.functional.scoring import AREA_OF_BOX
from tests.helpers.metainfo import SIGMAS


def moved(path, offset):
    """The same json with every keypoint moved to the right."""
    content = json.loads(path.read_text())
    for annotation in content['annotations']:
        keypoints = np.array(annotation['keypoints']).reshape(-1, 3)
        keypoints[:, 0] += offset
        annotation['keypoints'] = keypoints.ravel().tolist()
    path.write_text(json.dumps(content))
    return path


def test_a_perfect_labeling_is_correct_and_has_no_error(perfect, selection_at):
    matched = match_candidates(*perfect, SIGMAS, selection_at())
    assert matched.correct.all()
    assert matched.counted.all()
    assert matched.errors.max() == 0
    assert matched.mean_average_precision() == 1


def test_images_that_failed_and_their_instances_do_not_count(perfect, selection_at):
    matched = match_candidates(*perfect, SIGMAS, selection_at())
    assert (matched.images, matched.failed, matched.num_true) == (4, 1, 6)


def test_errors_are_in_units_of_the_instance(perfect, selection_at):
    store, truth = perfect
    matched = match_candidates(store, moved(truth, 0.5), SIGMAS, selection_at())

    boxes = store.read().candidates.bboxes
    sizes = np.sqrt(AREA_OF_BOX * (boxes[:, 2:] - boxes[:, :2]).prod(axis=1))
    expected = np.sort(np.repeat(0.5 / sizes, 17))
    assert np.sort(matched.errors.ravel()) == pytest.approx(expected, rel=1e-4)


def test_candidates_that_could_be_no_label_are_left_out(perfect, selection_at):
    store, truth = perfect
    best = store.read().candidates.keypoint_scores.max(axis=1)
    keypoint_thr = float(np.sort(best)[2])

    matched = match_candidates(store, truth, SIGMAS, selection_at(0, keypoint_thr))

    assert len(matched.scores) == 3
    assert (matched.keypoint_scores.max(axis=1) > keypoint_thr).all()


def test_keypoints_can_have_thresholds_of_their_own(perfect, selection_at):
    store, truth = perfect
    first = store.read().candidates.keypoint_scores[:, 0]
    keypoint_thrs = np.array([np.median(first), *[np.inf] * 16])

    matched = match_candidates(store, truth, SIGMAS, selection_at(0, keypoint_thrs))

    assert len(matched.scores) == (first > np.median(first)).sum() == 3


def test_an_ignored_instance_counts_neither_way(perfect, selection_at):
    store, truth = perfect
    content = json.loads(truth.read_text())
    for annotation in content['annotations']:
        annotation['iscrowd'] = int(annotation['image_id'] == 1)
    truth.write_text(json.dumps(content))

    matched = match_candidates(store, truth, SIGMAS, selection_at())

    assert matched.num_true == 4
    assert (~matched.counted).sum(axis=1).tolist() == [2] * 10
    assert np.isnan(matched.errors).all(axis=1).sum() == 2


def test_a_set_without_a_readable_image_is_refused(
    tmp_path, make_rows, make_store, perfect, selection_at
):
    broken = make_store(tmp_path / 'broken', make_rows((None, None)))
    with pytest.raises(UserError, match='none of the 2 audited images'):
        match_candidates(broken, perfect[1], SIGMAS, selection_at())


def test_joined_evidence_is_that_of_all_images(perfect, selection_at):
    part = match_candidates(*perfect, SIGMAS, selection_at())
    both = join([part, part])
    assert len(both.scores) == 12
    assert both.correct.shape == both.counted.shape == (10, 12)
    assert (both.images, both.failed, both.num_true) == (8, 2, 12)


def test_errors_are_compared_over_the_same_keypoints(perfect, selection_at):
    store, truth = perfect
    exact = match_candidates(store, truth, SIGMAS, selection_at())
    # Half as many: a candidate of low keypoint scores is in one matched alone.
    best = np.sort(store.read().candidates.keypoint_scores.max(axis=1))
    off = match_candidates(store, moved(truth, 0.5), SIGMAS, selection_at(0, best[2]))

    errors = errors_in_common(dict(off=off, exact=exact), selection_at().selection)

    assert errors == dict(off=pytest.approx(off.errors.mean()), exact=0)


def test_errors_of_nothing_in_common_are_unknown(perfect, selection_at):
    exact = match_candidates(*perfect, SIGMAS, selection_at())
    none = match_candidates(*perfect, SIGMAS, selection_at(0, 2.0))
    errors = errors_in_common(dict(none=none, exact=exact), selection_at().selection)
    assert np.isnan(list(errors.values())).all()


def of_categories(path, *categories):
    """The same json with the categories of its annotations in turn."""
    content = json.loads(path.read_text())
    for number, annotation in enumerate(content['annotations']):
        annotation['category_id'] = categories[number % len(categories)]
    path.write_text(json.dumps(content))
    return path


def test_an_instance_of_another_category_is_not_matched(perfect, selection_at):
    store, truth = perfect
    found = store.read().candidates.category_ids
    other = of_categories(truth, *[each % 3 + 1 for each in found.tolist()])

    matched = match_candidates(store, other, SIGMAS, selection_at())

    assert len(np.unique(found)) > 1
    assert not matched.correct.any()
    assert np.isnan(matched.errors).all()


def test_each_category_finds_its_own(perfect, selection_at):
    store, truth = perfect
    found = store.read().candidates.category_ids.tolist()
    matched = match_candidates(
        store, of_categories(truth, *found), SIGMAS, selection_at()
    )
    assert matched.correct.all()
    assert (
        sorted(matched.true_categories) == sorted(matched.categories) == sorted(found)
    )


@pytest.mark.parametrize('one_category', [7, 1])
def test_one_category_alone_is_every_candidate_s(perfect, selection_at, one_category):
    store, truth = perfect
    matched = match_candidates(
        store, of_categories(truth, one_category), SIGMAS, selection_at()
    )
    assert matched.correct.all()
    assert not matched.categories.any()


def test_together_categories_do_not_matter(perfect, selection_at):
    store, truth = perfect
    selection = selection_at().selection
    options = replace(selection.options, categories='together')
    rules = UnlabeledSelection(replace(selection, options=options))
    assert match_candidates(
        store, of_categories(truth, 7, 8), SIGMAS, rules
    ).correct.all()


def test_ap_is_the_mean_over_the_categories(perfect, selection_at):
    matched = match_candidates(*perfect, SIGMAS, selection_at())
    # Three instances of category 1 are found, of category 2 one of three is.
    categories = np.array([1, 1, 1, 2, 2, 2])
    correct = np.tile([True, True, True, True, False, False], (10, 1))
    matched = replace(
        matched,
        scores=np.linspace(0.9, 0.4, 6),
        categories=categories,
        true_categories=categories,
        correct=correct,
    )
    found = np.linspace(0, 1, 101) <= 1 / 3
    assert matched.mean_average_precision() == pytest.approx((1 + found.mean()) / 2)
