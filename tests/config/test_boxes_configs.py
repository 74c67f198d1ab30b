"""Where boxes come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmdistill.config.schema import boxes_arguments, boxes_folder, check_boxes
from mmdistill.errors import UserError


def section(detector=None, **unlabeled) -> dict:
    return dict(store='work/labels', unlabeled=unlabeled, detector=detector)


@pytest.mark.parametrize('detector', [None, {}])
def test_without_a_detector_there_is_no_folder(detector):
    assert boxes_folder(section(detector)) is None
    assert boxes_arguments(section(detector)) == {}


@pytest.mark.parametrize(
    ('labels', 'expected'), [('work/a', 'work/a_boxes'), ('a/', 'a_boxes')]
)
def test_boxes_lie_beside_the_labels(labels, expected):
    part = dict(section(dict(config='c.py')), store=labels)

    assert boxes_folder(part) == Path(expected)
    assert boxes_arguments(part) == dict(detections=expected)


def test_a_folder_that_is_stated_holds():
    part = section(dict(config='c.py', boxes='shared/boxes'))

    assert boxes_arguments(part) == dict(detections='shared/boxes')


def test_boxes_come_from_one_place():
    check_boxes(section(dict(config='c.py')))
    check_boxes(section(bbox_file='boxes.json'))
    check_boxes(section(detections='boxes'))

    with pytest.raises(UserError, match=r'got unlabeled\.bbox_file and detector'):
        check_boxes(section(dict(config='c.py'), bbox_file='boxes.json'))
