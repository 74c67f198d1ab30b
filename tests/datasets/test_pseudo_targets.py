"""Weights of pseudo-labeled keypoints, from the store to the losses."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform
from mmengine.dataset import ConcatDataset
from mmengine.registry import init_default_scope
from mmpose.datasets import CombinedDataset
from mmpose.registry import DATASETS as MMPOSE
from mmpose.registry import MODELS
from torch import nn

from mmdistill.config.loss_power import power_of_source
from mmdistill.config.weight_options import WeightsConfig
from mmdistill.datasets import PseudoLabelDataset, SeededDataset
from mmdistill.datasets.seeded_dataset import (
    SeededIndex,
    check_weights_carried,
    seeded,
)
from mmdistill.errors import UserError
from tests.helpers.heads import COORDINATES, HEADS
from tests.helpers.students import COCO, CODEC, HEAD, write_labels

ALL = dict(use_target_weight=True)
SQUARE = dict(type='IntegralRegressionLabel', input_size=(32, 32), heatmap_size=(8, 8))
FAMILIES = {
    **HEADS,
    'dark': dict(HEAD, decoder=dict(CODEC, unbiased=True)),
    'megvii': dict(
        HEAD,
        decoder=dict(
            type='MegviiHeatmap',
            input_size=(32, 32),
            heatmap_size=(8, 8),
            kernel_size=3,
        ),
    ),
    'combined': dict(
        HEAD,
        out_channels=51,
        loss=dict(type='CombinedTargetMSELoss', **ALL),
        decoder=dict(
            type='UDPHeatmap',
            input_size=(32, 32),
            heatmap_size=(8, 8),
            heatmap_type='combined',
        ),
    ),
    'ohkm': dict(HEAD, loss=dict(type='KeypointOHKMMSELoss', topk=17, **ALL)),
    'mse': dict(type='RegressionHead', loss=dict(type='MSELoss', **ALL), **COORDINATES),
    'smooth l1': dict(
        type='RegressionHead', loss=dict(type='SmoothL1Loss', **ALL), **COORDINATES
    ),
    'integral': dict(
        type='IntegralRegressionHead',
        in_channels=32,
        in_featuremap_size=(1, 1),
        num_joints=17,
        deconv_out_channels=(8, 8, 8),
        deconv_kernel_sizes=(4, 4, 4),
        loss=dict(type='SmoothL1Loss', **ALL),
        decoder=dict(SQUARE, sigma=1.0),
    ),
}
SQUARING = ('combined', 'ohkm', 'mse', 'smooth l1', 'integral')
WEIGHTS = dict(criterion='both', power=2.0, floor=0.05)
META = ('id', 'img_path', 'flip', 'flip_indices')


def steps(codec, *more):
    """Steps that augment; what is packed says whether it was flipped."""
    return [
        dict(type='LoadImage'),
        dict(type='GetBBoxCenterScale'),
        dict(type='RandomFlip', direction='horizontal', prob=0.5),
        dict(type='RandomHalfBody', min_total_keypoints=2, prob=0.5),
        dict(type='RandomBBoxTransform'),
        *more,
        dict(type='TopdownAffine', input_size=(32, 32), use_udp=True),
        dict(type='GenerateTarget', encoder=codec),
        dict(type='PackPoseInputs', meta_keys=META),
    ]


@pytest.fixture
def labels(tmp_path, request):
    """A store of 11 pseudo-labels."""
    return write_labels(tmp_path, request.getfixturevalue)


@pytest.fixture
def make(labels):
    """Make the data set of a codec."""

    def make(codec, *more, **options):
        init_default_scope('mmpose')
        return PseudoLabelDataset(
            str(labels.root), COCO, steps(codec, *more), **options
        )

    return make


def drawn(dataset, count=11):
    found = []
    for number in range(count):
        with seeded(number):
            found.append(dataset[number]['data_samples'])
    return found


def weights_by_loop(labels, settings):
    """The weight of each keypoint of each candidate that is kept, from the store."""
    read = labels.read().candidates
    visible = read.keypoint_scores > 0.2
    weights = np.zeros(visible.shape)
    for n, k in np.argwhere(visible):
        value = (
            float(read.keypoint_scores[n, k]) * float(read.keypoint_agreement[n, k])
        ) ** 0.5
        weights[n, k] = max(settings['floor'], value ** settings['power'])
    return weights / (weights.sum() / visible.sum())


def test_the_weights_are_those_of_a_loop_over_the_store(labels, make):
    dataset = make(CODEC, weights=WEIGHTS)
    dataset.full_init()
    expected = weights_by_loop(labels, WEIGHTS)
    np.testing.assert_allclose(dataset.labels.keypoint_weights, expected, rtol=1e-5)
    assert dataset.visible_weights.mean() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize('name', FAMILIES)
def test_weights_follow_their_keypoints(labels, make, name):
    codec = FAMILIES[name]['decoder']
    power = 2 if name in SQUARING else 1
    expected = weights_by_loop(labels, WEIGHTS)
    plain, weighted = make(codec), make(codec, weights=WEIGHTS, loss_power=power)
    pairs = [*zip(drawn(plain), drawn(weighted), strict=True)]

    assert {sample.flip for sample, _ in pairs} == {True, False}
    for one, other in pairs:
        order = one.flip_indices if one.flip else range(17)
        moved = [expected[one.id, source] ** (1 / power) for source in order]
        given = one.gt_instance_labels.keypoint_weights.numpy()
        assert given.shape == (1, 17)
        np.testing.assert_allclose(
            other.gt_instance_labels.keypoint_weights.numpy(),
            given * np.array(moved),
            rtol=1e-5,
        )


@pytest.mark.parametrize('name', FAMILIES)
def test_all_but_the_weights_is_that_of_plain_samples(make, name):
    codec = FAMILIES[name]['decoder']
    plain, weighted = drawn(make(codec)), drawn(make(codec, weights=WEIGHTS))
    for one, other in zip(plain, weighted, strict=True):
        assert one.metainfo.keys() == other.metainfo.keys()
        for key, value in one.gt_instances.items():
            assert np.array_equal(value, other.gt_instances[key])
        for key, value in one.gt_instance_labels.items():
            if key != 'keypoint_weights':
                assert torch.equal(value, other.gt_instance_labels[key])
        if 'gt_fields' in one:
            assert torch.equal(one.gt_fields.heatmaps, other.gt_fields.heatmaps)


def built(config):
    torch.manual_seed(0)
    head = MODELS.build(config)
    head.feats = nn.Parameter(0.1 * torch.randn(4, 32, 1, 1))
    # Coordinates in the middle of the crop: `SmoothL1Loss` squares small differences.
    for name, parameter in head.named_parameters():
        if name == 'fc.bias':
            nn.init.constant_(parameter, 0.5)
    # Batch statistics would tie samples together.
    return head.eval()


def loss(head, batch):
    return head.loss((head.feats,), batch, train_cfg=dict(compute_acc=False))[
        'loss_kpt'
    ]


def alone(batch, number, keypoint):
    """The batch in which a single keypoint has weight."""
    only = copy.deepcopy(batch)
    for index, sample in enumerate(only):
        weights = sample.gt_instance_labels.keypoint_weights
        kept = weights[0, keypoint].clone()
        weights.zero_()
        if index == number:
            weights[0, keypoint] = kept
    return only


@pytest.mark.parametrize('name', FAMILIES)
def test_a_keypoint_counts_its_weight_in_the_loss_and_its_gradient(make, name):
    head = built(FAMILIES[name])
    power = power_of_source(FAMILIES[name], 1.0, WeightsConfig(**WEIGHTS))
    assert power == (2 if name in SQUARING else 1)
    codec = FAMILIES[name]['decoder']
    plain = drawn(make(codec), 4)
    weighted = drawn(make(codec, weights=WEIGHTS, loss_power=power), 4)

    total = 0
    for number, (one, other) in enumerate(zip(plain, weighted, strict=True)):
        given, scaled = (s.gt_instance_labels.keypoint_weights[0] for s in (one, other))
        for keypoint in torch.nonzero(given).flatten().tolist():
            # Weighted alone, so that it is known how much the keypoint counts.
            weight = float(scaled[keypoint] / given[keypoint]) ** power
            total = total + weight * loss(head, alone(plain, number, keypoint))
    nothing = loss(head, alone(plain, -1, 0)).detach()

    assert nothing == 0
    whole = loss(head, weighted)
    torch.testing.assert_close(whole, total, rtol=1e-4, atol=1e-7)
    (gradient,) = torch.autograd.grad(whole, head.feats)
    (expected,) = torch.autograd.grad(total, head.feats)
    torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize('name', SQUARING)
def test_pseudo_weight_counts_itself_where_the_loss_squares_it(make, name):
    head = built(FAMILIES[name])
    codec = FAMILIES[name]['decoder']
    full, quarter = (
        loss(head, drawn(make(codec, pseudo_weight=weight, loss_power=2), 4))
        for weight in (1, 0.25)
    )
    assert full > 0
    torch.testing.assert_close(quarter, 0.25 * full)


TO_FIFTEEN = [*((n, n - 5) for n in range(5, 17)), ((5, 6), 12), ((11, 12), 13)]
"""Keypoints of COCO without its head, and the middles of shoulders and hips."""


@pytest.mark.parametrize('combined', [False, True])
def test_a_converter_maps_weights_as_coordinates(labels, make, combined):
    converter = dict(type='KeypointConverter', num_keypoints=15, mapping=TO_FIFTEEN)
    expected = weights_by_loop(labels, WEIGHTS)
    init_default_scope('mmpose')
    final = [step for step in steps(CODEC) if 'Flip' not in step['type']]
    final = [step for step in final if 'Half' not in step['type']]

    def samples(**options):
        own = [converter] if combined else [converter, *final]
        config = dict(
            type='mmdistill.PseudoLabelDataset',
            store=str(labels.root),
            metainfo=COCO,
            pipeline=own,
            **options,
        )
        if not combined:
            return drawn(MMPOSE.build(config))
        whole = SeededDataset(CombinedDataset(COCO, [config], pipeline=final))
        return [whole[SeededIndex(i, i)]['data_samples'] for i in range(len(whole))]

    middles = 0
    for one, other in zip(samples(), samples(weights=WEIGHTS), strict=True):
        row = expected[one.id]
        mapped = np.zeros(15)
        for source, target in TO_FIFTEEN:
            a, b = source if isinstance(source, tuple) else (source, source)
            mapped[target] = (row[a] + row[b]) / 2
        given = one.gt_instance_labels.keypoint_weights.numpy()
        np.testing.assert_allclose(
            other.gt_instance_labels.keypoint_weights.numpy(), given * mapped, 1e-5
        )
        middles += np.count_nonzero(given[0, 12:14])
    assert middles


def test_weights_reach_a_combined_set_through_flips(labels, make):
    expected = weights_by_loop(labels, WEIGHTS)
    init_default_scope('mmpose')

    def samples(**options):
        config = dict(
            type='mmdistill.PseudoLabelDataset',
            store=str(labels.root),
            metainfo=COCO,
            **options,
        )
        whole = SeededDataset(CombinedDataset(COCO, [config], pipeline=steps(CODEC)))
        return [whole[SeededIndex(i, i)]['data_samples'] for i in range(len(whole))]

    pairs = [*zip(samples(), samples(weights=WEIGHTS), strict=True)]
    assert {one.flip for one, _ in pairs} == {True, False}
    assert all(other.get('pseudo') for _, other in pairs)
    for one, other in pairs:
        order = one.flip_indices if one.flip else range(17)
        given = one.gt_instance_labels.keypoint_weights.numpy()
        np.testing.assert_allclose(
            other.gt_instance_labels.keypoint_weights.numpy(),
            given * expected[one.id][list(order)],
            rtol=1e-5,
        )


def test_a_combined_set_without_the_wrapper_is_refused(labels):
    init_default_scope('mmpose')
    config = dict(
        type='mmdistill.PseudoLabelDataset',
        store=str(labels.root),
        metainfo=COCO,
        weights=WEIGHTS,
    )
    whole = CombinedDataset(COCO, [config], pipeline=steps(CODEC))
    with pytest.raises(UserError, match='weights in a CombinedDataset needs'):
        check_weights_carried(whole)
    check_weights_carried(SeededDataset(whole))


LEVELS = [dict(CODEC, sigma=sigma) for sigma in (1, 1.5, 2)]


def test_each_level_of_targets_gets_the_root_of_its_own_loss(labels, make):
    expected = weights_by_loop(labels, WEIGHTS)
    init_default_scope('mmpose')
    pipeline = steps(LEVELS)
    pipeline[-2]['multilevel'] = True
    plain, weighted, scaled = (
        drawn(PseudoLabelDataset(str(labels.root), COCO, pipeline, **options))
        for options in (
            {},
            dict(weights=WEIGHTS, loss_power=[1, 2, 1]),
            dict(pseudo_weight=0.25, loss_power=[1, 2, 1]),
        )
    )
    for one, other, third in zip(plain, weighted, scaled, strict=True):
        order = list(one.flip_indices if one.flip else range(17))
        factors = expected[one.id][order]
        given, found, quarter = (
            each.gt_instance_labels.keypoint_weights.numpy()
            for each in (one, other, third)
        )
        assert given.shape == (3, 1, 17)
        for level, power in enumerate((1, 2, 1)):
            np.testing.assert_allclose(
                found[level], given[level] * factors ** (1 / power), rtol=1e-5
            )
            np.testing.assert_allclose(
                quarter[level], given[level] * 0.25 ** (1 / power), rtol=1e-6
            )


def test_powers_of_other_levels_are_refused(labels):
    init_default_scope('mmpose')
    pipeline = steps(LEVELS)
    pipeline[-2]['multilevel'] = True
    dataset = PseudoLabelDataset(
        str(labels.root), COCO, pipeline, weights=WEIGHTS, loss_power=[1, 2]
    )
    with pytest.raises(UserError, match='a number for each of the 3 levels'):
        dataset[0]


@pytest.mark.parametrize('power', [0, 3, 'two', [], [1, 0]])
def test_a_power_that_is_none_is_refused(make, power):
    with pytest.raises(UserError, match='loss_power must be 1 or 2'):
        make(CODEC, loss_power=power)


@pytest.mark.parametrize(
    ('weights', 'sentence'),
    [
        (dict(criterium='score'), 'did you mean criterion'),
        (dict(criterion='area'), "weights.criterion must be one of 'agreement'"),
        (dict(power=-1), 'weights.power must be a number from 0 to 10'),
        (0.5, 'weights must be a dict, got 0.5'),
    ],
)
def test_wrong_weights_are_refused(make, weights, sentence):
    with pytest.raises(UserError, match=sentence):
        make(CODEC, weights=weights)


class Reject(BaseTransform):
    """Gives up every sample."""

    def transform(self, results):
        return None


def test_a_sample_that_is_rejected_is_replaced_as_without_weights(labels, make):
    dataset = make(CODEC, dict(type=Reject), weights=WEIGHTS)
    assert dataset.prepare_data(0) is None


def test_a_pipeline_whose_targets_are_not_seen_is_refused(labels):
    init_default_scope('mmpose')
    pipeline = steps(CODEC)
    pipeline[-2] = dict(type='RandomApply', transforms=[pipeline[-2]], prob=1.0)
    dataset = PseudoLabelDataset(str(labels.root), COCO, pipeline, weights=WEIGHTS)
    with pytest.raises(UserError, match='need a GenerateTarget among the steps'):
        dataset[0]


SIGMAS = {'msra': 1, 'dark': 1, 'udp': 1, 'simcc': 2}


@pytest.mark.parametrize('name', SIGMAS)
def test_targets_are_those_of_a_codec_with_the_wider_sigma(make, name):
    codec = FAMILIES[name]['decoder']
    assert codec['sigma'] == SIGMAS[name]
    wide = make(codec, weights=dict(power=0, sigma=1.5))
    other = make(dict(codec, sigma=SIGMAS[name] * 1.5))
    narrow = make(codec)
    changed = False
    for one, two, three in zip(*map(drawn, (wide, other, narrow)), strict=True):
        for key, value in one.gt_instance_labels.items():
            assert torch.equal(value, two.gt_instance_labels[key])
            changed |= not torch.equal(value, three.gt_instance_labels[key])
        if 'gt_fields' in one:
            assert torch.equal(one.gt_fields.heatmaps, two.gt_fields.heatmaps)
            changed |= not torch.equal(one.gt_fields.heatmaps, three.gt_fields.heatmaps)
    assert changed


@pytest.mark.parametrize('name', ['megvii', 'combined', 'l1', 'integral'])
def test_a_sigma_for_targets_without_one_is_refused(make, name):
    dataset = make(FAMILIES[name]['decoder'], weights=dict(sigma=2.0))
    codec = FAMILIES[name]['decoder']['type']
    with pytest.raises(UserError, match=rf'targets of {codec}.* have no sigma'):
        dataset[0]


@pytest.mark.parametrize('whole', [ConcatDataset, CombinedDataset])
def test_samples_that_are_not_packed_have_visibilities_alone(labels, whole):
    """As `browse_dataset.py` draws them, without a pipeline."""
    init_default_scope('mmpose')
    config = dict(
        type='mmdistill.PseudoLabelDataset',
        store=str(labels.root),
        metainfo=COCO,
        weights=WEIGHTS,
    )
    if whole is CombinedDataset:
        sources = CombinedDataset(COCO, [config], pipeline=[])
    else:
        sources = ConcatDataset([MMPOSE.build(config)])
    sample = SeededDataset(sources)[SeededIndex(3, 0)]
    assert sample['keypoints_visible'].shape == (1, 17)


@pytest.mark.parametrize('name', FAMILIES)
def test_weights_of_one_are_no_weights_bit_for_bit(make, name):
    codec = FAMILIES[name]['decoder']
    plain = drawn(make(codec), 4)
    for options in (dict(weights=dict(power=0)), dict(pseudo_weight=1, loss_power=2)):
        for one, other in zip(plain, drawn(make(codec, **options), 4), strict=True):
            for key, value in one.gt_instance_labels.items():
                assert torch.equal(value, other.gt_instance_labels[key])
                assert value.dtype == other.gt_instance_labels[key].dtype
            if 'gt_fields' in one:
                assert torch.equal(one.gt_fields.heatmaps, other.gt_fields.heatmaps)
