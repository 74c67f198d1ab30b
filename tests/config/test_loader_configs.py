"""Loaders that torch would refuse."""

import copy

import pytest
from mmengine.config import Config
from torch.utils.data import DataLoader

from mmdistill.config.loops import check_loaders
from mmdistill.errors import UserError

ODD = (8.0, '8', 0, -1, True, float('nan'), float('inf'), [8], {}, b'8')


def config(**settings):
    loader = dict(batch_size=2, num_workers=0, dataset=dict(type='CocoDataset'))
    return Config(dict(val_dataloader=None, train_dataloader={**loader, **settings}))


def torch_takes(loader):
    settings = {key: value for key, value in loader.items() if key != 'dataset'}
    try:
        next(iter(DataLoader([0, 1, 2, 3], **settings)), None)
    except (TypeError, ValueError, AssertionError):
        return False
    return True


@pytest.mark.parametrize('key', ['batch_size', 'prefetch_factor'])
@pytest.mark.parametrize('value', ODD)
def test_what_is_no_number_is_refused_by_name(key, value):
    with pytest.raises(UserError, match=rf'train_dataloader\.{key} must be a whole'):
        check_loaders(config(**{key: value}))


def test_a_switch_that_is_none_is_refused():
    with pytest.raises(UserError, match='persistent_workers must be True or False'):
        check_loaders(config(persistent_workers='yes'))


@pytest.mark.parametrize('loader', [5, 'x', [5]])
def test_a_loader_that_is_no_dict_is_refused(loader):
    with pytest.raises(UserError, match='val_dataloader must be a dict, got'):
        check_loaders(Config(dict(val_dataloader=loader)))


@pytest.mark.parametrize(
    'settings',
    [
        dict(num_workers=0, persistent_workers=True),
        dict(num_workers=0, prefetch_factor=4),
        dict(num_workers=1, persistent_workers=True, prefetch_factor=4),
    ],
)
def test_torch_takes_what_is_left(settings):
    made = config(**settings)
    before = copy.deepcopy(made.train_dataloader)

    check_loaders(made)

    assert torch_takes(made.train_dataloader)
    assert torch_takes(before) == (settings['num_workers'] > 0)
