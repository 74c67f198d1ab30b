from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from mmdistill.engine import CountMatchingHook
from mmdistill.errors import UserError
from mmdistill.labels.selection import read_selection


@pytest.fixture
def labeled(toy_root, coco_metainfo) -> dict:
    """Config of the toy data set's labelled part."""
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


def labelling(store) -> SimpleNamespace:
    return SimpleNamespace(test_loop=SimpleNamespace(store=store))


def matched(labeled, store, **settings):
    hook = CountMatchingHook(labeled, **settings)
    hook.before_test(labelling(store))
    hook.after_test(labelling(store))
    return read_selection(store)


@pytest.mark.parametrize('over', ['all', 'annotated'])
def test_the_means_of_both_sets_agree(labeled, store, over):
    selection = matched(labeled, store, over=over)

    target = min(selection.labeled.mean(over) * 6, 18)
    assert abs(selection.unlabeled.kept - target) <= 0.5


def test_the_hook_s_settings_reach_the_selection(labeled, store):
    selection = matched(labeled, store, over='annotated', keypoint_thr=0.4)

    assert (selection.over, selection.keypoint_thr) == ('annotated', 0.4)


def test_a_selection_set_by_hand_stays(labeled, store, make_selection):
    make_selection(0.7).write(store)

    assert matched(labeled, store) == make_selection(0.7)


def test_a_selection_stays_while_the_store_does(labeled, store):
    first = matched(labeled, store, over='all')
    hook = CountMatchingHook(labeled, over='annotated')
    hook.before_test(labelling(store))

    hook.after_test(labelling(store))

    assert read_selection(store) == first


@pytest.mark.parametrize(
    ('settings', 'sentence'),
    [
        (dict(over='some'), "over must be one of .*, got 'some'"),
        (dict(keypoint_thr=float('nan')), 'keypoint_thr must be a number, got nan'),
        (dict(keypoint_thr='a'), "keypoint_thr must be a number, got 'a'"),
    ],
)
def test_wrong_settings_are_refused(settings, sentence):
    with pytest.raises(UserError, match=sentence):
        CountMatchingHook(**settings)


def test_a_share_of_pseudo_labels_is_refused(sources):
    runner = training(*sources)
    runner.train_dataloader.batch_sampler.labeled_source = 1

    with pytest.raises(UserError, match='got 1, which is the pseudo-labels'):
        CountMatchingHook().before_train(runner)


@pytest.fixture
def extended(store, make_pile, make_rows):
    """Let three more images with four candidates each join the store."""

    def extend():
        paths = [*store.paths(), 'x.png', 'y.png', 'z.png']
        store.claim(store.manifest, make_pile(paths))
        for chunk in store.missing_chunks():
            store.write_chunk(chunk, make_rows([4] * len(store.places()[chunk])))

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
    assert (selection.rule, selection.score_thr) == ('score', 0.7)
    assert selection.unlabeled.kept == (scores >= np.float32(0.7)).sum()


def test_labelling_needs_a_labelled_set(store):
    with pytest.raises(UserError, match='needs the labelled data set'):
        CountMatchingHook().before_test(labelling(store))


def test_an_ordinary_test_run_is_left_alone():
    runner = SimpleNamespace(test_loop=SimpleNamespace())
    hook = CountMatchingHook()

    hook.before_test(runner)
    hook.after_test(runner)


def training(*sources) -> SimpleNamespace:
    dataset = SimpleNamespace(datasets=list(sources))
    batches = SimpleNamespace(num_labeled=3, batch_size=5)
    loader = SimpleNamespace(dataset=dataset, batch_sampler=batches)
    return SimpleNamespace(train_dataloader=loader)


@pytest.fixture
def sources(labeled, store, toy_root, coco_metainfo):
    """The labelled set and the pseudo-labels matched to it."""
    from mmpose.registry import DATASETS

    matched(labeled, store)
    pseudo = dict(
        type='mmdistill.PseudoLabelDataset',
        labels=str(store.root),
        metainfo=coco_metainfo,
    )
    return DATASETS.build(labeled), DATASETS.build(pseudo)


def test_training_on_the_matched_set_goes_on_and_tells_the_mix(sources, monkeypatch):
    told = []
    monkeypatch.setattr(
        'mmdistill.engine.count_matching_hook.print_log',
        lambda text, **options: told.append(text),
    )

    CountMatchingHook().before_train(training(*sources))

    assert f'sees {len(sources[0])} labelled instances and {len(sources[1])}' in told[0]
    assert '3 of 5 in a batch are labelled' in told[0]


def test_training_on_another_labelled_set_is_refused(labeled, sources):
    from mmpose.registry import DATASETS

    other = DATASETS.build({**labeled, 'indices': 1})

    with pytest.raises(UserError, match='was matched to a labelled set of'):
        CountMatchingHook().before_train(training(other, sources[1]))


def test_the_matched_set_may_be_one_of_several(labeled, sources):
    from mmpose.registry import DATASETS

    other = DATASETS.build({**labeled, 'indices': 1})

    CountMatchingHook().before_train(training(other, *sources))


def test_training_on_other_labelled_sets_alone_is_refused(labeled, sources):
    from mmpose.registry import DATASETS

    one, two = (DATASETS.build({**labeled, 'indices': n}) for n in (1, 2))

    with pytest.raises(UserError, match=r'another one of .* and '):
        CountMatchingHook().before_train(training(one, two, sources[1]))


def test_pseudo_labels_without_a_labelled_set_are_refused(sources):
    with pytest.raises(UserError, match='needs a labelled set beside'):
        CountMatchingHook().before_train(training(sources[1]))


def test_training_without_pseudo_labels_is_left_alone(sources):
    CountMatchingHook().before_train(training(sources[0], sources[0]))
