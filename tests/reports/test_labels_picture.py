import cv2
import pytest
from mmengine.config import Config

from mmdistill.errors import UserError
from mmdistill.reports.gallery import draw_labels
from mmdistill.store import LabelStore


@pytest.fixture
def config(tmp_path, write_images, make_rows, make_store, make_selection):
    """A config whose store has seven candidates on three of four images."""
    rows = make_rows([2, 0, None, 5])
    write_images(tmp_path / 'images', '000.png', '001.png', '003.png')
    store = make_store(tmp_path / 'labels', rows, img_root=tmp_path / 'images')
    make_selection(0.5).write(store)
    return Config(
        dict(
            distill=dict(store=str(store.root)),
            test_dataloader=dict(dataset=dict(type='CocoDataset')),
        )
    )


def test_a_picture_is_written_below_a_new_folder(config, tmp_path):
    path = tmp_path / 'new' / 'labels.png'
    draw_labels(config, path)
    height, width = cv2.imread(str(path)).shape[:2]
    assert width > height > 500
    assert [file.name for file in path.parent.iterdir()] == ['labels.png']


def test_the_same_store_gives_the_same_picture(config, tmp_path):
    for name in ('a.png', 'b.png'):
        draw_labels(config, tmp_path / name, num=2)
    assert (tmp_path / 'a.png').read_bytes() == (tmp_path / 'b.png').read_bytes()


def test_another_threshold_gives_another_picture(config, tmp_path, make_selection):
    draw_labels(config, tmp_path / 'a.png', num=2)
    make_selection(0.25).write(LabelStore(tmp_path / 'labels'))
    draw_labels(config, tmp_path / 'b.png', num=2)
    assert (tmp_path / 'a.png').read_bytes() != (tmp_path / 'b.png').read_bytes()


def test_a_picture_without_labels_is_refused(config, tmp_path):
    with pytest.raises(UserError, match='at least 1 label of each kind, got 0'):
        draw_labels(config, tmp_path / 'a.png', num=0)


def test_a_config_without_a_store_is_refused(tmp_path):
    with pytest.raises(UserError, match=r'no label store in distill\.store'):
        draw_labels(Config(dict(model={})), tmp_path / 'a.png')


def test_a_store_without_a_selection_is_refused(config, tmp_path):
    (tmp_path / 'labels' / 'selection.json').unlink()
    with pytest.raises(UserError, match=r'the selection .* cannot be read'):
        draw_labels(config, tmp_path / 'a.png')


def test_a_lost_image_is_named_and_nothing_written(config, tmp_path):
    (tmp_path / 'images' / '003.png').unlink()
    with pytest.raises(UserError, match=r'003\.png'):
        draw_labels(config, tmp_path / 'a.png')
    assert not (tmp_path / 'a.png').exists()


def test_an_unknown_ending_is_refused(config, tmp_path):
    with pytest.raises(UserError, match=r'written as \.png'):
        draw_labels(config, tmp_path / 'a.txt')


def test_images_that_were_moved_are_drawn_from_where_they_are(config, tmp_path):
    draw_labels(config, tmp_path / 'a.png', num=2)
    (tmp_path / 'images').rename(tmp_path / 'moved')

    with pytest.raises(UserError):
        draw_labels(config, tmp_path / 'b.png', num=2)
    draw_labels(config, tmp_path / 'b.png', num=2, img_root=tmp_path / 'moved')

    assert (tmp_path / 'a.png').read_bytes() == (tmp_path / 'b.png').read_bytes()
