"""The advice of sentences about detectors: following it makes the detecting stage."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from mmdistill.config.recipe import Recipe
from mmdistill.errors import UserError
from mmdistill.stages.detect_config import detect_config
from tests.helpers.recipes import DETECTOR

STUDENT = Path(__file__).parents[2] / 'configs/distill/toy/student.py'


@pytest.fixture
def config(tmp_path) -> Config:
    """The toy recipe, its detector trained."""
    config = Config.fromfile(STUDENT)
    config.launcher = 'none'
    (tmp_path / 'detector.pth').write_bytes(b'')
    config.distill.detector.checkpoint = str(tmp_path / 'detector.pth')
    return config


@pytest.fixture
def detector(tmp_path):
    """Write a config of a detector that is the toy's but for some lines."""

    def detector(*lines: str) -> str:
        path = tmp_path / 'detector.py'
        path.write_text('\n'.join([f"_base_ = '{DETECTOR}'", *lines]))
        return str(path)

    return detector


def refused(config: Config) -> str:
    with pytest.raises(UserError) as caught:
        detect_config(Recipe.of(config))
    return str(caught.value)


def is_made(config: Config) -> bool:
    stage = detect_config(Recipe.of(config))
    return stage.test_cfg.type == 'mmdistill.DetectLoop'


def state(config: Config, key: str, value: Any) -> None:
    config.merge_from_dict({key: value})


def test_a_section_names_config_and_checkpoint(config):
    checkpoint = config.distill.pop('detector').checkpoint
    sentence = refused(config)
    (section,) = re.findall(r'has no (distill\.\w+), which names', sentence)
    (words,) = re.findall(r'which names the (.+) of a detector$', sentence)

    for name in words.split(' and the '):
        value = dict(config=str(DETECTOR), checkpoint=checkpoint)[name]
        state(config, f'{section}.{name}', value)

    assert is_made(config)


@pytest.mark.parametrize('value', ['file', 'package'])
def test_a_config_is_named(config, value):
    del config.distill.detector['config']
    (key,) = re.findall(
        r"^(distill\.[\w.]+) must name a detector's config, a file or one of "
        r"MMDetection's as (\w+)::",
        refused(config),
    )
    name = f'{key[1]}::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'

    state(config, key[0], str(DETECTOR) if value == 'file' else name)

    assert is_made(config)


def test_a_config_of_a_package_that_is_not_there_is_given_as_a_file(config):
    config.distill.detector.config = 'nowhere::a.py'
    sentence = refused(config)
    assert sentence.endswith('not installed; install it, or name a file')

    state(config, 'distill.detector.config', str(DETECTOR))

    assert is_made(config)


@pytest.mark.parametrize(
    'line',
    ['model = None', 'test_dataloader = None', 'test_dataloader = dict(dataset=None)'],
)
def test_a_config_has_what_is_asked_for(config, detector, line):
    config.distill.detector.config = detector(line)
    names = re.findall(
        r'must have a (\w+) and a (\w+) with a dataset,', refused(config)
    )[0]
    assert line.partition(' ')[0] in names

    own = Config.fromfile(DETECTOR)
    parts = {name: own[name].to_dict() for name in names}
    path = Path(config.distill.detector.config)
    path.write_text('\n'.join(f'{name} = {part!r}' for name, part in parts.items()))

    assert is_made(config)


@pytest.mark.parametrize('number', [0, 2])
def test_a_test_pipeline_begins_as_asked(config, detector, number):
    steps = [dict(type='Resize', scale=(64, 64)), dict(type='PackDetInputs')][:number]
    line = 'test_dataloader = dict(dataset=dict(pipeline={!r}))'
    config.distill.detector.config = detector(line.format(steps))
    (kind,) = re.findall(
        r'must begin with (\w+), got (?:Resize|no step)$', refused(config)
    )

    detector(line.format([dict(type=kind), *steps]))

    assert is_made(config)
