"""Tests of visibility that is predicted beside the poses of another head."""

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS

from mmdistill.errors import UserError
from mmdistill.functional.crops import Crops
from mmdistill.functional.fusion import EVERY
from mmdistill.functional.views import View
from mmdistill.models.adapters.regression import CoordinateAdapter
from mmdistill.models.adapters.visibility import VisibilityAdapter

INPUT = (96, 128)
FLIP_INDICES = [0, 2, 1]


def make_head(use_sigmoid):
    init_default_scope('mmpose')
    torch.manual_seed(0)
    decoder = dict(type='RegressionLabel', input_size=INPUT)
    pose = dict(type='RegressionHead', in_channels=4, num_joints=3, decoder=decoder)
    loss = dict(type='BCELoss', use_target_weight=False, use_sigmoid=use_sigmoid)
    return MODELS.build(dict(type='VisPredictHead', pose_cfg=pose, loss=loss)).eval()


@pytest.fixture
def crops():
    extents = torch.tensor([[96.0, 128.0]]).expand(2, 2)
    return Crops(torch.zeros(2, 2), extents, extents.prod(1))


@pytest.fixture
def feats():
    """Feature maps of two crops, and of their mirror images."""
    generator = torch.Generator().manual_seed(2)
    return [(torch.randn(2, 4, 1, 1, generator=generator),) for _ in range(2)]


def fuse(head, crops, feats):
    adapter = VisibilityAdapter(head, CoordinateAdapter(head.pose_head))
    fusing = adapter.start(2, FLIP_INDICES, 'mean')
    for view, each in zip((View(), View(flip=True)), feats, strict=False):
        fusing.add(view, adapter.evidence(head.forward(each)), crops, EVERY)
    return fusing


@pytest.mark.parametrize('use_sigmoid', [True, False])
@pytest.mark.parametrize('views', [1, 2])
@torch.no_grad()
def test_poses_and_visibility_are_what_the_head_predicts(
    use_sigmoid, views, crops, feats
):
    head = make_head(use_sigmoid)
    poses = fuse(head, crops, feats[:views]).decode()

    own = dict(flip_indices=FLIP_INDICES, input_size=INPUT)
    sample = type('Sample', (), dict(metainfo=own))()
    given = feats[0] if views == 1 else feats
    test_cfg = dict(flip_test=views == 2)
    instances, _ = head.predict(given, [sample], test_cfg)

    for name in ('keypoints', 'keypoint_scores', 'keypoints_visible'):
        expected = np.concatenate([getattr(each, name) for each in instances])
        np.testing.assert_allclose(getattr(poses, name), expected, atol=1e-5)


@torch.no_grad()
def test_visibility_of_heads_without_sigmoid_is_a_probability(crops, feats):
    poses = fuse(make_head(use_sigmoid=False), crops, feats).decode()
    assert ((poses.keypoints_visible > 0) & (poses.keypoints_visible < 1)).all()
    assert poses.keypoints_visible.shape == (2, 3)


@torch.no_grad()
def test_spread_is_that_of_the_poses(crops, feats):
    head = make_head(use_sigmoid=True)
    alone = CoordinateAdapter(head.pose_head)
    fusing = alone.start(2, FLIP_INDICES, 'mean')
    for view, each in zip((View(), View(flip=True)), feats, strict=True):
        output = alone.evidence(head.pose_head.forward(each))
        fusing.add(view, output, crops, EVERY)
    assert torch.equal(fuse(head, crops, feats).spread(), fusing.spread())


def test_what_the_poses_refuse_is_refused():
    head = make_head(use_sigmoid=True)
    adapter = VisibilityAdapter(head, CoordinateAdapter(head.pose_head))
    with pytest.raises(UserError, match='RegressionHead'):
        adapter.check([View()], 'max')


def test_the_frame_is_that_of_the_poses():
    head = make_head(use_sigmoid=True)
    poses = CoordinateAdapter(head.pose_head, use_udp=True)
    assert VisibilityAdapter(head, poses).frame == poses.frame
