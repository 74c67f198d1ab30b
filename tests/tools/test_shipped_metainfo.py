"""The whole way with metainfo of MMPose's: train, resume, test, label, select."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from mmdistill.engine.hooks.plain_model_hook import MODEL_FILE
from mmdistill.store import LabelStore
from mmdistill.toy import write_toy_data
from tests.helpers.recipes import STUDENT, TEACHER
from tests.helpers.workshop import BOXES, DISTILL, LABELS, MMPOSE, QUICK, write_boxes

FILES = MMPOSE / 'configs/_base_/datasets'

RECIPE = """
_base_ = {base!r}
model = dict(head=dict(out_channels={count}))
for_all = dict(dataset=dict(metainfo=dict(from_file={file!r})))
train_dataloader = for_all
val_dataloader = for_all
test_dataloader = for_all
val_evaluator = dict(_delete_=True, type='PCKAccuracy', norm_item='bbox')
test_evaluator = val_evaluator
"""


def spread_keypoints(path, count):
    """Give the annotations of a toy json another number of keypoints."""
    content = json.loads(path.read_text())
    for annotation in content['annotations']:
        points = np.reshape(annotation['keypoints'], (-1, 3))
        annotation['keypoints'] = np.resize(points, (count, 3)).ravel().tolist()
        annotation['num_keypoints'] = count
    for category in content['categories']:
        category['keypoints'] = [f'k{number}' for number in range(count)]
        category['skeleton'] = []
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    'name',
    [
        'locust',
        pytest.param('300w', marks=pytest.mark.slow),
        pytest.param('onehand10k', marks=pytest.mark.slow),
        pytest.param('deepfashion_upper', marks=pytest.mark.slow),
    ],
)
def test_all_stages_run(tmp_path, monkeypatch, tool, name):
    monkeypatch.chdir(tmp_path)
    write_toy_data(tmp_path / 'data/toy', labeled=6, unlabeled=4, val=2)
    write_boxes(Path('data/toy/annotations/unlabeled_oracle.json'), Path(BOXES))
    keypoints = Config.fromfile(FILES / f'{name}.py').dataset_info.keypoint_info
    for split in ('labeled', 'val'):
        spread_keypoints(Path(f'data/toy/annotations/{split}.json'), len(keypoints))
    settings = dict(count=len(keypoints), file=str(FILES / f'{name}.py'))
    Path('teacher.py').write_text(RECIPE.format(base=TEACHER, **settings))
    Path('student.py').write_text(RECIPE.format(base=STUDENT, **settings))
    train = ('train', 'teacher.py', '--work-dir', 'work_dirs/teacher')
    quick = ('--cfg-options', *QUICK)
    checkpoint = 'work_dirs/teacher/iter_4.pth'
    section = (*DISTILL, f'distill.teacher.checkpoint={checkpoint}')

    assert tool(*train, *quick, 'train_cfg.max_iters=2') == 0
    assert tool(*train, '--resume', *quick) == 0
    assert tool('test', 'teacher.py', checkpoint, *quick) == 0
    assert tool('label', 'student.py', '--cfg-options', *section) == 0
    assert tool('select_labels', 'student.py', '--cfg-options', *section) == 0
    # The plain file is a teacher as good, so the store is found made by it.
    plain = f'distill.teacher.checkpoint=work_dirs/teacher/{MODEL_FILE}'
    assert tool('label', 'student.py', '--cfg-options', *DISTILL, plain) == 0

    labels = LabelStore(LABELS).read()
    assert len(labels.paths) == 4
    assert labels.candidates.keypoints.shape[1:] == (len(keypoints), 2)
