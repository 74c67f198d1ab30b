"""Agreement of views on keypoints whose positions in the image are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mmdistill.functional.scoring import AREA_OF_BOX
from mmdistill.models import HeatmapFusionTTA
from tests.helpers.cell_reader import CELLS, CODECS

SIGMA = 0.005
"""OKS sigma of a keypoint that must be known to a fraction of a cell."""


@pytest.mark.parametrize('codec', CODECS)
def test_views_of_the_same_bumps_agree_within_a_tenth_of_a_cell(
    codec, make_estimator, some_images
):
    """Whole cells are off by sqrt(1/6) of a cell on average in the plane."""
    wrapper = HeatmapFusionTTA(
        make_estimator(codec),
        scales=(0.9, 1.0, 1.15),
        rotations=(-20, 20),
        sigmas=[SIGMA] * 3,
    )
    images = [torch.from_numpy(i.transpose(2, 0, 1).copy()) for i in some_images.images]

    # A mirrored image shows each bump in the color that it had.
    poses = wrapper.fuse(images, some_images.boxes, [0, 1, 2])

    boxes = np.concatenate(some_images.boxes)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    tolerance = 2 * AREA_OF_BOX * areas[:, None] * (2 * SIGMA) ** 2
    spread = -np.log(poses.keypoint_agreement) * tolerance
    crops = wrapper.teachers[0].crops(torch.from_numpy(boxes))
    cells = crops.extents.numpy()[:, 0] / CELLS[0]
    assert (np.sqrt(spread) / cells[:, None]).max() < 0.1
