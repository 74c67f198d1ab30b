"""Every data set class of the host that gives keypoints in an image can be learnt."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS, MODELS

from mmdistill.config.datasets import unparsed_metainfo
from mmdistill.config.recipe import Recipe
from mmdistill.selection.counts import build_labeled, count_labeled, labeled_statistics
from mmdistill.stages.label_config import images_config, labeled_config, labeled_members
from mmdistill.stages.train_config import student_config
from tests.helpers.host_sets import ALL, CLASSES, COUNTS, pipeline, recipe_of, write_set


@pytest.fixture
def make_recipe(tmp_path):
    """Write a set of a class; the recipe that trains on it."""

    def make(kind, subset):
        extra = {} if subset is None else dict(subset=subset)
        dataset = write_set(kind, tmp_path / 'set', COUNTS, **extra)
        dataset['pipeline'] = pipeline(training=True)
        return recipe_of(dataset, tmp_path, unparsed_metainfo(dataset))

    return make


def test_the_classes_are_those_of_the_host():
    # A class that a new MMPose brings comes into this test by itself.
    assert len(CLASSES) >= 40
    assert {'MpiiDataset', 'DeepFashionDataset', 'InterHand2DDoubleDataset'} <= {
        *CLASSES
    }


@pytest.mark.parametrize(('kind', 'subset'), ALL)
def test_a_class_is_counted_and_learnt_beside_pseudo_labels(
    *,
    tmp_path,
    make_recipe,
    make_store,
    make_rows,
    make_selection,
    write_images,
    kind,
    subset,
):
    config = make_recipe(kind, subset)
    metainfo = parse_pose_metainfo(unparsed_metainfo(labeled_config(Recipe.of(config))))
    names = [metainfo['keypoint_id2name'][i] for i in range(metainfo['num_keypoints'])]
    of_hands = kind == 'InterHand2DDoubleDataset'

    with DefaultScope.overwrite_default_scope('mmpose'):
        dataset = build_labeled(labeled_config(Recipe.of(config)))
        counts = count_labeled(dataset)
        side = labeled_statistics(dataset, counts.images)
        # One of InterHand's on each image, with every joint; else the last is bare.
        assert counts.instances == 3
        assert counts.keypoints == (*[3] * (len(names) - 1), 3 if of_hands else 0)
        assert counts.annotated_images == (3 if of_hands else 2)
        assert side.visible.sum(axis=0).tolist() == list(counts.keypoints)
        assert images_config(Recipe.of(config))['metainfo'] == unparsed_metainfo(
            labeled_members(Recipe.of(config))[0]
        )

        rows, images = make_rows((2, 1), len(names)), tmp_path / 'unlabeled'
        write_images(images, *(row.path for row in rows))
        store = make_store(tmp_path / 'labels', rows, img_root=images, names=names)
        thrs = (0.0,) * len(names)
        replace(make_selection(0.0), keypoint_thrs=thrs).write(store)
        losses = two_steps(student_config(Recipe.of(config)))
    assert np.isfinite(losses).all()


def two_steps(config):
    """Losses of two steps on batches of both kinds."""
    mixed = DATASETS.build(copy.deepcopy(config.train_dataloader.dataset))
    labeled = len(mixed.datasets[0])
    model = MODELS.build(copy.deepcopy(config.model)).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    losses = []
    for step in range(2):
        samples = [mixed[step], mixed[labeled + step]]
        data = model.data_preprocessor(pseudo_collate(samples), training=True)
        loss, _ = model.parse_losses(model(**data, mode='loss'))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize('order', [('upper', 'full'), ('full', 'upper')])
def test_keypoints_of_a_subset_do_not_depend_on_what_was_built_before(order):
    # The host's class takes on the keypoints of the set that was built last.
    found = {
        subset: unparsed_metainfo(dict(type='DeepFashionDataset', subset=subset))
        for subset in (*order, *order)
    }
    found[''] = unparsed_metainfo(dict(type='DeepFashionDataset'))

    assert {name: part['from_file'][-8:-3] for name, part in found.items()} == {
        'upper': 'upper',
        'full': '_full',
        '': '_full',
    }
