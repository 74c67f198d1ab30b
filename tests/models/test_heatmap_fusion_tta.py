"""Tests of the fusing wrapper, against MMPose's own predictions."""

import cv2
import numpy as np
import pytest
import torch
from mmpose.models.utils.tta import flip_heatmaps

from mmdistill.errors import UserError
from mmdistill.models import HeatmapFusionTTA

FLIP_INDICES = [0, 2, 1]
CODECS = ('MSRA', 'DARK', 'UDP', 'Megvii')
SCALES = (0.75, 1.0, 1.25)
BOX_TO_SIDES = np.array([[-1, 0], [0, -1], [1, 0], [0, 1]])


def fuse_given(wrapper, given):
    """Fused poses of inputs already cut, a flipped view being their mirror image."""

    def crops_of(view, rows):
        return (given.pixels.flip(-1) if view.flip else given.pixels)[rows]

    return wrapper.fuse_crops(crops_of, given.crops, FLIP_INDICES)


def as_tensors(images):
    return [torch.from_numpy(image).permute(2, 0, 1) for image in images]


def fuse_images(wrapper, given):
    return wrapper.fuse(as_tensors(given.images), given.boxes, FLIP_INDICES)


def assert_same_poses(ours, theirs, pixels=1e-4, score=1e-6):
    keypoints, scores = theirs
    np.testing.assert_allclose(ours.keypoints, keypoints, rtol=0, atol=pixels)
    np.testing.assert_allclose(ours.keypoint_scores, scores, rtol=0, atol=score)


@torch.no_grad()
def exact_plain_flip_test(estimator, given):
    """MMPose's flip test of a plain-warp codec, but with the exact flip shift.

    Input pixel p of the mirror image shows pixel W - 1 - p. Cell i lies at pixel
    4 * i, so cell i of the picture is cell (W - 1 - 4 * i) / 4 = (w - 1 - i) + 3/4
    of the mirror image: after mirroring, cell i lies 3/4 of the way to cell i - 1.
    Cell 0 would need a cell beyond the edge: the mirror image does not show it.
    """
    data = estimator.data_preprocessor(dict(inputs=given.pixels, data_samples=[]))
    plain, mirrored = (
        estimator.head.forward(estimator.extract_feat(inputs))
        for inputs in (data['inputs'], data['inputs'].flip(-1))
    )
    back = flip_heatmaps(mirrored, FLIP_INDICES, shift_heatmap=False)
    fused = plain.clone()
    fused[..., 1:] = (plain[..., 1:] + 0.25 * back[..., 1:] + 0.75 * back[..., :-1]) / 2
    instances = estimator.head.decode(fused)
    places = (
        np.concatenate([i.keypoints for i in instances])
        / estimator.head.decoder.input_size
    )
    centers, extents = given.crops.centers.numpy(), given.crops.extents.numpy()
    keypoints = centers[:, None] + (places - 0.5) * extents[:, None]
    return keypoints, np.concatenate([i.keypoint_scores for i in instances])


@pytest.mark.parametrize('codec', CODECS)
def test_one_view_is_the_prediction_of_mmpose(
    make_estimator, some_crops, predict_crops, codec
):
    estimator = make_estimator(codec, lopsided=True)
    theirs = predict_crops(estimator, some_crops)
    wrapper = HeatmapFusionTTA(estimator, flip=False, channels_last=False)
    assert_same_poses(fuse_given(wrapper, some_crops), theirs)


def test_udp_with_its_flip_is_the_flip_test_of_mmpose(
    make_estimator, some_crops, predict_crops
):
    estimator = make_estimator('UDP', lopsided=True)
    theirs = predict_crops(estimator, some_crops, flip_test=True, shift_heatmap=False)
    wrapper = HeatmapFusionTTA(estimator, flip=True, channels_last=False)
    assert_same_poses(fuse_given(wrapper, some_crops), theirs)


def test_the_flip_of_a_lopsided_estimator_moves_its_keypoints(
    make_estimator, some_crops
):
    estimator = make_estimator('UDP', lopsided=True)
    without, with_flip = (
        fuse_given(HeatmapFusionTTA(estimator, flip=flip), some_crops).keypoints
        for flip in (False, True)
    )
    assert np.abs(without - with_flip).mean() > 0.1


@pytest.mark.parametrize('codec', ['MSRA', 'DARK'])
def test_a_plain_codec_with_its_flip_is_the_flip_test_with_the_exact_shift(
    make_estimator, some_crops, codec
):
    estimator = make_estimator(codec, lopsided=True)
    theirs = exact_plain_flip_test(estimator, some_crops)
    wrapper = HeatmapFusionTTA(estimator, flip=True, channels_last=False)
    assert_same_poses(fuse_given(wrapper, some_crops), theirs)


