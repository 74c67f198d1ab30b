"""What is checked before the student's first step."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from mmpose.datasets import CocoDataset

from mmdistill.engine.hooks.label_mix_hook import check_labeled, check_pseudo
from mmdistill.errors import UserError
from mmdistill.selection.counts import count_labeled
from tests.helpers.pseudo import Pseudo

CHANCE = SimpleNamespace()


@pytest.fixture(scope='module')
def labeled(toy_root):
    """Labeled sets of all, one and two instances of the toy images."""

    def build(indices):
        meta = dict(from_file='configs/_base_/datasets/coco.py')
        return CocoDataset(
            'annotations/labeled.json',
            metainfo=meta,
            data_root=str(toy_root),
            indices=indices,
        )

    return [build(indices) for indices in (None, 1, 2)]


@pytest.fixture
def pseudo(labeled, make_selection, tmp_path):
    """Pseudo-labels that were matched to the first set."""

    def make(count=7, keypoints=80, labeled_set=labeled[0]):
        selection = replace(make_selection(0.5), labeled=count_labeled(labeled_set))
        images = round(7 / selection.labeled.mean('all'))
        unlabeled = replace(selection.unlabeled, images=images)
        return Pseudo(count, keypoints, replace(selection, unlabeled=unlabeled))

    return make


def test_an_empty_selection_is_refused(pseudo):
    with pytest.raises(UserError, match=r'of store is empty.*tools/select_labels'):
        check_pseudo(pseudo(count=0))


def test_labels_without_a_visible_keypoint_are_refused(pseudo):
    with pytest.raises(UserError, match=r'the 7 .* carry no visible keypoint.*--keyp'):
        check_pseudo(pseudo(keypoints=0))


def test_numbers_far_off_the_aim_are_told(pseudo, logged):
    aim = pseudo().selection.aim
    for count in range(1, round(aim * 5)):
        logged.clear()
        check_pseudo(pseudo(count=count))
        assert bool(logged) == (count < aim / 3 or count > aim * 3)


def test_another_labeled_set_is_refused(pseudo, labeled):
    with pytest.raises(UserError, match=r'another one of 1 on 6; select anew'):
        check_labeled(labeled[1:2], [pseudo()])


def test_other_labeled_sets_are_refused(pseudo, labeled):
    with pytest.raises(UserError, match=r'another one of 1 on 6 and 2 on 6'):
        check_labeled(labeled[1:], [pseudo()])


def test_the_matched_set_alone_is_not_talked_about(pseudo, labeled, logged):
    check_labeled(labeled[:1], [pseudo()])
    assert logged == []


def test_labeled_sets_that_were_not_counted_are_told(pseudo, labeled, logged):
    check_labeled(labeled[:2], [pseudo()])
    assert 'one of 2 labeled sets; it does not count the others: 1 on 6' in logged[0]


def test_every_selection_is_checked(pseudo, labeled):
    with pytest.raises(UserError, match='was matched to a labeled set of 2 instances'):
        check_labeled(labeled[:2], [pseudo(), pseudo(labeled_set=labeled[2])])


def test_a_set_that_cannot_be_counted_is_told(pseudo, labeled, logged):
    check_labeled([labeled[1], CHANCE], [pseudo()])
    assert 'of those that cannot be counted was not checked' in logged[0]


def test_no_labeled_set_is_refused(pseudo):
    with pytest.raises(UserError, match='needs a labeled set beside'):
        check_labeled([], [pseudo()])
