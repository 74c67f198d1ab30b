"""The two commands: a project in, and labels out to a tool."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.projects import NAMES, draw_points, write_deeplabcut
from tests.helpers.recipes import STUDENT
from tests.helpers.workshop import DISTILL

pytest.importorskip('tables', reason='pip install "mmdistill[import]"')


def test_a_project_goes_in_and_out_again(tmp_path, tool, capfd):
    root = write_deeplabcut(tmp_path / 'p', {'m1': [draw_points(0), draw_points(1)]})
    names = ','.join(NAMES)

    assert (
        tool('import_labels', str(root), str(tmp_path / 'in'), '--keypoints', names)
        == 0
    )
    assert 'wrote 2 instances on 2 images' in capfd.readouterr().out
    labels, images = tmp_path / 'in/labeled.json', tmp_path / 'in/images'
    assert len(json.loads(labels.read_text())['annotations']) == 2
    arguments = (
        str(labels),
        str(tmp_path / 'yolo'),
        '--to',
        'yolo',
        '--images',
        str(images),
    )
    assert tool('export_labels', *arguments) == 0

    assert 'wrote 2 instances on 2 images' in capfd.readouterr().out
    assert len(list(tmp_path.glob('yolo/train/labels/*.txt'))) == 2


def test_a_project_that_is_not_there_is_one_sentence(tmp_path, tool, capfd):
    assert tool('import_labels', str(tmp_path / 'no'), str(tmp_path / 'out')) == 2

    assert 'does not exist' in capfd.readouterr().err
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('form', ['sleap', 'yolo', 'label-studio'])
def test_a_selection_goes_out_and_comes_back_in(workshop, tool, form):
    if form == 'sleap':
        pytest.importorskip('sleap_io', reason='pip install "mmdistill[import]"')
    options = ['--score-thr', '-1', '--export-coco', 'labels.json']
    assert tool('select_labels', STUDENT, *options, '--cfg-options', *DISTILL) == 0
    content = json.loads(Path('labels.json').read_text())
    names = content['categories'][0]['keypoints']
    images = ['--images', 'data/toy/images/unlabeled']

    assert tool('export_labels', 'labels.json', 'out', '--to', form, *images) == 0
    made = {'sleap': 'out/labels.slp', 'label-studio': 'out/tasks.json'}.get(
        form, 'out'
    )
    order = ['--keypoints', ','.join(names), '--predicted']
    assert tool('import_labels', made, 'back', *order) == 0

    back = json.loads(Path('back/labeled.json').read_text())
    assert keypoints_of(back) == keypoints_of(content)
    assert len(back['annotations']) == sum(
        one['num_keypoints'] > 0 for one in content['annotations']
    )


def keypoints_of(content):
    """Sorted keypoints of all instances with a visible one, float32, by image."""
    names = {image['id']: Path(image['file_name']).stem for image in content['images']}
    return sorted(
        (names[one['image_id']], np.float32(one['keypoints']).tolist())
        for one in content['annotations']
        if one['num_keypoints']
    )
