"""The weight of pseudo-labels in the losses of the host's heads."""

from __future__ import annotations

import pytest
import torch
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS
from torch import nn

from mmdistill.datasets.sample_tags import scale_keypoint_weights
from mmdistill.errors import UserError
from tests.helpers.heads import HEADS, samples
from tests.helpers.students import HEAD, write_labels


@pytest.fixture
def labels(tmp_path, request):
    """A store of 11 pseudo-labels."""
    return write_labels(tmp_path, request.getfixturevalue)


def loss(head, batch):
    return head.loss((head.feats,), batch, train_cfg={})['loss_kpt']


def built(config):
    init_default_scope('mmpose')
    torch.manual_seed(0)
    head = MODELS.build(config).eval()
    head.feats = nn.Parameter(torch.randn(4, 32, 1, 1))
    return head


@pytest.mark.parametrize('name', HEADS)
def test_the_loss_is_linear_in_the_weight(labels, name):
    head = built(HEADS[name])
    full = loss(head, samples(labels, HEADS[name]))
    half = loss(head, samples(labels, HEADS[name], pseudo_weight=0.5))

    assert full.abs() > 1e-6
    torch.testing.assert_close(half, 0.5 * full)


@pytest.mark.parametrize('name', HEADS)
def test_a_weight_of_0_trains_nothing(labels, name):
    head = built(HEADS[name])
    loss(head, samples(labels, HEADS[name], pseudo_weight=0)).backward()

    gradients = [p.grad for p in head.parameters() if p.grad is not None]
    assert gradients
    assert not any(gradient.any() for gradient in gradients)


@pytest.mark.parametrize('name', HEADS)
def test_a_keypoint_that_is_masked_trains_nothing(labels, name):
    head = built(HEADS[name])
    batch = samples(labels, HEADS[name], pseudo_weight=2)
    masked = [s.gt_instances.keypoints_visible[0] == 0 for s in batch]
    weights = [s.gt_instance_labels.keypoint_weights[0] for s in batch]

    assert any(mask.any() for mask in masked)
    assert not any(w[m].any() for w, m in zip(weights, masked, strict=True))
    before = loss(head, batch).detach()
    for sample, mask in zip(batch, masked, strict=True):
        for key, value in sample.gt_instance_labels.items():
            if key != 'keypoint_weights' and value.shape[:2] == (1, 17):
                value[0, mask] += 0.5
        if 'gt_fields' in sample:
            sample.gt_fields.heatmaps[mask] += 0.5
    torch.testing.assert_close(loss(head, batch).detach(), before)


def test_unpacked_samples_are_unchanged():
    results = dict(keypoints=[[1, 2]])
    assert scale_keypoint_weights(results, 0.5) is results
    assert scale_keypoint_weights(None, 0.5) is None


@pytest.mark.parametrize('weight', [-0.1, float('nan'), float('inf'), '1'])
def test_a_weight_that_is_none_is_refused(labels, weight):
    with pytest.raises(UserError, match='pseudo_weight must be a number of at least 0'):
        samples(labels, HEAD, pseudo_weight=weight)
