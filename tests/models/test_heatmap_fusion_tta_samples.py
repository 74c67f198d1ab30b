"""Tests of the data samples that the fusing wrapper takes and gives."""

import numpy as np
import pytest

from mmdistill.models import HeatmapFusionTTA

SCALES = (0.75, 1.0, 1.25)


def test_a_batch_of_images_equals_its_images_one_by_one(
    make_estimator, some_images, pack
):
    wrapper = HeatmapFusionTTA(make_estimator(), SCALES)
    boxes = [some_images.boxes[0], np.zeros((0, 4), np.float32), some_images.boxes[1]]
    images = [some_images.images[i] for i in (0, 1, 1)]

    def predict(*numbers):
        items = [pack(images[i], boxes[i]) for i in numbers]
        batch = {key: [item[key] for item in items] for key in items[0]}
        return [s.pred_instances for s in wrapper.test_step(batch)]

    for i, together in enumerate(predict(0, 1, 2)):
        (alone,) = predict(i)
        assert len(together) == len(boxes[i])
        np.testing.assert_allclose(together.keypoints, alone.keypoints, atol=1e-3)


def test_images_without_boxes_have_empty_predictions(make_estimator, pack):
    item = pack(np.zeros((50, 60, 3), np.uint8), np.zeros((0, 4), np.float32))
    wrapper = HeatmapFusionTTA(make_estimator())
    (sample,) = wrapper.test_step({key: [value] for key, value in item.items()})
    assert sample.pred_instances.keypoints.shape == (0, 3, 2)
    assert sample.pred_instances.keypoint_scores.shape == (0, 3)


def test_no_images_have_no_predictions(make_estimator):
    wrapper = HeatmapFusionTTA(make_estimator())
    assert wrapper.test_step(dict(inputs=[], data_samples=[])) == []


@pytest.fixture
def both_samples(make_estimator, some_images, pack, predict_pipeline):
    """The data sample of an image with one person, by MMPose and by us."""

    def samples(**test_cfg):
        estimator = make_estimator('UDP')
        estimator.test_cfg = test_cfg
        image, boxes = some_images.images[1], some_images.boxes[1]
        (theirs,) = predict_pipeline(estimator, image, boxes, use_udp=True)
        item = pack(image, boxes)
        batch = {key: [value] for key, value in item.items()}
        (ours,) = HeatmapFusionTTA(estimator, flip=False).val_step(batch)
        return ours, theirs

    return samples


def test_data_samples_have_the_fields_that_mmpose_sets(both_samples):
    ours, theirs = both_samples()
    extra = set(ours.pred_instances.keys()) - set(theirs.pred_instances.keys())
    assert extra == {'keypoint_agreement', 'keypoints_known', 'num_views'}
    assert set(theirs.pred_instances.keys()) <= set(ours.pred_instances.keys())
    assert set(theirs.gt_instances.keys()) <= {
        *ours.gt_instances.keys(),
        'keypoints_visible',
    }


def test_fields_have_the_shapes_that_mmpose_gives_them(both_samples):
    ours, theirs = both_samples()
    for key, value in theirs.pred_instances.items():
        assert ours.pred_instances[key].shape == value.shape, key


@pytest.mark.parametrize('field', ['bboxes', 'bbox_scores', 'bbox_scales'])
def test_boxes_are_those_that_mmpose_leaves(both_samples, field):
    ours, theirs = both_samples()
    np.testing.assert_allclose(
        ours.gt_instances[field], theirs.gt_instances[field], rtol=1e-6
    )


def test_output_keypoint_indices_choose_as_in_mmpose(both_samples):
    ours, theirs = both_samples(output_keypoint_indices=[2, 0])
    for key in ('keypoints', 'keypoint_scores', 'keypoints_visible'):
        ours_chosen, theirs_chosen = (
            ours.pred_instances[key],
            theirs.pred_instances[key],
        )
        np.testing.assert_allclose(ours_chosen, theirs_chosen, atol=0.1)
    assert ours.pred_instances.keypoint_agreement.shape == (1, 2)


def test_all_keypoints_are_returned_when_none_are_selected(both_samples):
    ours, _ = both_samples(output_keypoint_indices=None)
    assert ours.pred_instances.keypoints.shape == (1, 3, 2)
