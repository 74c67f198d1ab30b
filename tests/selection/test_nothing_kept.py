"""The advice of sentences about selections: following it resolves the situation."""

from __future__ import annotations

import argparse
import re
import shlex
from dataclasses import replace

import numpy as np
import pytest

from mmdistill.cli.arguments import add_selection_arguments, changed_options
from mmdistill.config.selection_options import SelectionOptions
from mmdistill.datasets import PseudoLabelDataset
from mmdistill.errors import UserError
from mmdistill.functional.scoring import instance_scores
from mmdistill.selection.counts import LabeledCounts
from mmdistill.selection.threshold_matching import select
from mmdistill.store import LabelStore
from tests.helpers.labeling import Teacher

SPREAD = np.linspace(0.4, 1, 17, dtype=np.float32)
LABELED = LabeledCounts(4, 4, 8, 'abc', ((1, 8),), (8,) * 17)
FEW = LabeledCounts(1000, 1, 1, 'abc', ((1, 1),), (1,) * 17)
BARE = LabeledCounts(4, 4, 8, 'abc', ((1, 8),), (0,) * 17)
OTHERS = LabeledCounts(4, 4, 8, 'abc', ((7, 4), (8, 4)), (8,) * 17)

SITUATIONS = {
    'a threshold by hand above all scores': (0.9, LABELED, dict(score_thr=2.0)),
    'the same, by agreement': (
        0.9,
        LABELED,
        dict(score_thr=2.0, criterion='agreement'),
    ),
    'the same, by ranks': (0.9, LABELED, dict(score_thr=2.0, criterion='both')),
    'no keypoint above 0.2': (0.1, LABELED, {}),
    'no keypoint above 0.2, and a threshold': (0.1, LABELED, dict(score_thr=0.5)),
    'no keypoint above 0.2, few labels': (0.05, FEW, {}),
    'no keypoint above 0.2, by ranks': (0.1, LABELED, dict(criterion='both')),
    'no keypoint above 0.2, matched': (0.1, LABELED, dict(keypoint_thr='count')),
    'scores below 0': (-0.5, LABELED, {}),
    'a keypoint threshold above all': (0.9, LABELED, dict(keypoint_thr=1.5)),
    'too few labels to keep one': (0.9, FEW, {}),
    'a floor above all scores': (0.9, LABELED, dict(min_thr=5.0)),
    'labels without keypoints': (0.9, BARE, dict(keypoint_thr='count')),
    'the same, by type': (0.9, BARE, dict(keypoint_thr='count_per_type')),
    'other categories': (0.9, OTHERS, dict(categories='each')),
}


@pytest.fixture
def store_of(tmp_path, make_rows, make_store):
    """Write a store whose best keypoint score is given."""

    def write(best: float) -> LabelStore:
        rows = make_rows((2, 0, None, 3))
        for number, row in enumerate(rows):
            found = row.candidates
            scores = np.tile(
                best / SPREAD if best < 0 else best * SPREAD, (len(found), 1)
            )
            scores = (scores * (1 - number / 100)).astype(np.float32)
            changed = replace(
                found,
                keypoint_scores=scores,
                instance_scores=instance_scores(found.bbox_scores, scores),
                category_ids=np.ones_like(found.category_ids),
            )
            rows[number] = replace(row, candidates=changed)
        return make_store(tmp_path / 'store', rows)

    return write


def changes_in(sentence: str) -> dict[str, float]:
    """What the command line that a sentence advises states."""
    (words,) = re.findall(r'tools/select_labels\.py (--.*)$', sentence)
    flags = shlex.split(words)
    names = [flag.removeprefix('--').replace('-', '_') for flag in flags[::2]]
    return dict(zip(names, map(float, flags[1::2]), strict=True))


@pytest.mark.parametrize('situation', SITUATIONS)
def test_what_a_sentence_advises_keeps_something(store_of, situation):
    best, labeled, options = SITUATIONS[situation]
    store = store_of(best)
    with pytest.raises(UserError, match='would be kept') as caught:
        select(store, labeled, SelectionOptions(**options))
    changes = changes_in(str(caught.value))
    kept = select(store, labeled, SelectionOptions(**{**options, **changes}))
    assert kept.unlabeled.kept > 0


@pytest.mark.parametrize('rule', ['count', 'count_per_type'])
def test_keypoints_that_cannot_be_compared_have_a_number(store_of, rule):
    store, few = store_of(0.9), replace(LABELED, keypoints=(8, 8))
    with pytest.raises(UserError, match='which must be the same') as caught:
        select(store, few, SelectionOptions(keypoint_thr=rule))
    (words,) = re.findall(r'; set a number, as (--.+)$', str(caught.value))
    parser = argparse.ArgumentParser()
    add_selection_arguments(parser)
    changed = changed_options(parser.parse_args(shlex.split(words)))

    selection = select(store, few, SelectionOptions(**changed))

    assert selection.unlabeled.kept > 0


def test_where_nothing_is_known_no_threshold_is_advised(store_of):
    with pytest.raises(UserError, match='boxes: no threshold keeps one'):
        select(store_of(0.0), LABELED, SelectionOptions())


class Unsure(Teacher):
    """A teacher none of whose keypoints scores above 0.2."""

    def test_step(self, batch: dict) -> list:
        samples = super().test_step(batch)
        for sample in samples:
            sample.pred_instances.keypoint_scores[:] = 0.125
        return samples


def test_candidates_that_were_not_stored_are_after_what_is_advised(label):
    _, store = label(teacher=Unsure())
    with pytest.raises(UserError, match='0 candidates on 7 images') as caught:
        select(store, LABELED, SelectionOptions())
    sentence = str(caught.value)
    assert 'distill.labeling.score_floor (0.01)' in sentence
    (floor,) = re.findall(r'distill\.labeling\.score_floor=(\S+)', sentence)

    _, store = label('another', Unsure(), score_floor=float(floor))
    with pytest.raises(UserError, match='0 of them with a keypoint') as caught:
        select(store, LABELED, SelectionOptions())
    changes = changes_in(str(caught.value))
    assert select(store, LABELED, SelectionOptions(**changes)).unlabeled.kept > 0


def test_a_data_set_that_states_the_threshold_itself_is_refused(
    store_of, coco_metainfo
):
    store = store_of(0.9)
    select(store, LABELED, SelectionOptions()).write(store)
    for stated in (dict(score_thr=3.0), dict(keypoint_thr=2.0)):
        ((name, value),) = stated.items()
        with pytest.raises(UserError, match=f'itself states {name}={value}'):
            PseudoLabelDataset(str(store.root), coco_metainfo, **stated)
    assert len(PseudoLabelDataset(str(store.root), coco_metainfo))
