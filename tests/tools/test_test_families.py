"""`tools/test.py --tta` on published configs of every family."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.hub import get_config

from mmdistill.config.text import TextConfig
from mmdistill.toy import write_toy_data
from tests.helpers.crew import Crew, without_pretrained
from tests.helpers.published import PUBLISHED

ONE_VIEW = '--cfg-options', 'distill.views.scales=[1.0]', 'distill.views.flip=False'
# Hourglass is one more list of heatmaps.
FAMILIES = [name for name in PUBLISHED if name != 'Hourglass']
WHOLE_BODY = dict(foot=6, face=68, lefthand=21, righthand=21)
NO_FLIP = '--cfg-options', 'model.test_cfg.flip_test=False'


@pytest.fixture
def shop(request, tmp_path, monkeypatch):
    """A folder with toy data, a published config on it and random weights."""
    monkeypatch.chdir(tmp_path)
    write_toy_data(Path('data'), labeled=1, unlabeled=1, val=2)
    add_whole_bodies(Path('data/annotations/val.json'))
    published = PUBLISHED[request.param]
    crew = Crew(published)
    torch.save(dict(state_dict=crew.estimator.state_dict()), 'random.pth')
    write_config(published, crew.input_size)


def add_whole_bodies(annotations):
    """Feet, faces and hands that are not visible, for the whole-body data set."""
    content = json.loads(annotations.read_text())
    for person in content['annotations']:
        person['segmentation'] = []
        for part, count in WHOLE_BODY.items():
            person[f'{part}_kpts'] = [0] * 3 * count
            person[f'{part}_valid'] = False
    annotations.write_text(json.dumps(content))


def write_config(published, input_size):
    config = get_config(f'mmpose::{published.config}.py')
    config.model = without_pretrained(config.model.to_dict())
    head = config.model.head.get('pose_cfg', config.model.head)
    head.update(published.head)
    head.decoder.update(published.codec)
    dataset = config.test_dataloader.dataset
    dataset.update(
        data_root='data/',
        ann_file='annotations/val.json',
        bbox_file=None,
        data_prefix=dict(img='images/val/'),
    )
    for step in dataset.pipeline:
        if step.type == 'TopdownAffine':
            step.input_size = input_size
    config.test_dataloader.update(num_workers=0, persistent_workers=False)
    config.test_evaluator.ann_file = 'data/annotations/val.json'
    config.val_dataloader = config.val_evaluator = config.val_cfg = None
    # MMEngine's own text of the largest of them takes seconds.
    TextConfig.of(config).dump('config.py')


def evaluate(tool, *arguments):
    files = '--out', 'metrics.json', '--dump', 'predictions.pkl'
    assert tool('test', 'config.py', 'random.pth', *files, *arguments) == 0
    predictions = pickle.loads(Path('predictions.pkl').read_bytes())
    return json.loads(Path('metrics.json').read_text()), predictions


def keypoints_of(predictions):
    return np.concatenate([p['pred_instances']['keypoints'] for p in predictions])


@pytest.mark.parametrize('shop', FAMILIES, indirect=True)
@pytest.mark.usefixtures('shop')
def test_one_view_measures_what_mmpose_does(tool):
    stock, own = evaluate(tool, *NO_FLIP)
    fused, ours = evaluate(tool, '--tta', *ONE_VIEW)

    assert fused.keys() == stock.keys()
    # OpenCV rounds crops to whole gray values and 1/32 pixel, and the highest of
    # random values is soon another one: most keypoints are where they were.
    distances = np.linalg.norm(keypoints_of(ours) - keypoints_of(own), axis=-1)
    assert np.median(distances) < 1


@pytest.mark.parametrize('shop', ['SimCC', 'RLE', 'RTMPose'], indirect=True)
@pytest.mark.usefixtures('shop')
def test_views_are_fused_into_other_keypoints_with_their_agreement(tool):
    _, one = evaluate(tool, '--tta', *ONE_VIEW)
    _, fused = evaluate(tool, '--tta', *ONE_VIEW[:1], 'distill.views.scales=[1.0,1.25]')

    assert not np.allclose(keypoints_of(fused), keypoints_of(one))
    agreements = [p['pred_instances']['keypoint_agreement'] for p in fused]
    assert np.concatenate(agreements).shape == keypoints_of(fused).shape[:2]
