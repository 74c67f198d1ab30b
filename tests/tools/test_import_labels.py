"""The two commands: a project in, and labels out to a tool."""

import json

import pytest

from tests.helpers.projects import NAMES, draw_points, write_deeplabcut

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
