"""Occlusion of joints, and the switch between noised and clean samples."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from mmcv.transforms import BaseTransform
from mmengine.registry import init_default_scope
from mmpose.datasets.transforms import RandomFlip, TopdownAffine
from mmpose.registry import TRANSFORMS

from mmdistill.datasets import JointOcclusion, NoiseSwitch
from mmdistill.datasets.draw_phase import drawn
from mmdistill.datasets.seeded_dataset import seeded
from mmdistill.errors import UserError
from mmdistill.functional.occlusion import covered_pixels

FILL = (10, 20, 30)
SIZE = (40, 30)
KEYPOINTS = np.array([[10.0, 8], [30, 20], [20, 15], [5, 25], [-7, 3]])


def sample(visible=(1, 1, 1, 0, 1), dtype=np.uint8):
    width, height = SIZE
    image = np.full((height, width, 3), 200, dtype=dtype)
    return dict(
        img=image,
        input_size=SIZE,
        transformed_keypoints=KEYPOINTS[None].astype(np.float32),
        keypoints_visible=np.array([visible], dtype=np.float32),
    )


def covered(results):
    return (results['img'] == np.array(FILL)).all(axis=-1)


def occlusion(**settings):
    return JointOcclusion(**{'prob': 1.0, 'jitter': 0.0, 'fill': FILL, **settings})


def drawn_with(transform, seed, **settings):
    with seeded(seed):
        return transform(sample(**settings))


def blobs(mask):
    """Keypoints that are covered."""
    return [
        number
        for number, (x, y) in enumerate(KEYPOINTS.astype(int))
        if x >= 0 and mask[y, x]
    ]


@pytest.mark.parametrize('seed', range(10))
def test_boxes_are_at_visible_keypoints_within_the_crop(seed):
    transform = occlusion(joints=(1, 3), size=(0.05, 0.05))
    mask = covered(drawn_with(transform, seed))
    half = 0.05 * np.sqrt(SIZE[0] * SIZE[1])
    chosen = blobs(mask)
    # Neither the fourth, which is not visible, nor the fifth, which is outside.
    assert chosen
    assert set(chosen) <= {0, 1, 2}
    expected = covered_pixels(KEYPOINTS[chosen], np.full(len(chosen), half), *SIZE)
    assert np.array_equal(mask, expected)


@pytest.mark.parametrize('joints', [(1, 1), (2, 2), (1, 4), (9, 9)])
def test_the_number_of_boxes_is_that_of_the_setting_or_of_the_keypoints(joints):
    transform = occlusion(joints=joints, size=(0.01, 0.01))
    numbers = {len(blobs(covered(drawn_with(transform, seed)))) for seed in range(60)}
    assert numbers == set(range(min(joints[0], 3), min(joints[1], 3) + 1))


def test_sizes_and_centers_vary_as_far_as_the_settings_say():
    side = np.sqrt(SIZE[0] * SIZE[1])
    transform = occlusion(joints=(1, 1), size=(0.04, 0.10), jitter=0.02)
    widths, centers = [], []
    for seed in range(300):
        mask = covered(drawn_with(transform, seed, visible=(0, 0, 1, 0, 0)))
        rows, columns = np.nonzero(mask)
        widths.append(np.ptp(columns) + 1)
        centers.append([columns.mean(), rows.mean()])
    # A box of a half-side h covers 2h pixels, one more or less at the borders.
    assert min(widths) == pytest.approx(2 * 0.04 * side, abs=1)
    assert max(widths) == pytest.approx(2 * 0.10 * side, abs=1)
    moved = np.array(centers) - KEYPOINTS[2]
    # The mean of 300: within four standard deviations.
    assert np.abs(moved.mean(axis=0)).max() < 4 * 0.02 * side / np.sqrt(300)
    assert moved.std(axis=0) == pytest.approx(0.02 * side, rel=0.3)


def test_the_share_of_covered_crops_is_that_of_the_setting():
    transform = occlusion(prob=0.8)
    share = np.mean([covered(drawn_with(transform, s)).any() for s in range(400)])
    assert share == pytest.approx(0.8, abs=4 * np.sqrt(0.16 / 400))


def test_nothing_is_covered_without_a_visible_keypoint():
    results = drawn_with(occlusion(), 0, visible=(0, 0, 0, 0, 1))
    assert not covered(results).any()


def test_only_pixels_change_and_those_of_a_cached_image_stay():
    before = sample()
    kept = copy.deepcopy(before)
    image = before['img']
    with seeded(1):
        after = occlusion()(before)
    assert covered(after).any()
    assert np.array_equal(image, kept['img'])
    for key in ('transformed_keypoints', 'keypoints_visible'):
        assert np.array_equal(after[key], kept[key])


def test_weights_beside_visibilities_do_not_matter():
    plain, weighted = sample(), sample()
    weighted['keypoints_visible'] = np.stack(
        [weighted['keypoints_visible'], np.full((1, 5), 0.25)], axis=-1
    )
    with seeded(2):
        one = occlusion()(plain)
    with seeded(2):
        other = occlusion()(weighted)
    assert np.array_equal(one['img'], other['img'])


def test_the_seed_decides():
    transform = occlusion()
    one, again, other = (drawn_with(transform, seed)['img'] for seed in (4, 4, 5))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_floating_point_images_and_frames_are_filled_with_the_color_itself():
    fill = (10.25, 20.5, 30.75)
    frames = sample(dtype=np.float32)
    frames['img'] = [frames['img'], frames['img'] + 1]
    with seeded(0):
        results = occlusion(fill=fill)(frames)
    for frame in results['img']:
        assert frame.dtype == np.float32
        assert (frame == np.float32(fill)).all(axis=-1).any()
    with seeded(0):
        whole = occlusion(fill=fill)(sample())['img']
    assert (whole == np.array([10, 20, 31])).all(axis=-1).any()


@pytest.mark.parametrize('flips', [False, True])
def test_joints_of_a_flipped_crop_are_covered_where_they_are(flips, monkeypatch):
    """Behind the host's flip and crop: the box is at the keypoint in the crop."""
    width, height = 60, 50
    results = dict(
        img=np.full((height, width, 3), 200, dtype=np.uint8),
        img_shape=(height, width),
        keypoints=np.array([[[15.0, 20], [40, 30]]], dtype=np.float32),
        keypoints_visible=np.array([[1.0, 0]], dtype=np.float32),
        bbox_center=np.array([[30.0, 25]], dtype=np.float32),
        bbox_scale=np.array([[60.0, 50]], dtype=np.float32),
        flip_indices=[1, 0],
    )
    with seeded(0):
        results = RandomFlip(prob=float(flips))(results)
        results = TopdownAffine(input_size=(60, 50))(results)
        results = occlusion(joints=(1, 1), size=(0.04, 0.04))(results)
    rows, columns = np.nonzero(covered(results))
    # The only visible keypoint, mirrored with its image.
    expected = (width - 1 - 15 if flips else 15, 20)
    assert (columns.mean(), rows.mean()) == pytest.approx(expected, abs=1)


