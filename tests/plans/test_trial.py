"""Tests of what is measured on a few batches."""

from mmdistill.labels import LabelStore
from mmdistill.plans.trial import time_training_step, try_labeling
from mmdistill.stage_configs import label_config


def test_images_and_views_are_those_of_the_stage(config):
    trial = try_labeling(label_config(config, teacher_needed=False), batch_size=1)

    # Six images, four batches of one, the first of which warms up.
    assert (trial.images, trial.views) == (3, 6)
    assert trial.seconds > 0


def test_one_batch_is_measured_where_there_is_no_other(config):
    trial = try_labeling(label_config(config, teacher_needed=False), batch_size=6)

    assert trial.images == 6


def test_nothing_is_written(config):
    try_labeling(label_config(config, teacher_needed=False), batch_size=2)

    assert not LabelStore(config.distill.labels).root.exists()


def test_a_training_step_needs_no_pseudo_labels(config):
    config.train_dataloader.batch_size = 2

    assert time_training_step(config) > 0
