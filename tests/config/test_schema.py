from __future__ import annotations

import pytest
from mmengine.config import Config

from mmdistill.config.schema import check_checkpoint, distill_section
from mmdistill.errors import UserError


@pytest.fixture
def config() -> Config:
    """The least that a section states."""
    section = dict(
        teacher=dict(checkpoint='teacher.pth'),
        unlabeled=dict(data_root='pile'),
        store='labels',
    )
    return Config(dict(distill=section))


def test_the_section_is_that_of_the_config(config):
    assert distill_section(config) is config.distill


@pytest.mark.parametrize('key', ['teacher', 'unlabeled', 'store'])
def test_a_section_that_lacks_something_is_refused(config, key):
    del config.distill[key]

    with pytest.raises(UserError, match=f'has no {key}'):
        distill_section(config)


def test_a_config_without_section_is_refused():
    with pytest.raises(UserError, match='has no distill section'):
        distill_section(Config())


@pytest.mark.parametrize(
    ('part', 'sentence'),
    [
        (dict(vews=dict()), 'distill has no vews, only teacher'),
        (dict(views=dict(scale=1)), r'distill\.views has no scale, only scales'),
        (dict(labeling=dict(batchsize=1)), r'distill\.labeling has no batchsize'),
        (dict(teacher='t.pth'), r"distill\.teacher must be a dict, got 't\.pth'"),
        (dict(mixing=dict(labeled_share=1)), r'distill\.mixing\.labeled_share must be'),
    ],
)
def test_what_cannot_be_is_refused(config, part, sentence):
    config.distill.update(part)

    with pytest.raises(UserError, match=sentence):
        distill_section(config)


def test_boxes_from_two_places_are_refused(config):
    config.distill.unlabeled.bbox_file = 'boxes.json'
    config.distill.detector = dict(config='detector.py', checkpoint='detector.pth')

    with pytest.raises(UserError, match=r'got unlabeled\.bbox_file and detector'):
        distill_section(config)


def test_a_missing_checkpoint_is_refused_by_name(tmp_path):
    with pytest.raises(UserError, match=r'the detector checkpoint .*d\.pth does not'):
        check_checkpoint('detector', dict(checkpoint=str(tmp_path / 'd.pth')))


def test_no_checkpoint_is_refused():
    with pytest.raises(UserError, match=r'distill\.teacher\.checkpoint must name'):
        check_checkpoint('teacher', {})


def test_a_checkpoint_on_a_server_is_not_looked_for():
    check_checkpoint('teacher', dict(checkpoint='https://example.org/teacher.pth'))
