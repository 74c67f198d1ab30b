import json

import pytest

from mmdistill.errors import UserError
from mmdistill.toy import write_toy_data


def content(root):
    return {
        path.relative_to(root): path.read_bytes()
        for path in sorted(root.rglob('*'))
        if path.is_file()
    }


@pytest.fixture
def toy(tmp_path):
    root = tmp_path / 'toy'
    write_toy_data(root, labeled=3, unlabeled=3, val=2, seed=0)
    return root


def test_the_same_seed_gives_the_same_bytes(toy, tmp_path):
    write_toy_data(tmp_path / 'again', labeled=3, unlabeled=3, val=2, seed=0)
    assert content(tmp_path / 'again') == content(toy)


def test_another_seed_gives_other_images(toy, tmp_path):
    write_toy_data(tmp_path / 'other', labeled=3, unlabeled=3, val=2, seed=1)
    name = 'images/val/000001.jpg'
    assert (tmp_path / 'other' / name).read_bytes() != (toy / name).read_bytes()


def test_a_larger_set_starts_with_the_smaller_one(toy, tmp_path):
    write_toy_data(tmp_path / 'more', labeled=5, unlabeled=4, val=3, seed=0)
    more = content(tmp_path / 'more')
    images = {k: v for k, v in content(toy).items() if k.suffix == '.jpg'}
    assert len(images) == 8
    assert all(more[name] == data for name, data in images.items())


def test_splits_do_not_share_images(toy):
    images = [data for name, data in content(toy).items() if name.suffix == '.jpg']
    assert len(set(images)) == 8


def test_identical_data_is_left_alone(toy):
    before = {path: path.stat().st_mtime_ns for path in toy.rglob('*')}
    assert not write_toy_data(toy, labeled=3, unlabeled=3, val=2, seed=0)
    assert {path: path.stat().st_mtime_ns for path in toy.rglob('*')} == before


def test_other_sizes_replace_our_own_folder(toy):
    assert write_toy_data(toy, labeled=1, unlabeled=0, val=1, seed=0)
    assert len(list(toy.rglob('*.jpg'))) == 2


@pytest.mark.parametrize('name', ['notes.txt', 'manifest.json', 'images'])
def test_a_folder_of_someone_else_is_refused_and_kept(tmp_path, name):
    (tmp_path / name).write_text('{}')
    with pytest.raises(UserError, match=name):
        write_toy_data(tmp_path, labeled=1, unlabeled=0, val=0)
    assert list(tmp_path.iterdir()) == [tmp_path / name]


def test_a_file_added_to_our_folder_is_not_lost(toy):
    (toy / 'notes.txt').write_text('mine')
    with pytest.raises(UserError, match=r'notes\.txt'):
        write_toy_data(toy, labeled=1, unlabeled=0, val=0)
    assert (toy / 'notes.txt').read_text() == 'mine'


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / 'toy').write_text('')
    with pytest.raises(UserError, match='is a file'):
        write_toy_data(tmp_path / 'toy')


def test_an_empty_folder_is_filled(tmp_path):
    assert write_toy_data(tmp_path, labeled=1, unlabeled=0, val=0)
    assert (tmp_path / 'images/labeled/000001.jpg').exists()


def test_an_interrupted_run_leaves_no_folder(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr('mmdistill.toy.writer._write_json', interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_toy_data(tmp_path / 'toy', labeled=1, unlabeled=0, val=0)
    assert not (tmp_path / 'toy').exists()


@pytest.mark.parametrize('name', ['labeled', 'unlabeled', 'val', 'seed'])
def test_negative_numbers_are_refused(tmp_path, name):
    with pytest.raises(UserError, match=f'{name} must be 0 or more, got -1'):
        write_toy_data(tmp_path / 'toy', **{name: -1})


def test_unlabeled_lists_the_images_of_its_oracle_without_annotations(toy):
    folder = toy / 'annotations'
    listed = json.loads((folder / 'unlabeled.json').read_text())
    oracle = json.loads((folder / 'unlabeled_oracle.json').read_text())
    assert 'annotations' not in listed
    assert listed['images'] == oracle['images']
    assert oracle['annotations']
