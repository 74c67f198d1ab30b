"""Agreement between the labels of an unlabeled set and of an audited set."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from mmdistill.audits.label_views import SINGLE_VIEW, _views_of, check_same_views
from mmdistill.config.recipe import Recipe
from mmdistill.config.schema import ViewsConfig
from mmdistill.errors import UserError
from mmdistill.store import LabelStore
from tests.helpers.named_images import NamedImages

MANIFEST = dict(
    about=dict(img_root='images'),
    teacher=dict(weights='w', architecture='a'),
    views=dict(views=['1']),
    boxes='detections',
    max_pixels=100,
    chunk_size=3,
    nms_thr=0.9,
    keypoints=['nose'],
)


@pytest.fixture
def stores(tmp_path):
    """The recipe of an unlabeled set, and an audited store that differs."""

    def make(**changes):
        for name, manifest in (
            ('unlabeled', MANIFEST),
            ('audit', {**MANIFEST, **changes}),
        ):
            LabelStore(tmp_path / name).claim(manifest, NamedImages([f'{name}.png']))
        distill = dict(teacher={}, unlabeled={}, store=str(tmp_path / 'unlabeled'))
        return Recipe.of(Config(dict(distill=distill))), LabelStore(tmp_path / 'audit')

    return make


@pytest.mark.parametrize(
    'changes', [dict(), dict(boxes='true'), dict(chunk_size=7), dict(max_pixels=9)]
)
def test_what_does_not_decide_labels_may_differ(stores, changes):
    check_same_views(*stores(**changes))


@pytest.mark.parametrize(
    ('changes', 'line'),
    [
        (dict(nms_thr=0.5), r'\n- nms_thr: the store has 0\.9, this run 0\.5'),
        (dict(views=dict(views=['2'])), r"\n- views\.views: the store has \['1'\]"),
        (dict(teacher=dict(weights='x', architecture='a')), r'\n- teacher\.weights:'),
    ],
)
def test_another_rule_is_refused(stores, changes, line):
    with pytest.raises(UserError, match=line):
        check_same_views(*stores(**changes))


def test_the_single_view_of_an_audit_is_the_plain_one():
    views = ViewsConfig(scales=(0.8, 1.0), resolutions=(1.5,), fusion_resolution=2.0)
    single = _views_of(views)[SINGLE_VIEW]
    assert single == ViewsConfig(flip=False)


def test_teachers_of_folds_may_differ(stores):
    other = dict(weights='x', architecture='a')
    check_same_views(*stores(teacher=other), 'teacher')
