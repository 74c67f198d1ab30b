"""Pipelines of the views of a detector, made from test pipelines."""

from __future__ import annotations

import pytest

from mmdistill.config.detector_options import BoxViewsConfig
from mmdistill.errors import UserError
from mmdistill.stages.box_views import META_KEYS, view_pipelines

FASTER_RCNN = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(1333, 800), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'scale_factor')),
]
RTMDET = [
    dict(type='Resize', scale=(640, 640), keep_ratio=True),
    dict(type='Pad', size=(640, 640), pad_val=dict(img=(114, 114, 114))),
    dict(type='PackDetInputs'),
]


def step(pipeline, name):
    (found,) = (each for each in pipeline if each['type'] == name)
    return found


def test_the_paper_s_sizes_are_those_of_detectron():
    scales = (0.5, 0.625, 0.75, 0.875, 1.0, 1.125, 1.25, 1.375, 1.5)

    views = view_pipelines(FASTER_RCNN, BoxViewsConfig(scales, flip=False))

    shorter = [step(view, 'Resize')['scale'][1] for view in views]
    assert shorter == [400, 500, 600, 700, 800, 900, 1000, 1100, 1200]


def test_each_scale_is_seen_plain_and_mirrored_before_it_is_padded():
    views = view_pipelines(RTMDET, BoxViewsConfig((0.5, 1.0)))

    names = [[each['type'] for each in view] for view in views]
    assert names == [['Resize', 'RandomFlip', 'Pad', 'PackDetInputs']] * 4
    assert [step(view, 'RandomFlip')['prob'] for view in views] == [0, 1, 0, 1]
    sizes = [step(view, 'Resize')['scale'] for view in views]
    assert sizes == [(320, 320), (320, 320), (640, 640), (640, 640)]


def test_a_frame_grows_to_what_a_network_divides_and_stays_at_scale_1():
    odd = [dict(RTMDET[0]), dict(RTMDET[1], size=(650, 650)), RTMDET[2]]

    views = view_pipelines(odd, BoxViewsConfig((0.7, 1.0), flip=False))

    assert [step(view, 'Pad')['size'] for view in views] == [(480, 480), (650, 650)]


def test_the_meta_fields_say_how_a_view_is_undone():
    (view,) = view_pipelines(FASTER_RCNN, BoxViewsConfig(flip=False))

    assert step(view, 'PackDetInputs')['meta_keys'] == META_KEYS


def test_the_given_pipeline_is_unchanged():
    view_pipelines(RTMDET, BoxViewsConfig((0.5,)))

    assert RTMDET[0]['scale'] == (640, 640)
    assert 'meta_keys' not in RTMDET[2]


@pytest.mark.parametrize(
    'pipeline', [RTMDET[1:], [*RTMDET[:1], *RTMDET], RTMDET[:2], []]
)
def test_a_pipeline_without_one_size_is_refused(pipeline):
    with pytest.raises(UserError, match='one Resize that states a scale, and with'):
        view_pipelines(pipeline, BoxViewsConfig())


def test_a_resize_by_a_factor_states_no_size():
    steps = [dict(type='Resize', scale_factor=0.5), dict(type='PackDetInputs')]

    with pytest.raises(UserError, match='got Resize, PackDetInputs'):
        view_pipelines(steps, BoxViewsConfig())
