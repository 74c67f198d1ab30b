"""The config of a noised training: what is put where, and what is refused."""

from __future__ import annotations

import copy
import re

import pytest
from mmengine.config import Config
from mmpose.datasets.transforms import RandomBBoxTransform

from mmdistill.config.noise_options import NoiseConfig, OcclusionConfig
from mmdistill.config.recipe import Recipe
from mmdistill.errors import UserError
from mmdistill.stages.noise import noised_student_config, with_noise
from mmdistill.stages.train_config import student_config
from tests.helpers.students import CODEC

MEAN = (123.675, 116.28, 103.53)
ALL = NoiseConfig(sources='all')
PLAIN = NoiseConfig(
    sources='all', occlusion=None, color=False, scale_factor=(1, 1), rotate_factor=0
)
CROP = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomBBoxTransform', scale_factor=(0.7, 1.3), rotate_factor=40),
    dict(type='TopdownAffine', input_size=(32, 32)),
    dict(type='GenerateTarget', encoder=CODEC),
    dict(type='PackPoseInputs'),
]


def training(*members, pipeline=CROP, hooks=(), model=None, **wrapper):
    """A training on a labeled set, or on a mix of members."""
    labeled = dict(type='CocoDataset', ann_file='a.json', pipeline=pipeline)
    mix = dict(type='ConcatDataset', datasets=[labeled, *members])
    dataset = {**mix, **wrapper} if members else labeled
    preprocessor = dict(mean=MEAN, std=[58] * 3, bgr_to_rgb=True)
    return Config(
        dict(
            model=dict(data_preprocessor=preprocessor, **(model or {})),
            train_dataloader=dict(batch_size=4, dataset=copy.deepcopy(dataset)),
            custom_hooks=list(hooks),
        )
    )


def pseudo(pipeline=CROP, **settings):
    return dict(
        type='mmdistill.PseudoLabelDataset', store='s', pipeline=pipeline, **settings
    )


def without(*names, steps=CROP):
    return [step for step in steps if step['type'] not in names]


def types(steps):
    return [step['type'].rpartition('.')[2] for step in steps]


def switches(steps):
    return [step for step in steps if step['type'].endswith('NoiseSwitch')]


def pixels(steps):
    """The steps directly before the target."""
    place = types(steps).index('GenerateTarget')
    return steps[place - 1]


def geometry(config):
    (switch, *_) = switches(config.train_dataloader.dataset.pipeline)
    (step,) = switch.noised
    return step


def test_pixels_change_right_before_the_target_and_the_box_where_it_did():
    config = with_noise(training(), ALL)
    steps = config.train_dataloader.dataset.pipeline
    assert types(steps) == [
        *('LoadImage', 'GetBBoxCenterScale', 'RandomFlip', 'NoiseSwitch'),
        *('TopdownAffine', 'NoiseSwitch', 'GenerateTarget', 'PackPoseInputs'),
    ]
    box, crop = switches(steps)
    assert box.clean == [CROP[3]]
    assert crop.clean == []
    assert types(crop.noised) == ['YOLOXHSVRandomAug', 'JointOcclusion']
    assert {switch.sources for switch in (box, crop)} == {'all'}


def test_the_original_config_stays():
    config = training(pseudo())
    before = copy.deepcopy(config.to_dict())
    with_noise(config, NoiseConfig(feature_dropout=0.2))
    assert config.to_dict() == before


def test_no_noise_is_no_change():
    config = training()
    assert with_noise(config, PLAIN).to_dict() == config.to_dict()


def test_noise_of_pseudo_labels_leaves_the_labeled_pipeline_alone():
    labeled, other = with_noise(
        training(pseudo()), NoiseConfig()
    ).train_dataloader.dataset.datasets
    assert labeled.pipeline == CROP
    assert [switch.sources for switch in switches(other.pipeline)] == ['pseudo'] * 2


def test_noise_of_all_is_in_every_pipeline():
    config = with_noise(training(pseudo(), pseudo()), ALL)
    for source in config.train_dataloader.dataset.datasets:
        assert [s.sources for s in switches(source.pipeline)] == ['all'] * 2


@pytest.mark.parametrize('wrapper', ['SeededDataset', 'RepeatDataset'])
def test_wrappers_are_looked_into(wrapper):
    config = training(pseudo())
    inner = config.train_dataloader.dataset
    config.train_dataloader.dataset = dict(type=wrapper, dataset=inner)
    if wrapper == 'SeededDataset':
        # This one states a change of the last steps, no pipeline.
        config.train_dataloader.dataset['pipeline'] = [dict(type='PackPoseInputs')]
    made = with_noise(config, NoiseConfig()).train_dataloader.dataset
    assert len(switches(made.dataset.datasets[1].pipeline)) == 2
    assert made.get('pipeline') == config.train_dataloader.dataset.get('pipeline')


