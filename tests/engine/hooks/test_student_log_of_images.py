"""Losses by kind of the heads of whole images, and where a kind has none."""

from __future__ import annotations

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from mmpose.registry import MODELS
from torch import nn

from mmdistill.datasets import PseudoImageDataset
from mmdistill.datasets.seeded_dataset import seeded
from mmdistill.engine.hooks.student_log_hook import losses_by_kind
from tests.helpers.image_students import published, shrink
from tests.helpers.students import COCO, write_labels

STUDENTS = ('rtmo-s', 'yoloxpose-s', 'dekr', 'cid')


@pytest.fixture(scope='module')
def make_batch():
    """Build a student's head, and features and samples of a batch of four images."""
    made = {}

    def make(name, store):
        init_default_scope('mmpose')
        if name not in made:
            config = shrink(published(name))
            pipeline = config.train_dataloader.dataset.pipeline
            dataset = PseudoImageDataset(str(store.root), COCO, pipeline)
            torch.manual_seed(0)
            model = MODELS.build(config.model).train()
            with seeded(1):
                batch = pseudo_collate([dataset[number % 3] for number in range(4)])
            for sample in batch['data_samples']:
                if 'labels' in sample.gt_instance_labels:
                    # The store has three categories, the heads one class.
                    sample.gt_instance_labels.labels[:] = 0
            data = model.data_preprocessor(batch, training=False)
            with torch.no_grad():
                feats = model.extract_feat(data['inputs'])
            for layer in model.head.modules():
                # So that samples do not depend on the others of their batch.
                if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                    layer.eval()
            made[name] = model.head, feats, data['data_samples']
        return made[name]

    return make


@pytest.fixture
def batch(make_batch, tmp_path, request):
    return make_batch(request.param, write_labels(tmp_path, request.getfixturevalue))


@pytest.mark.parametrize('batch', STUDENTS, indirect=True)
def test_what_is_logged_is_what_the_head_reports_of_each_part(batch):
    head, feats, samples = batch

    found = losses_by_kind(head, feats, samples, 3, {})

    assert {name.rpartition('/')[2] for name in found} == {'labeled', 'pseudo'}
    assert all('loss' in name for name in found)
    for kind, rows in (('labeled', slice(0, 3)), ('pseudo', slice(3, 4))):
        part = tuple(level[rows] for level in feats)
        with torch.no_grad():
            expected = head.loss(part, samples[rows], train_cfg={})
        for key in (key for key in expected if 'loss' in key):
            value = float(expected[key].mean())
            assert float(found[f'{key}/{kind}']) == pytest.approx(value, 1e-4)


@pytest.mark.parametrize('batch', ['rtmo-s', 'yoloxpose-s'], indirect=True)
@pytest.mark.parametrize('aux', [False, True])
def test_a_kind_without_an_instance_does_not_stop_the_other(batch, aux):
    head, feats, samples = batch
    held = samples[3].gt_instance_labels
    samples[3].gt_instance_labels = held[:0]
    failed = []
    head.use_aux_loss = aux
    try:
        found = losses_by_kind(head, feats, samples, 3, {}, lambda *a: failed.append(a))
    finally:
        samples[3].gt_instance_labels = held
        head.use_aux_loss = False

    assert 'loss_bbox/labeled' in found
    assert 'loss_bbox/pseudo' not in found
    assert [kind for kind, _ in failed] == (['pseudo'] if aux else [])
    assert not [name for name in found if 'num_samples' in name]


@pytest.mark.parametrize('batch', ['rtmo-s'], indirect=True)
def test_a_single_positive_that_cannot_be_normalized_is_left_out(batch):
    head, feats, samples = batch
    # The layers of the coordinate classification normalize over positives.
    layers = [m for m in head.dcc.modules() if isinstance(m, nn.BatchNorm1d)]
    held = samples[3].gt_instance_labels
    samples[3].gt_instance_labels = held[:1]
    failed = []
    for layer in layers:
        layer.train()
    assign = head.assigner.assign

    def assign_one(pred_instances, gt_instances):
        found = assign(pred_instances=pred_instances, gt_instances=gt_instances)
        if len(gt_instances) == 1:
            found['gt_inds'][found['gt_inds'].nonzero()[1:]] = 0
        return found

    head.assigner.assign = assign_one
    try:
        found = losses_by_kind(head, feats, samples, 3, {}, lambda *a: failed.append(a))
    finally:
        samples[3].gt_instance_labels = held
        del head.assigner.assign

    assert layers
    assert 'loss_mle/labeled' in found
    assert not [name for name in found if name.endswith('/pseudo')]
    ((kind, error),) = failed
    assert kind == 'pseudo'
    assert 'more than 1 value per channel' in str(error)


def test_without_a_listener_an_error_is_raised():
    class Head(nn.Module):
        def loss(self, feats, samples, train_cfg):
            raise ValueError('no instance')

    with pytest.raises(ValueError, match='no instance'):
        losses_by_kind(Head(), (torch.zeros(1, 1),), [InstanceData()], 1, {})
