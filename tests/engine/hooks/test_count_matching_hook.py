from __future__ import annotations

import multiprocessing
import os
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch.distributed

from mmdistill.cli.main import run
from mmdistill.engine.hooks.count_matching_hook import CountMatchingHook
from mmdistill.engine.loops.label_loop import LabelLoop
from mmdistill.errors import UserError
from mmdistill.selection.selection import read_selection
from tests.helpers.pseudo import Pseudo
from tests.helpers.trainings import Figures, training


class FinishedLoop(LabelLoop):
    """A loop whose store is complete."""

    def __init__(self, store) -> None:
        self.store = store


def labeling(store) -> SimpleNamespace:
    return SimpleNamespace(test_loop=FinishedLoop(store), visualizer=Figures())


def matched(labeled, store, **settings):
    hook = CountMatchingHook(labeled, **settings)
    hook.before_test(labeling(store))
    hook.after_test(labeling(store))
    return read_selection(store)


@pytest.mark.parametrize('over', ['all', 'annotated'])
def test_the_means_of_both_sets_agree(labeled, store, over):
    selection = matched(labeled, store, labeled_images=over)

    target = min(selection.labeled.mean(over) * 6, 18)
    assert abs(selection.unlabeled.kept - target) <= 0.5


def test_the_hook_s_settings_reach_the_selection(labeled, store):
    selection = matched(labeled, store, labeled_images='annotated', keypoint_thr=0.4)

    assert (selection.options.labeled_images, selection.keypoint_thrs) == (
        'annotated',
        (0.4,) * 17,
    )


def test_a_selection_stays_while_nothing_changes(labeled, store):
    first = matched(labeled, store, labeled_images='annotated')
    content = (store.root / 'selection.json').read_bytes()

    assert matched(labeled, store, labeled_images='annotated') == first
    assert (store.root / 'selection.json').read_bytes() == content


@pytest.mark.parametrize(
    'changed',
    [dict(labeled_images='annotated'), dict(keypoint_thr='count'), dict(min_thr=0.9)],
)
def test_counts_are_matched_again_when_the_config_changed(labeled, store, changed):
    matched(labeled, store)

    again = matched(labeled, store, **changed)

    (store.root / 'selection.json').unlink()
    assert again == matched(labeled, store, **changed)


def test_counts_are_matched_again_to_another_labeled_set(labeled, store):
    matched(labeled, store)
    fewer = {**labeled, 'indices': 3}

    again = matched(fewer, store)

    (store.root / 'selection.json').unlink()
    assert again == matched(fewer, store)


def test_what_select_labels_was_given_holds_when_the_config_changed(labeled, store):
    by_command = replace(
        matched(labeled, store), changes=dict(labeled_images='annotated')
    )
    by_command.write(store)

    again = matched(labeled, store, keypoint_thr=0.4)

    assert (again.options.labeled_images, again.options.keypoint_thr) == (
        'annotated',
        0.4,
    )
    assert again.changes == dict(labeled_images='annotated')


def select_as(rank, root, hook, runner):
    """A process of a launch in which the first one refuses."""
    os.environ['RANK'] = str(rank)
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{root}/meeting', rank=rank, world_size=2
    )
    sys.stderr = (root / f'errors{rank}').open('w')
    sys.exit(run(lambda argv: hook.after_test(runner)))


def test_what_stops_the_first_process_stops_the_others_in_silence(
    labeled, store, tmp_path, monkeypatch
):
    monkeypatch.setattr('mmdistill.cli.main.SECONDS_BEFORE_EXIT', 0)
    hook = CountMatchingHook(labeled, score_thr=2)
    hook.before_test(labeling(store))
    arguments = (tmp_path, hook, labeling(store))
    fork = multiprocessing.get_context('fork')
    ranks = [fork.Process(target=select_as, args=(i, *arguments)) for i in (0, 1)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(60)

    assert [process.exitcode for process in ranks] == [2, 2]
    told = [(tmp_path / f'errors{rank}').read_text() for rank in (0, 1)]
    assert told[0].startswith('error: nothing of the label store')
    assert told[1] == ''


def test_wrong_options_are_refused_at_once():
    with pytest.raises(UserError, match=r"labeled_images must be .*, got 'some'"):
        CountMatchingHook(labeled_images='some')


@pytest.fixture
def extended(store, make_unlabeled, make_rows):
    """Let three more images with four candidates each join the store."""

    def extend():
        paths = [*store.paths(), 'x.png', 'y.png', 'z.png']
        store.claim(store.manifest, make_unlabeled(paths))
        for chunk in store.missing_chunks():
            store.write_chunk(chunk, make_rows([4] * len(store.chunk_spans()[chunk])))

    return extend


def test_counts_are_matched_again_when_the_store_grew(labeled, store, extended):
    first = matched(labeled, store)
    extended()

    second = matched(labeled, store)

    assert (first.unlabeled.images, second.unlabeled.images) == (6, 9)
    assert (first.unlabeled.candidates, second.unlabeled.candidates) == (18, 30)


def test_a_score_set_by_hand_is_counted_again_when_the_store_grew(
    labeled, store, extended, make_selection
):
    make_selection(0.7).write(store)
    extended()

    selection = matched(labeled, store)

    scores = store.read().candidates.instance_scores
    assert (selection.rule, selection.score_thrs) == ('score', [0.7])
    assert selection.unlabeled.kept == (scores >= np.float32(0.7)).sum()


def test_labeling_needs_a_labeled_set(store):
    with pytest.raises(UserError, match='needs the labeled data set'):
        CountMatchingHook().before_test(labeling(store))


def test_an_ordinary_test_run_is_left_alone():
    runner = SimpleNamespace(test_loop=SimpleNamespace())
    hook = CountMatchingHook()

    hook.before_test(runner)
    hook.after_test(runner)


def test_the_figures_go_to_the_visualizer(labeled, store):
    runner = labeling(store)
    hook = CountMatchingHook(labeled)
    hook.before_test(runner)
    hook.after_test(runner)

    kept = read_selection(store).unlabeled.kept
    assert runner.visualizer['count_matching/kept_instances'] == kept


def test_a_training_that_names_it_is_told_the_hook_of_today(make_selection):
    runner = training(range(3), Pseudo(7, 80, make_selection(0.5)))

    with pytest.raises(UserError, match=r'mmdistill\.LabelMixHook.*, got Count'):
        CountMatchingHook().before_train(runner)


def test_a_training_without_pseudo_labels_is_left_alone():
    CountMatchingHook().before_train(training(range(3), range(4)))