@pytest.fixture
def distances(make_estimator, some_images, predict_pipeline):
    """Distances of our keypoints from those of MMPose's pipeline, pixels, (N, K).

    Pictures have a texture, and every person many boxes.
    """
    random = np.random.default_rng(2)
    for i, image in enumerate(some_images.images):
        coarse = random.uniform(0, 60, (image.shape[0] // 8, image.shape[1] // 8, 3))
        texture = cv2.resize(coarse, image.shape[1::-1], interpolation=cv2.INTER_CUBIC)
        some_images.images[i] = (image * 0.7 + texture).clip(0, 255).astype(np.uint8)
        boxes = np.repeat(some_images.boxes[i], 12, axis=0)
        some_images.boxes[i] = boxes + random.uniform(-9, 9, boxes.shape).astype('f4')

    def measure(codec):
        estimator = make_estimator(codec, lopsided=True)
        theirs = [
            sample.pred_instances.keypoints
            for image, boxes in zip(some_images.images, some_images.boxes, strict=True)
            for sample in predict_pipeline(estimator, image, boxes, codec == 'UDP')
        ]
        ours = fuse_images(HeatmapFusionTTA(estimator, flip=False), some_images)
        return np.linalg.norm(ours.keypoints - np.concatenate(theirs), axis=-1)

    return measure


@pytest.mark.parametrize('codec', CODECS)
def test_whole_images_give_the_keypoints_of_the_pipeline_of_mmpose(distances, codec):
    assert distances(codec).mean() < 0.05


@pytest.mark.parametrize('fusion', ['mean', 'max'])
@pytest.mark.parametrize('codec', ['DARK', 'UDP'])
def test_several_views_find_the_true_keypoints(
    make_estimator, some_images, codec, fusion
):
    wrapper = HeatmapFusionTTA(make_estimator(codec), SCALES, fusion=fusion)
    poses = wrapper.fuse(as_tensors(some_images.images), some_images.boxes, [0, 1, 2])
    truth = np.concatenate(some_images.keypoints)
    # One cell of these crops is 5 to 8 pixels of the image.
    assert np.linalg.norm(poses.keypoints - truth, axis=-1).max() < 1.0


def test_views_of_an_estimator_that_knows_the_truth_agree(make_estimator, some_images):
    wrapper = HeatmapFusionTTA(make_estimator('UDP'), SCALES)
    poses = wrapper.fuse(as_tensors(some_images.images), some_images.boxes, [0, 1, 2])
    assert poses.keypoint_agreement.min() > 0.8


def test_views_that_swap_two_keypoints_disagree_on_them(make_estimator, some_images):
    wrapper = HeatmapFusionTTA(make_estimator('UDP'))
    agreement = fuse_images(wrapper, some_images).keypoint_agreement
    truth = np.concatenate(some_images.keypoints)
    sides = np.concatenate(some_images.boxes) @ BOX_TO_SIDES
    # Each of two views lies half the distance from their mean.
    squares = ((truth[:, 1] - truth[:, 2]) / 2) ** 2
    oks = np.exp(-squares.sum(1) / (2 * 0.53 * sides.prod(1) * (2 * 0.062) ** 2))
    # A view's own peak is a whole cell, of 5 to 8 pixels.
    np.testing.assert_allclose(agreement[:, 1], oks, atol=0.1)
    np.testing.assert_allclose(agreement[:, 2], oks, atol=0.1)


def test_the_memory_format_does_not_change_the_poses(make_estimator, some_images):
    last, first = (
        fuse_images(
            HeatmapFusionTTA(
                make_estimator('UDP'), SCALES, channels_last=channels_last
            ),
            some_images,
        )
        for channels_last in (True, False)
    )
    assert_same_poses(last, (first.keypoints, first.keypoint_scores), pixels=1e-2)


@pytest.mark.parametrize('forward_batch_size', [1, 2])
def test_the_forward_batch_size_does_not_change_the_poses(
    make_estimator, some_images, forward_batch_size
):
    small, large = (
        fuse_images(
            HeatmapFusionTTA(make_estimator(), SCALES, forward_batch_size=size),
            some_images,
        )
        for size in (forward_batch_size, 64)
    )
    assert_same_poses(small, (large.keypoints, large.keypoint_scores), pixels=1e-3)
    np.testing.assert_allclose(
        small.keypoint_agreement, large.keypoint_agreement, atol=1e-5
    )


def test_checkpoints_of_the_module_fit_the_wrapper(make_estimator):
    estimator = make_estimator(lopsided=True)
    wrapper = HeatmapFusionTTA(make_estimator())
    wrapper.module.load_state_dict(estimator.state_dict())
    expected = estimator.head.final_layer.weight
    assert torch.equal(wrapper.module.head.final_layer.weight, expected)


def test_sigmas_may_be_an_array(make_estimator, some_images):
    sigmas = [0.05, 0.1, 0.1]
    listed, array = (
        fuse_images(HeatmapFusionTTA(make_estimator(), sigmas=values), some_images)
        for values in (sigmas, np.array(sigmas))
    )
    np.testing.assert_array_equal(listed.keypoint_agreement, array.keypoint_agreement)


def test_predictions_of_single_views_are_refused(make_estimator):
    with pytest.raises(UserError, match='without TestTimeAug'):
        HeatmapFusionTTA(make_estimator()).merge_preds([])


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(scales=()), 'views: at least one scale must be named'),
        (
            dict(scales=(1.0, -0.5)),
            'views: a scale must be positive and finite, got -0.5',
        ),
        (dict(scales=(1.0, 1.0)), 'views: a view must be named once'),
        (dict(scales=(0.5,), size_dependent=True), 'views: .* scale 1 must be among'),
    ],
)
def test_wrong_settings_are_refused(make_estimator, settings, message):
    with pytest.raises(UserError, match=message):
        HeatmapFusionTTA(make_estimator(), **settings)


def test_provenance_tells_what_decides_the_labels(make_estimator):
    wrapper = HeatmapFusionTTA(make_estimator('UDP'), (0.5, 1.0), flip=True)
    assert wrapper.provenance() == dict(
        views=['0.5', '0.5 flipped', '1', '1 flipped'],
        fusion='mean',
        areas=None,
        padding=1.25,
        use_udp=True,
        precision='float32',
        agreement='sub-cell',
    )
