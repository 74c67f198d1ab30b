"""Tests of fused poses in a script, beside MMPose's own of the same crops."""

import copy

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpose.apis import inference_bottomup as find_with_mmpose
from mmpose.apis import inference_topdown as inference_of_mmpose
from mmpose.codecs import MegviiHeatmap
from mmpose.structures import PoseDataSample, merge_data_samples

from mmdistill.apis import fuse_views, inference_bottomup, inference_topdown
from mmdistill.errors import UserError
from tests.helpers.finder_models import init_finder_model
from tests.helpers.small_model import init_small_model

BOXES = [[10.0, 20.0, 90.0, 150.0], [60.0, 5.0, 150.0, 110.0]]


@pytest.fixture
def model():
    return init_small_model()


@pytest.fixture
def image():
    noise = np.random.default_rng(0).uniform(0, 255, (20, 22, 3)).astype(np.uint8)
    return cv2.resize(noise, (176, 160), interpolation=cv2.INTER_CUBIC)


def one_view(model):
    return fuse_views(model, flip=False, channels_last=False)


def test_one_view_is_the_inference_of_mmpose(model, image):
    theirs = inference_of_mmpose(model, image, np.array(BOXES, np.float32))
    ours = inference_topdown(one_view(model), image, BOXES)
    for mine, other in zip(ours, theirs, strict=True):
        for key in ('keypoint_scores', 'bboxes', 'bbox_scores'):
            np.testing.assert_allclose(
                mine.pred_instances[key], other.pred_instances[key], atol=2e-3
            )


def test_one_resolution_is_the_inference_of_mmpose_at_that_input_size(image):
    torch.manual_seed(0)
    sizes = dict(input_size=(192, 256), heatmap_size=(48, 64))
    # The blur of DARK grows with sigma: 0.3 * ((25 - 1) / 2 - 1) + 0.8 is about 4.
    large = init_small_model(**sizes, sigma=4.0, blur_kernel_size=25)
    model = init_small_model()
    model.load_state_dict(large.state_dict())
    fused = fuse_views(model, flip=False, channels_last=False, resolutions=(2,))
    theirs = inference_of_mmpose(large, image, np.array(BOXES, np.float32))
    ours = inference_topdown(fused, image, BOXES)
    for mine, other in zip(ours, theirs, strict=True):
        mine, other = mine.pred_instances, other.pred_instances
        np.testing.assert_allclose(
            mine.keypoint_scores, other.keypoint_scores, atol=2e-3
        )
        # Where noise is flat, its refinement multiplies a rounded gray level.
        errors = np.abs(mine.keypoints - other.keypoints)
        assert np.median(errors) < 0.01


def test_crops_are_cut_as_the_pipeline_of_the_config_cuts_them(model):
    wrapper = fuse_views(model)
    assert wrapper.padding == 1.1
    assert wrapper.adapter.frame.use_udp is True


def test_models_are_fused_by_the_names_of_their_keypoints(model, image):
    other = copy.deepcopy(model)
    order = [*range(5, 17), *range(5)]
    layer = other.head.final_layer
    layer.weight.data, layer.bias.data = (
        layer.weight[order].data,
        layer.bias[order].data,
    )
    names = model.dataset_meta['keypoint_id2name']
    other.dataset_meta = {
        **model.dataset_meta,
        'keypoint_id2name': {i: names[k] for i, k in enumerate(order)},
    }
    views = dict(scales=(0.8, 1.0), fold_batch_norm=False)

    alone, both = (
        inference_topdown(fuse_views(models, **views), image, BOXES)
        for models in (model, [model, other])
    )

    for one, two in zip(alone, both, strict=True):
        for key in ('keypoints', 'keypoint_scores'):
            np.testing.assert_allclose(
                two.pred_instances[key], one.pred_instances[key], atol=2e-2
            )


def test_models_of_other_keypoints_are_refused(model):
    other = copy.deepcopy(model)
    other.dataset_meta = {
        **model.dataset_meta,
        'keypoint_id2name': {i: f'point {i}' for i in range(17)},
    }
    with pytest.raises(UserError, match=r"same keypoints by name, got .*'point 0'"):
        fuse_views([model, other])


@pytest.mark.parametrize('named', [False, True])
def test_a_model_that_cannot_be_fused_is_named_as_the_caller_gave_it(
    model, named, tmp_path
):
    file = tmp_path / 'other.py'
    other = copy.deepcopy(model)
    other.head.decoder = MegviiHeatmap((96, 128), (24, 32), kernel_size=9)
    if named:
        other.cfg.dump(file)
        other.cfg = Config.fromfile(file)
    fewer = copy.deepcopy(other)
    fewer.dataset_meta = {
        **model.dataset_meta,
        'keypoint_id2name': {i: f'point {i}' for i in range(17)},
    }
    for refused in (other, fewer):
        with pytest.raises(UserError) as caught:
            fuse_views([model, model, refused])
        sentence = str(caught.value)
        name = f'model[2], of {file}' if named else 'model[2]'
        assert sentence.startswith(f'{name}: ')
        assert 'distill' not in sentence


