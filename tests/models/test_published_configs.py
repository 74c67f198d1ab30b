"""Every family on published configs of MMPose, against MMPose's own predictions.

All see the same crops, which MMPose's own pipeline cuts.
"""

import numpy as np
import pytest
import torch
from mmpose.models.utils.tta import flip_heatmaps, flip_vectors

from mmdistill.functional.views import View
from mmdistill.models import HeatmapFusionTTA
from mmdistill.models.adapters.heatmap import last_stage
from tests.helpers.crew import Crew
from tests.helpers.published import PUBLISHED

NAMES = 'keypoints', 'keypoint_scores', 'keypoints_visible'
SCALES = (1.25, 0.8)


@pytest.fixture(scope='module', params=PUBLISHED)
def crew(request):
    return Crew(PUBLISHED[request.param])


def test_one_view_is_what_mmpose_predicts(crew):
    own = crew.predict()
    assert np.ptp(own['keypoints'], axis=(0, 1)).min() > 1
    assert_same(crew.fuse(flip=False), own, pixels=1e-4)


def test_a_model_has_its_data_sets_keypoints_whatever_its_channels(crew):
    # The estimator is shared: its memory format stays.
    fused = HeatmapFusionTTA(
        crew.estimator, flip=False, fold_batch_norm=False, channels_last=False
    )

    assert fused.num_keypoints == len(crew.flip_indices)


def test_a_flip_is_mmposes_own_flip_test_at_the_exact_position(crew):
    """MMPose's is exact for coordinates and UDP, and else off by `shift` cells."""
    mode = 'udp_combined' if crew.published.kind == 'offsets' else 'heatmap'
    exact = dict(shift_heatmap=False, shift_coords=True)
    own = crew.predict(flip_test=True, flip_mode=mode, **exact)
    if crew.published.kind == 'coordinates':
        own['keypoints'] = weighted([crew.predict(), mirrored(crew.predict(), own)])
    elif crew.published.shift != 0:
        own |= decoded(crew, flipped_cells(crew))
    assert_same(crew.fuse(flip=True), own, pixels=1e-3)


def test_scaled_views_are_crops_of_the_image_by_hand(crew):
    each = [crew.predict(scale) for scale in SCALES]
    by_hand = {name: np.mean([one[name] for one in each], axis=0) for name in NAMES}
    if crew.published.kind == 'coordinates':
        by_hand['keypoints'] = weighted(each)
    else:
        by_hand |= decoded(crew, scaled_cells(crew))
    assert_same(crew.fuse(scales=SCALES, flip=False), by_hand, pixels=5e-3)


def assert_same(fused, expected, pixels):
    for name, tolerance in zip(NAMES, (pixels, 1e-4, 1e-3), strict=True):
        found = getattr(fused, name)
        np.testing.assert_allclose(found, expected[name], atol=tolerance, rtol=0)


def weighted(predictions):
    """Mean keypoints of some predictions, weighted by their scores."""
    weights = np.stack([each['keypoint_scores'] for each in predictions])[..., None]
    keypoints = np.stack([each['keypoints'] for each in predictions])
    return (weights * keypoints).sum(0) / weights.sum(0)


def mirrored(first, both):
    """What MMPose predicted of the mirror image, where it averaged the two."""
    return {name: 2 * both[name] - first[name] for name in NAMES}


def output_of(crew, view):
    """The head's heatmaps, or its vectors along x and y, of a view."""
    output = crew.output(crew.pixels(view))
    if hasattr(crew.estimator.head, 'pose_head'):
        output, _ = output
    return last_stage(output)


def flipped_cells(crew):
    """The mean of what MMPose averages in its flip test, moved to its exact place."""
    first, second = (output_of(crew, View(flip=flip)) for flip in (False, True))
    if crew.published.kind == 'heatmaps':
        second = (flip_heatmaps(second, crew.flip_indices, shift_heatmap=False),)
        first = (first,)
    else:
        second = flip_vectors(*second, crew.flip_indices)
    first, second = ([part.numpy() for part in each] for each in (first, second))
    cells = np.arange(second[0].shape[-1]) - crew.published.shift
    second[0] = read(second[0], np.stack([cells, cells]))
    return [averaged(parts) for parts in zip(first, second, strict=True)]


def scaled_cells(crew):
    """The mean of scaled views, each read where it shows the reference's cells."""
    outputs = [output_of(crew, View(scale)) for scale in SCALES]
    outputs = [each if isinstance(each, tuple) else (each,) for each in outputs]
    return [
        averaged([at_reference(part, crew, scale, i) for part, scale in parts])
        for i, parts in enumerate(
            [(each[i], scale) for each, scale in zip(outputs, SCALES, strict=True)]
            for i in range(len(outputs[0]))
        )
    ]


def at_reference(values, crew, scale, i):
    """A view's heatmaps, or vectors along axis i, at the reference's cells."""
    values = values.numpy()
    if values.ndim == 3:
        return read(values, crew.cells(scale, i, values.shape[2]))
    if crew.published.kind == 'offsets':
        values[:, 1::3] /= scale
        values[:, 2::3] /= scale
    values = read(values, crew.cells(scale, 0, values.shape[3])).swapaxes(2, 3)
    return read(values, crew.cells(scale, 1, values.shape[3])).swapaxes(2, 3)


def read(values, places):
    """Values (2, ..., w) at cells (2, w) of their last axis, nan beyond its ends."""
    cells = np.arange(values.shape[-1])
    read_rows = [
        [np.interp(at, cells, row, np.nan, np.nan) for row in rows]
        for at, rows in zip(places, values.reshape(2, -1, len(cells)), strict=True)
    ]
    return np.reshape(read_rows, values.shape)


def averaged(parts):
    """The mean of the views that show a cell; other cells are as low as the lowest."""
    mean = np.nanmean(np.stack(parts), axis=0)
    return np.where(np.isnan(mean), np.nanmin(mean, axis=-1, keepdims=True), mean)


def decoded(crew, fused):
    """What MMPose makes of fused heatmaps, or of fused vectors along x and y."""
    tensors = tuple(torch.from_numpy(each).float() for each in fused)
    found = crew.to_image(crew.decode(tensors[0] if len(tensors) == 1 else tensors))
    if hasattr(crew.estimator.head, 'pose_head'):
        found.pop('keypoints_visible')
    return found