def test_a_pipeline_that_both_kinds_share_asks_each_sample():
    converted = [dict(type='KeypointConverter', num_keypoints=17, mapping=[(0, 0)])]
    shared = training(
        pseudo(pipeline=[]), pipeline=converted, type='CombinedDataset', metainfo={}
    )
    shared.train_dataloader.dataset.pipeline = CROP
    made = with_noise(shared, NoiseConfig()).train_dataloader.dataset
    assert [switch.sources for switch in switches(made.pipeline)] == ['pseudo'] * 2
    assert made.datasets == shared.train_dataloader.dataset.datasets


@pytest.mark.parametrize(
    'hook', ['mmdet.PipelineSwitchHook', 'SourcePipelineSwitchHook']
)
@pytest.mark.parametrize('sources', ['pseudo', 'all'])
def test_the_pipeline_that_is_switched_to_is_noised_too(hook, sources):
    hooks = [dict(type=hook, switch_epoch=3, switch_pipeline=CROP)]
    made = with_noise(training(pseudo(), hooks=hooks), NoiseConfig(sources=sources))
    steps = made.custom_hooks[0].switch_pipeline
    # It is that of all sources from then on, so each sample is asked.
    assert [switch.sources for switch in switches(steps)] == [sources] * 2


@pytest.mark.parametrize('flips', ['bgr_to_rgb', 'rgb_to_bgr', None])
def test_joints_are_covered_in_the_color_that_the_network_sees_as_zero(flips):
    config = training()
    config.model.data_preprocessor = dict(mean=MEAN, **({flips: True} if flips else {}))
    occlusion = pixels(with_noise(config, ALL).train_dataloader.dataset.pipeline)
    expected = list(MEAN)[::-1] if flips else list(MEAN)
    assert occlusion.noised[1].fill == expected


def test_settings_of_the_occlusion_are_passed_on():
    noise = NoiseConfig('all', OcclusionConfig(0.5, (2, 3), (0.1, 0.2), 0.0))
    step = pixels(with_noise(training(), noise).train_dataloader.dataset.pipeline)
    found = dict(step.noised[1])
    assert (found['prob'], found['joints'], found['size'], found['jitter']) == (
        *(0.5, (2, 3), (0.1, 0.2)),
        0.0,
    )


@pytest.mark.parametrize(
    'color',
    ['mmpose.YOLOXHSVRandomAug', 'mmdet.YOLOXHSVRandomAug', 'PhotometricDistortion'],
)
def test_colors_vary_once(color):
    steps = [*CROP[:5], dict(type=color), *CROP[5:]]
    made = with_noise(training(pipeline=steps), ALL).train_dataloader.dataset.pipeline
    assert types(pixels(made).noised) == ['JointOcclusion']


@pytest.mark.parametrize(
    ('own', 'scale', 'angle'),
    [
        (dict(scale_factor=(0.7, 1.3), rotate_factor=40), [0.6, 1.4], 60),
        (dict(scale_factor=(0.75, 1.5), rotate_factor=80), [0.6, 1.5], 80),
        (dict(scale_factor=(0.5, 1.2), rotate_factor=0), [0.5, 1.4], 60),
    ],
)
def test_the_box_varies_at_least_as_far_and_never_less(own, scale, angle):
    steps = [dict(step) for step in CROP]
    steps[3] = dict(type='RandomBBoxTransform', shift_prob=0.1, **own)
    step = geometry(with_noise(training(pipeline=steps), ALL))
    assert list(step.scale_factor) == scale
    assert step.rotate_factor == angle
    assert step.shift_prob == 0.1


def test_the_wide_default_of_the_host_stays_as_it_is():
    host = RandomBBoxTransform()
    assert (host.scale_factor, host.rotate_factor) == ((0.5, 1.5), 80)
    steps = [*CROP[:3], dict(type='RandomBBoxTransform'), *CROP[4:]]
    made = with_noise(training(pipeline=steps), ALL).train_dataloader.dataset.pipeline
    assert len(switches(made)) == 1
    assert made[3] == steps[3]


def test_what_a_pipeline_never_draws_stays_so():
    own = dict(type='RandomBBoxTransform', scale_factor=(0.9, 1.1), rotate_prob=0)
    steps = [*CROP[:3], own, *CROP[4:]]
    step = geometry(with_noise(training(pipeline=steps), ALL))
    assert dict(step) == {**own, 'scale_factor': [0.6, 1.4]}


def test_a_pipeline_without_geometry_gets_one_before_the_crop():
    steps = without('RandomBBoxTransform')
    config = with_noise(training(pipeline=steps), ALL)
    step = geometry(config)
    assert (step.scale_factor, step.rotate_factor) == ([0.6, 1.4], 60)
    assert step.shift_prob == 0
    made = config.train_dataloader.dataset.pipeline
    assert types(made)[types(made).index('TopdownAffine') - 1] == 'NoiseSwitch'
    assert switches(made)[0].clean == []


