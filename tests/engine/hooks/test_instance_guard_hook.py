"""A batch without an instance is named, where a head has no loss on it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from mmengine.structures import InstanceData
from mmpose.models.heads.hybrid_heads import DEKRHead, RTMOHead, YOLOXPoseHead
from mmpose.structures import PoseDataSample
from torch import nn

from mmdistill.engine.hooks.instance_guard_hook import InstanceGuardHook
from mmdistill.errors import DataError


def step(kind, counts, use_aux_loss=False):
    model, head = nn.Module(), kind.__new__(kind)
    nn.Module.__init__(head)
    head.use_aux_loss = use_aux_loss
    model.head = head
    samples = [
        PoseDataSample(gt_instance_labels=InstanceData(bboxes=torch.zeros(count, 4)))
        for count in counts
    ]
    runner = SimpleNamespace(model=model, iter=7)
    InstanceGuardHook().before_train_iter(runner, 0, dict(data_samples=samples))


@pytest.mark.parametrize(('kind', 'aux'), [(RTMOHead, False), (YOLOXPoseHead, True)])
def test_a_batch_without_an_instance_is_refused(kind, aux):
    step(kind, (0, 1), aux)
    with pytest.raises(DataError, match=r'none of the 2 images of iteration 7 .*size'):
        step(kind, (0, 0), aux)


@pytest.mark.parametrize('kind', [YOLOXPoseHead, DEKRHead])
def test_heads_that_learn_of_background_alone_may(kind):
    step(kind, (0, 0))
