"""Weights that a student starts from: found in configs, and looked for."""

from __future__ import annotations

import http.server
import threading
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmdistill.engine.initial_weights import (
    check_initial_weights,
    initial_weights,
    missing_weights,
)
from mmdistill.errors import UserError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache of torch's."""
    monkeypatch.setattr(torch.hub, '_hub_dir', str(tmp_path / 'hub'))
    return tmp_path / 'hub' / 'checkpoints'


@pytest.fixture
def server(tmp_path):
    """A server with one file; gives its address and counts what it sent."""
    (tmp_path / 'there.pth').write_bytes(b'weights')

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(tmp_path))

        def log_message(self, *arguments):
            pass

    served = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    thread = threading.Thread(target=served.serve_forever)
    thread.start()
    yield f'http://127.0.0.1:{served.server_port}'
    served.shutdown()
    served.server_close()
    thread.join()


def pretrained(checkpoint):
    return dict(type='Pretrained', checkpoint=checkpoint)


def model(checkpoint):
    return Config(dict(model=dict(backbone=dict(init_cfg=pretrained(checkpoint)))))


def test_all_places_that_name_weights_are_found():
    config = Config(
        dict(
            load_from='a.pth',
            model=dict(
                init_cfg=pretrained('b.pth'),
                backbone=dict(pretrained='c.pth'),
                necks=[dict(init_cfg=dict(type='mmengine.Pretrained', checkpoint='d'))],
                head=dict(init_cfg=dict(type='Normal', std=0.1)),
            ),
        )
    )

    found = [(each.key, each.checkpoint) for each in initial_weights(config)]

    assert found == [
        ('load_from', 'a.pth'),
        ('model.init_cfg', 'b.pth'),
        ('model.backbone.pretrained', 'c.pth'),
        ('model.necks.0.init_cfg', 'd'),
    ]


@pytest.mark.parametrize('config', [{}, dict(model=None), dict(load_from=None)])
def test_a_config_without_weights_needs_none(config):
    assert missing_weights(Config(config)) == []


def test_a_file_that_is_there_is_not_missing(tmp_path):
    (tmp_path / 'a.pth').touch()

    assert missing_weights(model(str(tmp_path / 'a.pth'))) == []


def test_a_file_that_is_not_there_is_named_with_the_way_on(tmp_path):
    config = model('nowhere.pth')

    (sentence,) = missing_weights(config)

    assert sentence == (
        'the initial weights nowhere.pth of model.backbone.init_cfg: there is no such '
        'file; put it there, or start without them with --cfg-options '
        'model.backbone.init_cfg=None'
    )


def test_the_way_on_leads_on():
    config = Config(
        dict(
            load_from='x.pth',
            model=dict(
                backbone=dict(init_cfg=pretrained('no.pth')),
                necks=[dict(init_cfg=pretrained('no.pth'))],
            ),
        )
    )

    for sentence in missing_weights(config):
        key, _, value = sentence.rpartition('--cfg-options ')[2].partition('=')
        assert value == 'None'
        config.merge_from_dict({key: None})

    assert missing_weights(config) == []


def test_an_address_that_answers_is_not_missing_and_not_downloaded(server, cache):
    assert missing_weights(model(f'{server}/there.pth')) == []
    assert not cache.exists()


def test_an_address_that_has_no_such_file_is_named(server):
    (sentence,) = missing_weights(model(f'{server}/gone.pth'))

    assert f'{server}/gone.pth of model.backbone.init_cfg: cannot' in sentence
    assert 'not found' in sentence


def test_an_address_that_does_not_answer_is_named_with_its_place_in_the_cache(cache):
    config = model('http://127.0.0.1:9/a.pth')

    (sentence,) = missing_weights(config)

    assert f'put the file at {cache / "a.pth"}, or' in sentence
    cache.mkdir(parents=True)
    (cache / 'a.pth').touch()
    assert missing_weights(config) == []


def test_a_name_stands_for_its_address(cache, monkeypatch):
    models = {'net': 'http://127.0.0.1:9/net-1.pth'}
    monkeypatch.setattr(
        'mmdistill.engine.checkpoint.MODEL_LISTS', {('torchvision://',): lambda: models}
    )

    (sentence,) = missing_weights(model('torchvision://net'))

    assert 'torchvision://net of' in sentence
    assert 'http://127.0.0.1:9/net-1.pth cannot be fetched' in sentence


def test_a_name_that_no_list_has_is_a_sentence():
    with pytest.raises(UserError, match='torchvision://nothing is not in the list'):
        missing_weights(model('torchvision://nothing'))


def test_a_training_that_cannot_start_is_refused():
    with pytest.raises(UserError, match=r'nowhere\.pth'):
        check_initial_weights(model('nowhere.pth'))
