"""Configs as files, in the forms that can hold them."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from mmdistill.config.text import HOOK, write_config
from mmdistill.errors import UserError
from tests.helpers.chain_metainfo import chain

PLAIN = dict(model=dict(type='Model', sizes=[1, 2]), lr=0.1)
INLINE = dict(test_dataloader=dict(dataset=dict(metainfo=chain())))


@pytest.mark.parametrize('suffix', ['.py', '.json', '.yaml', '.yml'])
def test_a_config_reads_back_equal(tmp_path, suffix):
    path = tmp_path / 'new' / f'stage{suffix}'
    write_config(Config(PLAIN), path)
    assert Config.fromfile(path).to_dict() == PLAIN


@pytest.mark.parametrize('suffix', ['.py', '.yaml'])
def test_keypoints_read_back_in_order(tmp_path, suffix):
    given = Config(INLINE)
    write_config(given, tmp_path / f'stage{suffix}')
    back = Config.fromfile(tmp_path / f'stage{suffix}')
    found = back.test_dataloader.dataset.metainfo.keypoint_info
    assert list(found) == list(chain()['keypoint_info'])
    assert back.custom_hooks == [dict(type=HOOK)]
    assert 'custom_hooks' not in given


def test_json_that_would_make_text_of_numbers_is_refused(tmp_path):
    with pytest.raises(UserError, match=r'cannot hold keypoint_info, whose keys are'):
        write_config(Config(INLINE), tmp_path / 'stage.json')
    assert not (tmp_path / 'stage.json').exists()


@pytest.mark.parametrize('name', ['stage', 'stage.txt', 'stage.pth'])
def test_another_suffix_is_refused(tmp_path, name):
    with pytest.raises(UserError, match=r'is written as \.py .*, got .*stage'):
        write_config(Config(PLAIN), tmp_path / name)


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(UserError, match=r'stage\.py could not be written'):
        write_config(Config(PLAIN), tmp_path / 'file' / 'stage.py')