def test_a_sample_that_was_not_cut_is_refused_and_the_advice_followed():
    whole = sample()
    del whole['transformed_keypoints']
    with pytest.raises(UserError, match='needs transformed_keypoints') as caught:
        occlusion()(whole)
    assert 'between TopdownAffine and GenerateTarget' in str(caught.value)


@pytest.mark.parametrize(
    ('settings', 'sentence'),
    [
        (dict(prob=1.5), r'prob must be a number from 0 to 1, got 1\.5'),
        (dict(joints=(3, 1)), r'joints must be two numbers, .*, got \(3, 1\)'),
        (dict(joints=(0, 1)), r'joints must be .* whole number of at least 1, got'),
        (dict(joints=2), 'joints must be two numbers'),
        (dict(size=(0.1,)), 'size must be two numbers'),
        (dict(size='ab'), 'size must be two numbers'),
        (dict(jitter=-1), 'jitter must be a number from 0 to 1, got -1'),
    ],
)
def test_settings_out_of_their_range_are_refused(settings, sentence):
    with pytest.raises(UserError, match=sentence):
        JointOcclusion(**settings)


@TRANSFORMS.register_module(force=True)
class Note(BaseTransform):
    """Notes that a sample came by, or gives it up."""

    def __init__(self, word):
        self.word = word

    def transform(self, results):
        return None if self.word == 'gone' else dict(results, came=self.word)


def switch(sources, noised='noised'):
    init_default_scope('mmpose')
    return NoiseSwitch(
        noised=[dict(type='Note', word=noised)],
        clean=[dict(type='Note', word='clean')],
        sources=sources,
    )


@pytest.mark.parametrize(
    ('sources', 'pseudo', 'clean', 'came'),
    [
        ('all', False, False, 'noised'),
        ('all', True, False, 'noised'),
        ('all', False, True, 'clean'),
        ('all', True, True, 'clean'),
        ('pseudo', False, False, 'clean'),
        ('pseudo', True, False, 'noised'),
        ('pseudo', True, True, 'clean'),
    ],
)
def test_the_switch_noises_its_sources_unless_the_draw_is_clean(
    sources, pseudo, clean, came
):
    results = dict(pseudo=True) if pseudo else {}
    with drawn(clean):
        assert switch(sources)(results)['came'] == came


def test_a_sample_that_a_step_of_the_switch_rejects_is_rejected():
    assert switch('all', noised='gone')({}) is None


def test_a_switch_for_unknown_sources_is_refused_and_the_advice_followed():
    with pytest.raises(UserError, match=r"must be one of (.+), got 'labeled'") as error:
        switch('labeled')
    for sources in str(error.value).split('one of ')[1].split(', got')[0].split(', '):
        switch(sources)
