"""Tests of what is measured on a few batches."""

import pytest
import torch
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, MODELS

from mmdistill.config.recipe import Recipe
from mmdistill.errors import UserError
from mmdistill.plans.estimate import time_training_step, try_labeling
from mmdistill.stages.label_config import label_config
from mmdistill.store import LabelStore


def label(config, batch_size):
    init_default_scope('mmpose')
    stage = label_config(Recipe.of(config), teacher_needed=False)
    dataset = DATASETS.build(stage.test_dataloader.dataset)
    return try_labeling(stage, dataset, batch_size)


def test_a_teacher_that_does_not_fit_is_refused(config, tmp_path):
    path = tmp_path / 'other.pth'
    torch.save(dict(state_dict=dict(other=torch.zeros(1))), path)
    config.distill.teacher.checkpoint = str(path)

    with pytest.raises(UserError, match='the teacher checkpoint misses'):
        label(config, batch_size=1)


def test_images_and_views_are_those_of_the_stage(config):
    trial = label(config, batch_size=1)

    # Six images, four batches of one, the first of which warms up.
    assert (trial.images, trial.views) == (3, 6)
    assert trial.seconds > 0


def test_candidates_are_kept_once_it_is_trained(config, tmp_path):
    assert label(config, batch_size=1).candidates == []

    path = tmp_path / 'teacher.pth'
    model = MODELS.build(config.model)
    torch.save(dict(state_dict=model.state_dict()), path)
    config.distill.teacher.checkpoint = str(path)

    assert len(label(config, batch_size=1).candidates) == 4


def test_one_batch_is_measured_where_there_is_no_other(config):
    trial = label(config, batch_size=6)

    assert trial.images == 6


def test_nothing_is_written(config):
    label(config, batch_size=2)

    assert not LabelStore(config.distill.store).root.exists()


def test_a_training_step_needs_no_pseudo_labels(config):
    config.train_dataloader.batch_size = 2

    assert time_training_step(config) > 0