def test_each_part_of_the_noise_is_switched_off_alone():
    parts = dict(
        occlusion=dict(color=False, scale_factor=(1, 1), rotate_factor=0),
        color=dict(occlusion=None, scale_factor=(1, 1), rotate_factor=0),
        scale=dict(occlusion=None, color=False, rotate_factor=0),
        angle=dict(occlusion=None, color=False, scale_factor=(1, 1)),
    )
    found = {}
    for name, settings in parts.items():
        config = with_noise(training(), NoiseConfig('all', **settings))
        (switch,) = switches(config.train_dataloader.dataset.pipeline)
        (step,) = switch.noised
        found[name] = (
            step.type.rpartition('.')[2],
            {
                key: step[key]
                for key in ('scale_factor', 'rotate_factor')
                if key in step
            },
        )
    assert found == dict(
        occlusion=('JointOcclusion', {}),
        color=('YOLOXHSVRandomAug', {}),
        scale=(
            'RandomBBoxTransform',
            dict(scale_factor=[0.6, 1.4], rotate_factor=40),
        ),
        angle=(
            'RandomBBoxTransform',
            dict(scale_factor=(0.7, 1.3), rotate_factor=60),
        ),
    )


def test_noise_that_is_already_there_stays():
    for noise in (ALL, NoiseConfig('all', feature_dropout=0.3)):
        once = with_noise(training(), noise)
        assert with_noise(once, noise).to_dict() == once.to_dict()


def test_features_are_dropped_by_a_hook_behind_those_of_the_config():
    config = with_noise(
        training(pseudo(), hooks=[dict(type='SyncBuffersHook')]),
        NoiseConfig(feature_dropout=0.2),
    )
    assert config.custom_hooks == [
        dict(type='SyncBuffersHook'),
        dict(type='mmdistill.FeatureDropoutHook', rate=0.2, sources='pseudo'),
    ]


def test_what_is_done_is_in_the_log(logged):
    noise = NoiseConfig(feature_dropout=0.2)
    with_noise(training(pseudo()), noise)
    with_noise(training(), PLAIN)
    assert logged == [
        'noise of pseudo-labeled samples in training: color, occlusion of joints, '
        'boxes scaled by 0.6 to 1.4, turned by up to 60 degrees, dropout of 0.2 of the '
        'feature channels',
        'noise of all samples in training: none',
    ]


class TestRefusals:
    def test_noise_of_pseudo_labels_where_there_are_none(self):
        with pytest.raises(UserError, match="sources='pseudo'") as error:
            with_noise(training(), NoiseConfig())
        (advice,) = re.findall(r"state sources='(\w+)'", str(error.value))
        with_noise(training(), NoiseConfig(sources=advice))

    @pytest.mark.parametrize(
        'steps',
        [
            without('TopdownAffine'),
            without('GenerateTarget'),
            [*CROP[:4], CROP[5], CROP[4], CROP[6]],
            [dict(type='mmdet.LoadAnnotations'), dict(type='mmdet.PackDetInputs')],
        ],
    )
    def test_pipelines_without_crops_by_the_name_of_their_set(self, steps):
        with pytest.raises(UserError, match=r'that of CocoDataset has \w') as error:
            with_noise(training(pipeline=steps), ALL)
        advice = re.search(r'set its (.+) and (.+)$', str(error.value))
        settings = eval(f'dict({advice[1]}, {advice[2]})')
        with_noise(training(pipeline=steps), NoiseConfig('all', **settings))

    def test_a_set_without_pipeline(self):
        with pytest.raises(UserError, match='CocoDataset has no pipeline'):
            with_noise(training(pipeline=[]), ALL)

    def test_a_config_that_does_not_train(self):
        with pytest.raises(UserError, match='has no train_dataloader with a dataset'):
            with_noise(Config(dict(model={})), ALL)

    def test_colors_of_images_that_are_not_of_8_bits(self):
        steps = [dict(CROP[0], to_float32=True), *CROP[1:]]
        with pytest.raises(UserError, match='to_float32=True') as error:
            with_noise(training(pipeline=steps), ALL)
        (advice,) = re.findall(r'set (color=\w+) of the noise', str(error.value))
        settings = eval(f'dict({advice})')
        with_noise(training(pipeline=steps), NoiseConfig('all', **settings))
        # The other advice: leave it out.
        with_noise(training(), ALL)


class TestRecipe:
    @pytest.fixture
    def config(self):
        config = training()
        config.distill = dict(
            teacher=dict(checkpoint='t.pth'), unlabeled=dict(data_root='u'), store='s'
        )
        config.train_dataloader.dataset.metainfo = dict(
            from_file='configs/_base_/datasets/coco.py'
        )
        return config

    def test_without_noise_the_student_is_that_of_before(self, config):

        recipe = Recipe.of(config)
        assert (
            noised_student_config(recipe).to_dict() == student_config(recipe).to_dict()
        )

    def test_pseudo_labels_are_seen_through_the_noised_pipeline(self, config):
        config.distill.noise = dict(scale_factor=(0.5, 2.0))
        student = noised_student_config(Recipe.of(config))
        labeled, other = student.train_dataloader.dataset.datasets
        assert labeled.pipeline == CROP
        assert switches(other.pipeline)[0].noised[0].scale_factor == [0.5, 2.0]
