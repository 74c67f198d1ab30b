"""How views of a block of instances share forward passes."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmdistill.functional.crops import boxes_to_crops
from mmdistill.functional.fusion import EVERY
from mmdistill.functional.view_plan import ViewPlan, make_views
from mmdistill.models.adapters.build import build_adapter
from mmdistill.models.network import forward_of
from mmdistill.models.view_fuser import ViewFuser

FLIP_INDICES = [0, 2, 1]
BOXES = torch.tensor([[10.0, 10, 50, 70], [0, 0, 90, 80]])


class Fused:
    """Poses of two instances in six views, and the batches that they took."""

    def __init__(self, estimator, batch_size):
        self.sizes = []
        self._forward = forward_of(estimator)
        adapter = build_adapter(estimator)
        self._frame = adapter.frame
        plan = ViewPlan(make_views((0.8, 1.0, 1.25), flip=True))
        teacher = SimpleNamespace(adapter=adapter, network=self._network, kept=None)
        fuser = ViewFuser(plan, 'mean', None, None, FLIP_INDICES, batch_size)
        seen = fuser.begin(teacher, self._inputs, boxes_to_crops(BOXES, 1.25, 0.75))
        with torch.no_grad():
            fuser.see(seen, plan.views, EVERY)
            self.poses = fuser.fuse([seen])

    def _network(self, inputs):
        self.sizes.append(len(inputs))
        return self._forward(inputs)

    def _inputs(self, view, rows):
        generator = torch.Generator().manual_seed(int(100 * view.scale))
        size = 2, 3, self._frame.height, self._frame.width
        inputs = torch.randn(size, generator=generator)[rows]
        return inputs.flip(-1) if view.flip else inputs


@pytest.mark.parametrize(
    ('batch_size', 'expected'), [(12, [12]), (8, [8, 4]), (5, [4, 4, 4]), (1, [2] * 6)]
)
def test_a_forward_pass_holds_as_many_views_as_fit(
    make_estimator, batch_size, expected
):
    assert Fused(make_estimator(), batch_size).sizes == expected


def test_poses_do_not_depend_on_the_passes(make_estimator):
    estimator = make_estimator()
    one, other = (Fused(estimator, size).poses for size in (1, 12))
    np.testing.assert_allclose(one.keypoints, other.keypoints, atol=1e-3)
    np.testing.assert_allclose(one.keypoint_scores, other.keypoint_scores, atol=1e-5)
    np.testing.assert_allclose(
        one.keypoint_agreement, other.keypoint_agreement, atol=1e-4
    )
