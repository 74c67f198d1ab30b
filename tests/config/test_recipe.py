from __future__ import annotations

import copy
from pathlib import Path

import pytest
from mmengine.config import Config

from mmdistill.cli.main import run
from mmdistill.config.noise_options import NoiseConfig, OcclusionConfig
from mmdistill.config.recipe import Recipe, check_checkpoint, stated_store, stated_views
from mmdistill.config.schema import (
    DetectorConfig,
    ScheduleConfig,
    TeacherConfig,
    ViewsConfig,
)
from mmdistill.errors import UserError


@pytest.fixture
def config() -> Config:
    """The least that a section states."""
    section = dict(
        teacher=dict(checkpoint='teacher.pth'),
        unlabeled=dict(data_root='pile'),
        store='labels',
    )
    return Config(dict(distill=section))


def test_the_section_is_that_of_the_config(config):
    assert Recipe.of(config).config is config


@pytest.mark.parametrize('key', ['teacher', 'unlabeled', 'store'])
def test_a_section_that_lacks_something_is_refused(config, key):
    del config.distill[key]

    with pytest.raises(UserError, match=f'has no {key}'):
        Recipe.of(config)


def test_a_config_without_section_is_refused():
    with pytest.raises(UserError, match='has no distill section'):
        Recipe.of(Config())


@pytest.mark.parametrize(
    ('part', 'sentence'),
    [
        (dict(vews=dict()), r'^distill has no vews; did you mean views\?$'),
        (dict(colour=1), r'^distill has no colour, only teacher, unlabeled, store, .*'),
        (
            dict(views=dict(scale=1)),
            r'distill\.views has no scale; did you mean sc',
        ),
        (dict(labeling=dict(batchsize=1)), r'distill\.labeling has no batchsize'),
        (dict(teacher='t.pth'), r"distill\.teacher must be a dict, got 't\.pth'"),
        (dict(mixing=dict(labeled_share=1)), r'distill\.mixing\.labeled_share must be'),
    ],
)
def test_what_cannot_be_is_refused(config, part, sentence):
    config.distill.update(part)

    with pytest.raises(UserError, match=sentence):
        Recipe.of(config)


def test_boxes_from_two_places_are_refused(config):
    config.distill.unlabeled.bbox_file = 'boxes.json'
    config.distill.detector = dict(config='detector.py', checkpoint='detector.pth')

    with pytest.raises(UserError, match=r'got unlabeled\.bbox_file and detector'):
        Recipe.of(config)


def test_a_missing_checkpoint_is_refused_by_name(tmp_path):
    with pytest.raises(UserError, match=r'the detector checkpoint .*d\.pth does not'):
        check_checkpoint('detector', DetectorConfig(checkpoint=str(tmp_path / 'd.pth')))


def test_no_checkpoint_is_refused():
    with pytest.raises(UserError, match=r'distill\.teacher\.checkpoint must name'):
        check_checkpoint('teacher', TeacherConfig())


def test_a_checkpoint_on_a_server_is_not_looked_for():
    address = 'https://example.org/teacher.pth'
    assert check_checkpoint('teacher', TeacherConfig(address)) == address


def test_all_errors_are_said_at_once(config):
    config.distill.update(
        vews=1, views=dict(scales=[0], flip='x'), labeling=dict(batch_size=-1)
    )
    del config.distill['teacher']

    with pytest.raises(UserError) as caught:
        Recipe.of(config)

    headline, *lines = str(caught.value).split('\n- ')
    assert headline == 'the distill section of None has 5 errors:'
    assert lines == [
        'distill has no vews; did you mean views?',
        'each of distill.views.scales must be a number above 0, got 0',
        "distill.views.flip must be True or False, got 'x'",
        'distill.labeling.batch_size must be a whole number of at least 1, got -1',
        'the distill section of None has no teacher',
    ]


def test_the_command_line_prints_each_error_on_a_line(config, capfd):
    config.distill.update(leak_guard=1, labeling=dict(batch_size=-1))

    code = run(lambda argv: Recipe.of(config) and None)

    assert code == 2
    error, *lines = capfd.readouterr().err.splitlines()
    assert error == 'error: the distill section of None has 2 errors:'
    assert [line[:2] for line in lines] == ['- ', '- ']


def test_options_that_contradict_each_other_are_named_by_their_section(config):
    config.distill.selection = dict(min_thr=0.5, max_thr=0.4)

    with pytest.raises(UserError, match=r'^distill\.selection: min_thr must be at'):
        Recipe.of(config)


def test_none_is_not_stated_and_paths_become_texts(config):
    config.distill.update(store=Path('a/b'), views=dict(scales=None, flip=None))
    config.distill.unlabeled.data_prefix = dict(img=Path('c'))
    before = copy.deepcopy(config.distill)

    distill = Recipe.of(config).distill

    assert (distill.store, distill.views) == ('a/b', ViewsConfig())
    assert distill.unlabeled.data_prefix == dict(img='c')
    assert config.distill == before


@pytest.mark.parametrize('key', ['detector', 'audit'])
def test_an_empty_section_of_what_is_optional_states_nothing(config, key):
    config.distill[key] = dict(config=None) if key == 'detector' else {}

    assert getattr(Recipe.of(config).distill, key) is None


def test_an_empty_schedule_is_switched_on(config):
    assert Recipe.of(config).distill.schedule is None
    config.distill.schedule = {}
    assert Recipe.of(config).distill.schedule == ScheduleConfig(3.0, (0.7, 0.9))


def test_views_and_store_of_an_incomplete_section():
    config = Config(dict(distill=dict(views=dict(flip=False), store='a')))
    assert (stated_views(config).flip, stated_store(config)) == (False, 'a')
    assert (stated_views(Config()), stated_store(Config())) == (ViewsConfig(), None)
    with pytest.raises(UserError, match=r'distill\.store must be a path'):
        stated_store(Config(dict(distill=dict(store=5))))


def test_noise_is_off_unless_it_is_stated(config):
    assert Recipe.of(config).distill.noise is None
    config.distill.noise = None
    assert Recipe.of(config).distill.noise is None


def test_noise_without_settings_has_its_defaults(config):
    config.distill.noise = {}
    noise = Recipe.of(config).distill.noise
    assert noise == NoiseConfig()
    assert noise.occludes
    assert noise.geometry


@pytest.mark.parametrize('off', [None, dict(prob=0)])
def test_occlusion_is_switched_off_alone(config, off):
    config.distill.noise = dict(occlusion=off)
    noise = Recipe.of(config).distill.noise
    assert not noise.occludes
    assert noise.color


def test_noise_states_the_settings_of_its_occlusion(config):
    config.distill.noise = dict(occlusion=dict(joints=[2, 5], prob=0.5))
    occlusion = Recipe.of(config).distill.noise.occlusion
    assert (occlusion.joints, occlusion.prob) == ([2, 5], 0.5)
    assert occlusion.size == OcclusionConfig().size


def test_a_range_the_wrong_way_round_is_refused(config):
    config.distill.noise = dict(scale_factor=(1.4, 0.6))
    with pytest.raises(UserError, match=r'distill\.noise\.scale_factor must be two nu'):
        Recipe.of(config)