def test_there_is_a_data_sample_a_box_which_mmpose_can_merge(model, image):
    samples = inference_topdown(fuse_views(model, scales=(0.8, 1.0)), image, BOXES)
    assert [type(sample) for sample in samples] == [PoseDataSample] * 2
    merged = merge_data_samples(samples)
    assert merged.pred_instances.keypoints.shape == (2, 17, 2)
    assert merged.pred_instances.keypoint_agreement.shape == (2, 17)


def test_an_image_can_be_named(model, image, tmp_path):
    path = tmp_path / 'image.png'
    cv2.imwrite(str(path), image)
    wrapper = one_view(model)
    named, at_path, given = (
        inference_topdown(wrapper, source, BOXES)[1].pred_instances.keypoints
        for source in (str(path), path, image)
    )
    np.testing.assert_array_equal(named, given)
    np.testing.assert_array_equal(at_path, given)


def test_boxes_can_be_corners_and_sizes(model, image):
    sizes = [[x, y, x2 - x, y2 - y] for x, y, x2, y2 in BOXES]
    wrapper = one_view(model)
    corners, others = (
        inference_topdown(wrapper, image, boxes, bbox_format)[0].pred_instances
        for boxes, bbox_format in ((BOXES, 'xyxy'), (sizes, 'xywh'))
    )
    np.testing.assert_array_equal(corners.keypoints, others.keypoints)


def test_no_box_is_no_pose(model, image):
    assert inference_topdown(fuse_views(model), image, []) == []


@pytest.mark.parametrize(
    ('boxes', 'bbox_format', 'message'),
    [
        (BOXES, 'cxcywh', "bbox_format must be xyxy or xywh, got 'cxcywh'"),
        ([1.0, 2, 3, 4], 'xyxy', r'must have the shape \(N, 4\), got \(4,\)'),
        ([[1.0, 2, 3]], 'xyxy', r'must have the shape \(N, 4\), got \(1, 3\)'),
        ([['left', 2, 3, 4]], 'xyxy', 'must be numbers'),
        ([[1, 2, float('nan'), 4]], 'xyxy', r'a box must go .* got \[1.0, 2.0, nan'),
        ([[1, 2, float('inf'), 4]], 'xyxy', 'a box must go from its left upper'),
        ([[5, 2, 3, 4]], 'xyxy', r'a box must go .* got \[5.0, 2.0, 3.0, 4.0\]'),
        ([[5, 2, 3, -4]], 'xywh', 'a box must go from its left upper'),
    ],
)
def test_unusable_boxes_are_refused(model, image, boxes, bbox_format, message):
    with pytest.raises(UserError, match=message):
        inference_topdown(fuse_views(model), image, boxes, bbox_format)


@pytest.mark.parametrize(
    ('img', 'told'),
    [
        (np.zeros((9, 8), np.uint8), r'\(9, 8\)'),
        (np.zeros((9, 8, 4), np.uint8), r'\(9, 8, 4\)'),
        (None, 'NoneType'),
    ],
)
def test_an_unusable_image_is_refused(model, img, told):
    with pytest.raises(UserError, match=f'img must be a path or .*, got {told}'):
        inference_topdown(fuse_views(model), img, BOXES)


def test_mirror_partners_of_a_scrambled_training_are_those_of_the_pairs(model, image):
    expected = inference_topdown(fuse_views(model, flip=True), image, BOXES)
    right = model.dataset_meta['flip_indices']
    model.dataset_meta = {**model.dataset_meta, 'flip_indices': right[::-1]}

    samples = inference_topdown(fuse_views(model, flip=True), image, BOXES)

    for mine, other in zip(samples, expected, strict=True):
        np.testing.assert_array_equal(
            mine.pred_instances.keypoints, other.pred_instances.keypoints
        )


@pytest.fixture
def finder():
    return init_finder_model()


def test_one_view_of_a_finder_is_the_inference_of_mmpose(finder, image):
    (theirs,) = find_with_mmpose(finder, image)
    (ours,) = inference_bottomup(fuse_views(finder, flip=False), image)

    order = np.argsort(-theirs.pred_instances.bbox_scores, kind='stable')
    expected = theirs.pred_instances[order]
    assert len(expected) >= 3
    for key, atol in (('keypoints', 1e-3), ('bboxes', 1e-3), ('bbox_scores', 1e-4)):
        np.testing.assert_allclose(ours.pred_instances[key], expected[key], atol=atol)


def test_finders_are_fused_with_each_other_alone(finder, model, image):
    (alone,) = inference_bottomup(fuse_views(finder), image)
    (twice,) = inference_bottomup(fuse_views([finder, finder]), image)
    assert (twice.pred_instances.num_views == 2 * alone.pred_instances.num_views).all()
    np.testing.assert_allclose(
        twice.pred_instances.keypoints, alone.pred_instances.keypoints, atol=1e-3
    )

    with pytest.raises(UserError, match=r'model\[1\]: .* all find instances'):
        fuse_views([finder, model])
    other = copy.copy(finder)
    names = {i: f'k{2 - i}' for i in range(3)}
    other.dataset_meta = dict(finder.dataset_meta, keypoint_id2name=names)
    with pytest.raises(UserError, match=r'order, which must be that of the first'):
        fuse_views([finder, other])
