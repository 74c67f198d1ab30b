import base64
import io

import numpy as np
import pytest
from PIL import Image

from mmdistill.reports.crops import StoreImages
from mmdistill.reports.skeleton import Skeleton
from mmdistill.reports.statistics import collect, visible_by
from mmdistill.reports.thumbnails import DPI, INCHES, ThumbnailRenderer, galleries

BARE = Skeleton(np.zeros((0, 2), dtype=int), np.zeros((0, 3)), np.ones((17, 3)))
COUNTS = [2, 0, None, 5, 1]


@pytest.fixture
def store(make_rows, make_store, tmp_path):
    return make_store(tmp_path / 'labels', make_rows(COUNTS), chunk_size=2)


@pytest.fixture
def data(store, make_selection):
    return collect(store, make_selection(0.5, 0.2))


@pytest.fixture
def renderer(store, tmp_path):
    return renderer_of(store, tmp_path / 'images')


def renderer_of(store, img_root):
    images = StoreImages(store.root, img_root)
    return ThumbnailRenderer(store, images, BARE, visible_by(None))


def pixels(thumbnail):
    head, _, content = thumbnail.image.partition(',')
    assert head == 'data:image/jpeg;base64'
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


def test_a_thumbnail_is_of_the_candidate_with_this_index(data, renderer, store):
    labels = store.read()
    for number in range(len(data.scores)):
        thumbnail = renderer.render(data, number)
        image = int(labels.image_index[number])
        assert thumbnail.path == labels.paths[image].as_py()
        assert thumbnail.score == labels.candidates.instance_scores[number]
        visible = labels.candidates.keypoint_scores[number] > 0.2
        assert thumbnail.visible == visible.sum()


def test_a_thumbnail_shows_its_image(data, renderer, tmp_path):
    (tmp_path / 'images').mkdir()
    path = tmp_path / 'images' / '000.png'
    Image.new('RGB', (64, 48), (0, 0, 255)).save(path)
    thumbnail = renderer.render(data, 0)
    shown = pixels(thumbnail)
    assert thumbnail.readable
    assert shown.shape == (round(INCHES * DPI), round(INCHES * DPI), 3)
    blue = (shown[..., 2] > 200) & (shown[..., :2] < 60).all(axis=2)
    assert blue.mean() > 0.3


def test_a_lost_image_leaves_a_gray_background(data, renderer):
    thumbnail = renderer.render(data, 0)
    assert not thumbnail.readable
    assert np.median(pixels(thumbnail)) == pytest.approx(0xE4, abs=2)


def test_another_root_is_looked_at(data, store, write_images, tmp_path):
    write_images(tmp_path / 'moved', '000.png')
    renderer = renderer_of(store, tmp_path / 'moved')
    assert renderer.render(data, 0).readable


def test_the_galleries_hold_each_side(data, renderer):
    best, border, rejected, disagreeing = galleries(data, True, renderer, 3)
    assert {p.kept for p in best.thumbnails + disagreeing.thumbnails} == {True}
    assert {p.kept for p in rejected.thumbnails} == {False}
    assert {p.kept for p in border.thumbnails} == {True, False}
    agreement = [p.agreement for p in disagreeing.thumbnails]
    assert agreement == sorted(agreement)
    assert agreement[0] == pytest.approx(data.agreement[data.kept].min())


def test_without_a_selection_no_side_is_shown(data, renderer):
    titles = [gallery.title for gallery in galleries(data, False, renderer, 1)]
    assert titles == ['Best labels', 'Most disagreeing labels']
