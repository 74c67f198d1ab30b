"""Heads of each kind, and samples of pseudo-labels for them."""

from __future__ import annotations

from mmengine.registry import init_default_scope

from mmdistill.datasets import PseudoLabelDataset
from mmdistill.datasets.seeded_dataset import seeded
from tests.helpers.students import COCO, CODEC, HEAD, pipeline

SIMCC = dict(type='SimCCLabel', input_size=(32, 32), sigma=2, simcc_split_ratio=2)


REGRESSION = dict(type='RegressionLabel', input_size=(32, 32))


COORDINATES = dict(in_channels=32, num_joints=17, decoder=REGRESSION)


WEIGHTED = dict(use_target_weight=True)


HEADS = {
    'msra': HEAD,
    'udp': dict(HEAD, decoder=dict(CODEC, type='UDPHeatmap')),
    'simcc': dict(
        type='SimCCHead',
        in_channels=32,
        out_channels=17,
        input_size=(32, 32),
        in_featuremap_size=(1, 1),
        deconv_out_channels=None,
        loss=dict(type='KLDiscretLoss', **WEIGHTED),
        decoder=SIMCC,
    ),
    'l1': dict(
        type='RegressionHead', loss=dict(type='L1Loss', **WEIGHTED), **COORDINATES
    ),
    'rle': dict(type='RLEHead', loss=dict(type='RLELoss', **WEIGHTED), **COORDINATES),
}


def samples(labels, head, **options):
    init_default_scope('mmpose')
    dataset = PseudoLabelDataset(
        str(labels.root), COCO, pipeline(head['decoder']), **options
    )
    found = []
    for number in range(4):
        with seeded(number):
            found.append(dataset[number]['data_samples'])
    return found
