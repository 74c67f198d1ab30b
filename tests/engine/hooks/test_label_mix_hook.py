from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from mmpose.registry import DATASETS

from mmdistill.config.selection_options import SelectionOptions
from mmdistill.engine.hooks.label_mix_hook import LabelMixHook
from mmdistill.errors import UserError
from mmdistill.selection.counts import UnlabeledCounts, build_labeled, count_labeled
from mmdistill.selection.threshold_matching import select
from tests.helpers.trainings import training


@pytest.fixture
def sources(labeled, store, toy_root, coco_metainfo):
    """The labeled set and the pseudo-labels matched to it."""
    counts = count_labeled(build_labeled(labeled))
    select(store, counts, SelectionOptions()).write(store)
    pseudo = dict(
        type='mmdistill.PseudoLabelDataset',
        store=str(store.root),
        metainfo=coco_metainfo,
    )
    return DATASETS.build(labeled), DATASETS.build(pseudo)


def test_the_figures_go_to_the_visualizer(sources):
    runner = training(*sources)

    LabelMixHook().before_train(runner)

    kept = sources[1].selection.unlabeled.kept
    assert runner.visualizer['count_matching/kept_instances'] == kept
    assert runner.visualizer['mix/pseudo_labels'] == len(sources[1])
    assert runner.visualizer['mix/labeled_share'] == 3 / 5


def test_two_stores_have_their_own_figures(sources, store, coco_metainfo, tmp_path):
    copy = shutil.copytree(store.root, tmp_path / 'more')
    pseudo = dict(type='mmdistill.PseudoLabelDataset', store=str(copy))
    other = DATASETS.build({**pseudo, 'metainfo': coco_metainfo})
    counts = UnlabeledCounts(images=1, failed=0, candidates=2, kept=2)
    other.selection = replace(other.selection, unlabeled=counts)
    runner = training(*sources, other)

    LabelMixHook().before_train(runner)

    kept = sources[1].selection.unlabeled.kept
    assert runner.visualizer['count_matching/labels/kept_instances'] == kept
    assert runner.visualizer['count_matching/more/kept_instances'] == 2
    assert 'count_matching/kept_instances' not in runner.visualizer


def test_a_share_of_pseudo_labels_is_refused(sources):
    runner = training(*sources)
    runner.train_dataloader.batch_sampler.labeled_source = [1]

    with pytest.raises(UserError, match='got 1, which is the pseudo-labels'):
        LabelMixHook().before_train(runner)


def test_training_on_another_labeled_set_is_refused(labeled, sources):
    other = DATASETS.build({**labeled, 'indices': 1})

    with pytest.raises(UserError, match='was matched to a labeled set of'):
        LabelMixHook().before_train(training(other, sources[1]))


def test_pseudo_labels_without_a_labeled_set_are_refused(sources):
    with pytest.raises(UserError, match='needs a labeled set beside'):
        LabelMixHook().before_train(training(sources[1]))


def test_training_without_pseudo_labels_is_left_alone(sources):
    LabelMixHook().before_train(training(sources[0], sources[0]))
