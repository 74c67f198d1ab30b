"""Loaders without a data set are refused before anything is labeled."""

from __future__ import annotations

import pytest

from mmdistill.config.files import read_config
from mmdistill.config.loops import check_test, check_training
from mmdistill.errors import ConfigError


@pytest.mark.parametrize(
    ('loader', 'check'),
    [
        ('train_dataloader', check_training),
        ('val_dataloader', check_training),
        ('test_dataloader', check_test),
    ],
)
def test_a_loader_without_a_data_set_is_named(loader, check):
    config = read_config('configs/distill/toy/student.py')
    check(config)
    config[loader].pop('dataset')

    with pytest.raises(ConfigError, match=f'^{loader} of .* has no dataset'):
        check(config)
