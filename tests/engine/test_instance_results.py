"""Results of each instance against MMPose's own metrics."""

import json

import numpy as np
import pytest
from mmpose.evaluation.metrics import PCKAccuracy

from mmdistill.engine.instance_results import InstanceResults
from mmdistill.errors import ConfigError
from mmdistill.functional.oks import TrueInstances, similarity
from mmdistill.pipeline.evaluation import ImageResults

SIGMAS = np.array([0.05, 0.07, 0.1])


def samples(count: int = 6) -> list[dict]:
    """Samples as a top-down model leaves them, two on each image."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(count):
        truth = rng.uniform(10, 50, (1, 3, 2))
        visible = (rng.random((1, 3)) < 0.7).astype(np.float32)
        visible[0, 0] = 1
        made.append(
            dict(
                img_path=f'{number // 2}.png',
                raw_ann_info=dict(area=float(rng.uniform(500, 900))),
                gt_instances=dict(
                    keypoints=truth,
                    keypoints_visible=visible,
                    bboxes=np.array([[5.0, 5.0, 5 + rng.uniform(40, 60), 60.0]]),
                ),
                pred_instances=dict(keypoints=truth + rng.normal(0, 6, truth.shape)),
            )
        )
    return made


def written(tmp_path, made: list[dict]) -> dict:
    metric = InstanceResults(str(tmp_path / 'images.json'))
    metric.dataset_meta = dict(sigmas=SIGMAS)
    metric.process(None, made)
    assert metric.evaluate(len(made)) == {}
    return json.loads((tmp_path / 'images.json').read_text())


def test_oks_is_that_of_coco(tmp_path):
    made = samples()
    content = written(tmp_path, made)
    for sample, oks in zip(made, content['oks'], strict=True):
        true = sample['gt_instances']
        truth = TrueInstances(
            keypoints=true['keypoints'],
            labeled=true['keypoints_visible'] > 0,
            areas=np.array([sample['raw_ann_info']['area']]),
            bboxes=true['bboxes'],
            ignored=np.array([False]),
            crowd=np.array([False]),
            category_ids=np.array([1]),
        )
        expected = similarity(sample['pred_instances']['keypoints'], truth, SIGMAS)
        assert oks == pytest.approx(expected[0, 0], abs=1e-6)


def test_pck_of_instances_is_that_of_mmpose(tmp_path):
    made = samples(1)
    written(tmp_path, made)
    metric = PCKAccuracy(thr=0.2, prefix='a')
    metric.process(None, made)
    values = ImageResults.read(tmp_path / 'images.json').values
    assert values['PCK@0.2'][0] == pytest.approx(metric.evaluate(1)['a/PCK'])


def test_what_is_not_annotated_does_not_count(tmp_path):
    made = samples(3)
    made[1]['gt_instances']['keypoints_visible'][:] = 0
    content = written(tmp_path, made)
    assert content['images'] == ['0.png', '1.png']
    for sample, errors in zip(made[::2], content['errors'], strict=True):
        visible = sample['gt_instances']['keypoints_visible'][0] > 0
        assert [error is not None for error in errors] == visible.tolist()


def test_a_keypoint_that_is_not_finite_is_far_off(tmp_path):
    made = samples(1)
    made[0]['pred_instances']['keypoints'][0, 0] = np.nan
    content = written(tmp_path, made)
    assert content['errors'][0][0] == 1e6
    assert 0 <= content['oks'][0] < 1


def test_a_set_of_no_instance_is_an_empty_file(tmp_path):
    made = samples(1)
    made[0]['gt_instances']['keypoints_visible'][:] = 0
    assert written(tmp_path, made)['oks'] == []
    assert ImageResults.read(tmp_path / 'images.json').images == ()


@pytest.mark.parametrize('poses', [0, 2])
def test_poses_that_are_not_one_for_one_are_refused(tmp_path, poses):
    made = samples(1)
    one = made[0]['pred_instances']['keypoints']
    made[0]['pred_instances']['keypoints'] = np.repeat(one, poses, axis=0)
    with pytest.raises(ConfigError, match=f'got {poses} for 1 of 0.png'):
        written(tmp_path, made)
