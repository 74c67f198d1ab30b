from __future__ import annotations

import multiprocessing
import os
import shutil
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch.distributed
from mmengine.logging import MessageHub

from mmdistill.cli.main import run
from mmdistill.engine.hooks.count_matching_hook import CountMatchingHook
from mmdistill.errors import UserError
from mmdistill.selection.counts import UnlabeledCounts
from mmdistill.selection.selection import read_selection


@pytest.fixture
def labeled(toy_root, coco_metainfo) -> dict:
    """Config of the toy data set's labeled part."""
    return dict(
        type='mmpose.CocoDataset',
        metainfo=coco_metainfo,
        data_root=str(toy_root),
        ann_file='annotations/labeled.json',
        pipeline=[],
    )


@pytest.fixture
def store(tmp_path, make_store, make_rows):
    """Six images with three candidates each."""
    return make_store(tmp_path / 'labels', make_rows([3] * 6))


class Figures(dict):
    """Takes the place of MMEngine's visualizer."""

    def add_scalars(self, scalars: dict) -> None:
        self.update(scalars)


def labeling(store) -> SimpleNamespace:
    loop = SimpleNamespace(store=store)
    return SimpleNamespace(test_loop=loop, visualizer=Figures())


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
    monkeypatch.setattr('mmdistill.cli.main.SECONDS_TO_SPEAK', 0)
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


def test_both_stages_give_their_figures_to_the_visualizer(labeled, store, sources):
    runner = labeling(store)
    hook = CountMatchingHook(labeled)
    hook.before_test(runner)
    hook.after_test(runner)
    kept = read_selection(store).unlabeled.kept
    assert runner.visualizer['count_matching/kept_instances'] == kept

    runner = training(*sources)
    CountMatchingHook().before_train(runner)
    assert runner.visualizer['count_matching/kept_instances'] == kept
    assert runner.visualizer['mix/pseudo_labels'] == len(sources[1])
    assert runner.visualizer['mix/labeled_share'] == 3 / 5


def test_two_stores_have_their_own_figures(sources, store, coco_metainfo, tmp_path):
    from mmpose.registry import DATASETS

    copy = shutil.copytree(store.root, tmp_path / 'more')
    pseudo = dict(type='mmdistill.PseudoLabelDataset', store=str(copy))
    other = DATASETS.build({**pseudo, 'metainfo': coco_metainfo})
    counts = UnlabeledCounts(images=1, failed=0, candidates=2, kept=2)
    other.selection = replace(other.selection, unlabeled=counts)
    runner = training(*sources, other)

    CountMatchingHook().before_train(runner)

    kept = sources[1].selection.unlabeled.kept
    assert runner.visualizer['count_matching/labels/kept_instances'] == kept
    assert runner.visualizer['count_matching/more/kept_instances'] == 2
    assert 'count_matching/kept_instances' not in runner.visualizer


def test_a_share_of_pseudo_labels_is_refused(sources):
    runner = training(*sources)
    runner.train_dataloader.batch_sampler.labeled_source = [1]

    with pytest.raises(UserError, match='got 1, which is the pseudo-labels'):
        CountMatchingHook().before_train(runner)


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


def training(*sources) -> SimpleNamespace:
    dataset = SimpleNamespace(datasets=list(sources))
    batches = SimpleNamespace(num_labeled=3, batch_size=5, world_size=1)
    loader = SimpleNamespace(dataset=dataset, batch_sampler=batches)
    return SimpleNamespace(
        train_dataloader=loader,
        visualizer=Figures(),
        message_hub=MessageHub('train'),
        max_iters=9,
    )


@pytest.fixture
def sources(labeled, store, toy_root, coco_metainfo):
    """The labeled set and the pseudo-labels matched to it."""
    from mmpose.registry import DATASETS

    matched(labeled, store)
    pseudo = dict(
        type='mmdistill.PseudoLabelDataset',
        store=str(store.root),
        metainfo=coco_metainfo,
    )
    return DATASETS.build(labeled), DATASETS.build(pseudo)


def test_training_on_another_labeled_set_is_refused(labeled, sources):
    from mmpose.registry import DATASETS

    other = DATASETS.build({**labeled, 'indices': 1})

    with pytest.raises(UserError, match='was matched to a labeled set of'):
        CountMatchingHook().before_train(training(other, sources[1]))


def test_pseudo_labels_without_a_labeled_set_are_refused(sources):
    with pytest.raises(UserError, match='needs a labeled set beside'):
        CountMatchingHook().before_train(training(sources[1]))


def test_training_without_pseudo_labels_is_left_alone(sources):
    CountMatchingHook().before_train(training(sources[0], sources[0]))
