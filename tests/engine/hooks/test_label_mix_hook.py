from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.logging import MessageHub
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


HEADS = {'MSELoss': 2, 'L1Loss': 1}


def weighted(sources, coco_metainfo, **settings):
    """The pseudo-labels with weights."""
    pseudo = dict(
        type='mmdistill.PseudoLabelDataset',
        store=str(sources[1].store.root),
        metainfo=coco_metainfo,
        **settings,
    )
    return DATASETS.build(pseudo)


def head_of(loss):
    loss = dict(type=loss, use_target_weight=True)
    return Config(dict(model=dict(head=dict(type='RegressionHead', loss=loss))))


@pytest.mark.parametrize('loss', HEADS)
def test_weights_of_another_power_are_refused(sources, coco_metainfo, loss):
    stated = dict(weights=dict(criterion='score'), loss_power=3 - HEADS[loss])
    runner = training(sources[0], weighted(sources, coco_metainfo, **stated))
    runner.cfg = head_of(loss)
    with pytest.raises(UserError, match=r'state loss_power=\d for its') as caught:
        LabelMixHook().before_train(runner)

    stated['loss_power'] = int(str(caught.value).split('state loss_power=')[1][0])
    runner = training(sources[0], weighted(sources, coco_metainfo, **stated))
    runner.cfg = head_of(loss)
    LabelMixHook().before_train(runner)


def test_what_keypoints_weigh_is_logged(sources, coco_metainfo, logged):
    source = weighted(sources, coco_metainfo, weights=dict(criterion='score', power=2))
    runner = training(sources[0], source)
    runner.cfg = head_of('L1Loss')

    LabelMixHook().before_train(runner)

    labels = source.labels
    values = sorted(
        float(labels.keypoint_weights[n, k]) for n, k in np.argwhere(labels.visible)
    )
    (line,) = [line for line in logged if ' weigh by ' in line]
    assert 'by score, power 2, floor 0, normalized: mean 1.000, quartiles' in line
    assert f'from {values[0]:.3f} to {values[-1]:.3f}' in line
    middle = np.median(values)
    assert f', {middle:.3f} and ' in line


def test_equal_weights_of_all_are_not_logged(sources, logged):
    LabelMixHook().before_train(training(*sources))
    assert not any(' weigh ' in line for line in logged)


def test_weights_changed_before_a_resumed_run_are_told(sources, coco_metainfo, logged):
    hub = MessageHub('weights')
    for power in (1, 1, 2):
        weights = dict(criterion='score', power=power)
        runner = training(sources[0], weighted(sources, coco_metainfo, weights=weights))
        runner.cfg, runner.message_hub = head_of('L1Loss'), hub
        logged.clear()
        LabelMixHook().before_train(runner)
        changed = [line for line in logged if 'this training began with' in line]
        assert len(changed) == (power == 2)
    assert 'by score, power 1' in changed[0]
    assert 'by score, power 2' in changed[0]
