"""Reports and pictures of boxes that a detector learns."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from mmdistill import stages
from mmdistill.config.recipe import Recipe
from mmdistill.errors import UserError
from mmdistill.reports import box_views
from mmdistill.reports.gallery import draw_labels
from mmdistill.reports.report import ReportOptions, report
from mmdistill.reports.show import check_shown, show_training
from mmdistill.reports.statistics import collect
from mmdistill.reports.training_samples import first_samples
from mmdistill.selection.selection import read_selection
from mmdistill.store import LabelStore
from mmdistill.store.manifest import BOX_LABELS
from tests.helpers.box_recipes import box_recipe
from tests.helpers.box_stores import COUNTS, write_box_store
from tests.helpers.recipes import STUDENT


@pytest.fixture(scope='module')
def config(tmp_path_factory) -> Config:
    """A recipe whose teacher is random, and whose boxes were drawn and selected."""
    config = box_recipe(tmp_path_factory.mktemp('pictures'), 'retinanet')
    config.distill.mixing = dict(ignore_rejected=True)
    write_box_store(Path(config.distill.store), images=True)
    stages.select(Recipe.of(config))
    return config


def store_of(config: Config) -> LabelStore:
    return LabelStore(config.distill.store, BOX_LABELS)


def test_statistics_of_boxes_are_those_of_their_selection(config):
    store = store_of(config)
    selection = read_selection(store)

    data = collect(store, selection)

    candidates = store.read().candidates
    assert data.num_kept == selection.unlabeled.kept
    assert data.visible.tolist() == [1] * sum(COUNTS)
    assert data.agreement.tolist() == candidates.bbox_agreement.tolist()
    assert data.candidates_per_image.tolist() == list(COUNTS)
    assert len(data.keypoints.visible) == 0


def test_a_report_of_boxes_has_no_word_of_keypoints(config, tmp_path):
    page = tmp_path / 'report.html'

    report(config.distill.store, page, ReportOptions(num=2), copy.deepcopy(config))

    text = page.read_text()
    body = text.partition('</style>')[2].partition('id="provenance"')[0]
    assert 'keypoint' not in body
    assert '<th scope="row">square</th>' in body
    assert 'Instances per image' in body
    assert 'labeled images' in body
    assert body.count('<li class="kept">') > 2
    assert 'image not found' not in body


def test_a_report_needs_no_config_and_no_selection(tmp_path):
    store = write_box_store(tmp_path / 'boxes', views=False, images=True)

    report(str(store.root), tmp_path / 'a.html', ReportOptions(num=1))

    assert 'Nothing is selected yet' in (tmp_path / 'a.html').read_text()


def test_a_config_of_poses_is_refused_for_boxes(config, tmp_path):
    poses = Config.fromfile(STUDENT)

    with pytest.raises(UserError, match=r'holds boxes, and .* distills poses'):
        report(config.distill.store, tmp_path / 'a.html', ReportOptions(), poses)


def test_kept_and_rejected_boxes_are_drawn(config, tmp_path):
    draw_labels(copy.deepcopy(config), tmp_path / 'labels.svg', num=2)

    text = (tmp_path / 'labels.svg').read_text()
    assert 'Kept: from the best to the last' in text
    assert 'keypoints' not in text


def test_all_pictures_are_drawn_before_a_detector_trains(config, tmp_path, logged):
    shown = copy.deepcopy(config)
    shown.work_dir = str(tmp_path)
    check_shown(shown, 2)

    show_training(shown, 2)

    names = sorted(path.name for path in (tmp_path / 'show').iterdir())
    assert names == ['labels.png', 'samples.png', 'views.png']


def test_samples_are_the_boxes_that_the_student_gets(config):
    samples = first_samples(stages.training_config(copy.deepcopy(config)), 2)

    assert samples.are_exact
    assert [len(samples.labeled), len(samples.pseudo)] == [2, 2]
    assert all(len(each.bboxes) for each in (*samples.labeled, *samples.pseudo))
    assert sum(len(each.ignored) for each in samples.pseudo) > 0
    assert all(len(each.ignored) == 0 for each in samples.labeled)
    for each in samples.labeled:
        height, width, _ = each.image.shape
        assert (each.bboxes >= 0).all()
        assert (each.bboxes <= [width, height, width, height]).all()


def test_the_boxes_of_a_view_lie_where_the_view_shows_them(config):
    """Those of a mirrored view of a mirrored image are those of the image."""
    recipe = Recipe.of(copy.deepcopy(config))
    reader = box_views.build_box_teacher(recipe)
    labels = store_of(config).read()
    image = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)

    seen = reader.look(image, labels.candidates[0], 0.5)
    mirrored = reader.look(image[:, ::-1].copy(), labels.candidates[0], 0.5)

    assert [view.name for view in seen.views] == [
        *('1', '1 mirrored', '1.5', '1.5 mirrored')
    ]
    for plain, other in zip(seen.views[::2], mirrored.views[1::2], strict=True):
        assert np.array_equal(plain.image, other.image)
        assert len(plain.bboxes) > 3
        assert plain.bboxes == pytest.approx(other.bboxes)
    larger = seen.views[2]
    assert larger.image.shape[1] == 96
    assert larger.bboxes[:, 2].max() <= 96.1
