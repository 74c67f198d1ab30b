"""Boxes of a config; the whole way is seen through tools/detect.py."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from mmdistill.errors import UserError
from mmdistill.stages import detections


@pytest.fixture
def config() -> Config:
    """A config without a detector."""
    section = dict(teacher=dict(), unlabeled=dict(), store='labels')
    return Config(dict(distill=section))


def test_a_config_without_detector_has_no_boxes_to_tell_of(config):
    for ask in (detections.status, detections.detect):
        with pytest.raises(UserError, match=r'has no distill\.detector'):
            ask(config)


def test_boxes_that_were_not_found_yet_are_told(config, tmp_path):
    config.distill.detector = dict(boxes=str(tmp_path))

    with pytest.raises(UserError, match='holds no detection store'):
        detections.status(config)
