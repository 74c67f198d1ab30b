"""Texts of configs read back equal, through MMEngine's own reader."""

from __future__ import annotations

import math
import pickle
from collections import OrderedDict
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import Config
from torch import nn

from mmdistill.config.text import WIDTH, TextConfig, config_text

TEXT = st.text(max_size=12)
LEAVES = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), TEXT),
    st.binary(max_size=4),
    st.sampled_from(
        ['{{ fileDirname }}', '{{_base_.x}}', "{{$HOME:'a'}}", '{{{', 'x' * 99]
    ),
)
KEYS = st.one_of(
    TEXT, st.integers(), st.sampled_from(['lambda', 'type', 'self', 'a b'])
)
VALUES = st.recursive(
    LEAVES,
    lambda each: st.one_of(
        st.lists(each, max_size=4),
        st.lists(each, max_size=4).map(tuple),
        st.dictionaries(KEYS, each, max_size=4),
    ),
    max_leaves=20,
)


def read(settings):
    return Config.fromstring(config_text(settings), '.py').to_dict()


def ordered(value):
    """A value with the order of its dicts, which equality leaves out."""
    if isinstance(value, dict):
        return [(key, ordered(item)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return type(value)(map(ordered, value))
    return value


@given(st.dictionaries(st.sampled_from(['a', 'model', 'x1']), VALUES))
def test_any_settings_read_back_equal_and_in_order(settings):
    assert ordered(read(settings)) == ordered(settings)


def test_numbers_keep_their_order():
    keypoints = {i: dict(name=f'k{i}') for i in range(12)}
    back = read(dict(metainfo=dict(keypoint_info=keypoints)))
    assert list(back['metainfo']['keypoint_info']) == list(range(12))


def test_the_host_sorts_numbers_as_text():
    # What this is for: if this fails, MMEngine has mended it.
    config = Config(dict(a={i: i for i in range(12)}))
    assert list(Config.fromstring(config.pretty_text, '.py').a) != list(range(12))


def test_numbers_that_are_not_finite_are_read():
    back = read(dict(a=[math.inf, -math.inf], b=math.nan))
    assert back['a'] == [math.inf, -math.inf]
    assert math.isnan(back['b'])


@pytest.mark.parametrize(
    ('value', 'expected'),
    [
        (np.float32(0.5), 0.5),
        (np.float64(0.1), 0.1),
        (np.array([[1, 2]]), [[1, 2]]),
        (np.bool_(True), True),
        (Path('a/b'), 'a/b'),
        (nn.Linear, 'torch.nn.modules.linear.Linear'),
        ({2, 1}, {1, 2}),
        (OrderedDict(b=1, a=2), dict(b=1, a=2)),
    ],
)
def test_what_is_no_literal_becomes_one(value, expected):
    back = read(dict(a=value))['a']
    assert back == expected
    assert type(back) is type(expected)


def test_lines_are_no_longer_than_need_be():
    steps = [dict(type='Step', sizes=(192, 256), factor=0.5) for _ in range(20)]
    text = config_text(dict(pipeline=steps, name='short'))
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "    dict(type='Step', sizes=(192, 256), factor=0.5),\n" in text


def test_a_config_writes_this_text_wherever_it_goes(tmp_path):
    recipe = tmp_path / 'recipe.py'
    recipe.write_text('a = {10: 1, 9: 2}')
    config = TextConfig.of(Config.fromfile(recipe))
    for copied in (deepcopy(config), config.copy(), pickle.loads(pickle.dumps(config))):
        assert copied.pretty_text == config.pretty_text == 'a = {10: 1, 9: 2}\n'
        assert copied.filename == str(recipe)
    config.dump(tmp_path / 'a.py')
    assert (tmp_path / 'a.py').read_text() == config.pretty_text


def test_both_configs_are_of_the_same_settings():
    config = Config(dict(a=1))
    made = TextConfig.of(config)
    made.a = 2
    assert config.a == 2
    assert TextConfig.of(made) is made
