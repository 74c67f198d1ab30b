"""Checkpoints are data: they load without running anything."""

from __future__ import annotations

import argparse
import os
import pickle
from collections import Counter

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import CheckpointLoader, save_checkpoint
from torch import nn

from mmdistill.engine import checkpoint
from mmdistill.errors import UserError
from mmdistill.utils.torch_version import is_full
from tests.helpers.toy_training import ToyData, load, save, train


@pytest.fixture(autouse=True, params=['list of torch', 'own list'])
def reader(request, monkeypatch):
    """What reads: torch with a list of allowed objects, or we where it takes none."""
    if request.param == 'own list':
        monkeypatch.setattr(checkpoint, 'is_full', lambda: False)
    elif not is_full():
        pytest.skip('this torch takes no list')
    return request.param


def test_a_checkpoint_of_a_run_loads(tmp_path):
    runner = train(tmp_path, 1)
    loaded = load(tmp_path / 'epoch_1.pth')
    for key, value in runner.model.state_dict().items():
        assert torch.equal(loaded['state_dict'][key], value)


def test_metainfo_of_a_run_comes_back(tmp_path):
    train(tmp_path, 1)
    meta = load(tmp_path / 'epoch_1.pth')['meta']['dataset_meta']
    for key, value in ToyData.metainfo.items():
        np.testing.assert_array_equal(meta[key], value)


def test_history_of_a_run_comes_back(tmp_path):
    train(tmp_path, 1)
    scalars = load(tmp_path / 'epoch_1.pth')['message_hub']['log_scalars']
    history = scalars['train/loss']
    assert isinstance(history, HistoryBuffer)
    assert history.mean() == np.mean(history.data[0])


def test_the_steps_of_a_learning_rate_come_back(tmp_path):
    weight = nn.Parameter(torch.zeros(1))
    steps = torch.optim.lr_scheduler.MultiStepLR(torch.optim.SGD([weight], 1.0), [3, 5])
    save(tmp_path / 'a.pth', **steps.state_dict())
    assert load(tmp_path / 'a.pth')['milestones'] == Counter([3, 5])


def test_a_run_is_resumed(tmp_path):
    whole = train(tmp_path / 'whole', 2)
    train(tmp_path / 'halves', 1)
    (tmp_path / 'halves/last_checkpoint').write_text(
        str(tmp_path / 'halves/epoch_1.pth')
    )
    first = load(tmp_path / 'halves/epoch_1.pth')
    resumed = train(tmp_path / 'halves', 2, resume=True)
    assert resumed.epoch == whole.epoch == 2
    assert resumed.iter == first['meta']['iter'] + 1


def test_a_resumed_run_ends_as_the_whole_one(tmp_path):
    torch.manual_seed(0)
    whole = train(tmp_path / 'whole', 2)
    # The second run starts from other weights, and must take the stored ones.
    first = tmp_path / 'whole/epoch_1.pth'
    (tmp_path / 'rest').mkdir()
    (tmp_path / 'rest/last_checkpoint').write_text(str(first))
    rest = train(tmp_path / 'rest', 2, resume=True)
    for key, value in whole.model.state_dict().items():
        assert torch.equal(rest.model.state_dict()[key], value)


def test_a_checkpoint_with_a_message_hub_loads(tmp_path):
    hub = MessageHub('checkpoint_test')
    hub.update_scalar('train/loss', np.float32(2.0))
    hub.update_info('epoch', 3)
    path = tmp_path / 'hub.pth'
    save_checkpoint(dict(state_dict={}, message_hub=hub.state_dict()), str(path))
    assert load(path)['message_hub']['runtime_info']['epoch'] == 3


@pytest.mark.parametrize('name', checkpoint.DTYPES)
def test_arrays_and_numbers_of_numpy_load(tmp_path, name):
    array = np.arange(3).astype(name)
    path = save(tmp_path / 'a.pth', array=array, number=array[1])
    loaded = load(path)
    assert loaded['array'].dtype == loaded['number'].dtype == array.dtype
    np.testing.assert_array_equal(loaded['array'], array)


def test_another_object_is_refused_by_name(tmp_path):
    path = save(tmp_path / 'a.pth', hparams=argparse.Namespace(lr=1))
    with pytest.raises(UserError, match=r'a\.pth holds argparse\.Namespace, which is'):
        load(path)


class Custom:
    """Something of a user's own."""


def test_an_object_of_a_users_class_is_refused_by_name(tmp_path):
    path = save(tmp_path / 'a.pth', custom=Custom())
    with pytest.raises(UserError, match=r'holds \S*test_checkpoint\.Custom, which is'):
        load(path)


class Call:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def test_a_call_of_the_shell_is_refused_and_not_made(tmp_path):
    path = save(tmp_path / 'a.pth', evil=Call(os.system, f'touch {tmp_path}/pwned'))
    with pytest.raises(UserError, match=r'holds \S*system, which is'):
        load(path)
    assert not (tmp_path / 'pwned').exists()


def test_the_call_would_have_been_made_otherwise(tmp_path):
    data = pickle.dumps(Call(os.system, f'touch {tmp_path}/pwned'))
    pickle.loads(data)
    assert (tmp_path / 'pwned').exists()


@pytest.mark.parametrize(
    'owner', [np.ndarray, torch.Tensor, nn.Linear, 'text', np.dtype]
)
def test_getattr_reaches_a_history_buffer_only(tmp_path, owner):
    path = save(tmp_path / 'a.pth', evil=Call(getattr, owner, '__doc__'))
    with pytest.raises(UserError, match=r'a\.pth holds '):
        load(path)


def test_getattr_cannot_climb_out_of_a_history_buffer(tmp_path):
    method = Call(getattr, HistoryBuffer, 'mean')
    path = save(tmp_path / 'a.pth', evil=Call(getattr, method, '__globals__'))
    with pytest.raises(UserError, match=r'a\.pth holds '):
        load(path)


def test_the_allow_list_is_in_force_only_while_loading(tmp_path):
    path = save(tmp_path / 'a.pth', history=HistoryBuffer([1.0], [1]))
    load(path)
    with pytest.raises(pickle.UnpicklingError, match='HistoryBuffer'):
        torch.load(path, weights_only=True)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r'the checkpoint .*none\.pth does not exist'):
        load(tmp_path / 'none.pth')


@pytest.mark.parametrize('content', [b'', b'no checkpoint', b'PK\x03\x04 half a zip'])
def test_a_file_that_is_no_checkpoint_is_named(tmp_path, content):
    (tmp_path / 'a.pth').write_bytes(content)
    with pytest.raises(UserError, match=r'a\.pth cannot be read as a checkpoint'):
        load(tmp_path / 'a.pth')


@pytest.mark.parametrize(
    ('name', 'loader'),
    [
        ('a.pth', checkpoint.load_local),
        ('/a/b.pth', checkpoint.load_local),
        ('http://host/a.pth', checkpoint.load_url),
        ('https://host/a.pth', checkpoint.load_url),
    ],
)
def test_mmengine_loads_through_us(name, loader):
    assert CheckpointLoader._get_checkpoint_loader(name) is loader


@pytest.mark.parametrize('scheme', ['torchvision', 'open-mmlab', 'mmcls'])
def test_an_unknown_model_of_a_list_is_named(scheme):
    name = f'{scheme}://no-such-model'
    with pytest.raises(UserError, match=f'{name} is not in the list of known models'):
        load(name)
