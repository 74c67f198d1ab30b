"""The advice of sentences about stores: following it resolves the situation."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mmdistill.config.selection_options import SelectionOptions
from mmdistill.datasets.boxes import stored_boxes
from mmdistill.errors import UserError
from mmdistill.selection.counts import LabeledCounts
from mmdistill.selection.selection import SELECTION_FILE, read_selection
from mmdistill.selection.threshold_matching import select
from mmdistill.store import LabelStore, parquet
from mmdistill.store.manifest import DETECTIONS
from tests.helpers.detecting import NUM_IMAGES as DETECTED
from tests.helpers.detecting import Detector
from tests.helpers.labeling import Teacher

LABELED = LabeledCounts(4, 4, 8, 'abc', ((1, 8),), (8,) * 17)
CHUNK = 'chunks/000001.parquet'
PATHS = 'images/000000.paths'


def changed(name: str) -> Callable[[Path], None]:
    """Change a byte in the middle of a file."""

    def change(root: Path) -> None:
        data = bytearray((root / name).read_bytes())
        data[len(data) // 2] ^= 1
        (root / name).write_bytes(data)

    return change


def removed(name: str) -> Callable[[Path], None]:
    return lambda root: (root / name).unlink()


def written(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda root: (root / name).write_bytes(content)


def exchanged(root: Path) -> None:
    (root / CHUNK).write_bytes((root / 'chunks/000000.parquet').read_bytes())


def no_parquet(root: Path) -> None:
    """The hash is right, what it is of is not."""
    head = b'x' * 64 + parquet.HASH_KEY + b'..'
    data = head + parquet.NO_HASH
    (root / CHUNK).write_bytes(head + parquet._hash(data, len(head)))


def in_manifest(**values: object) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        content = json.loads((root / 'manifest.json').read_text())
        (root / 'manifest.json').write_text(json.dumps({**content, **values}))

    return change


SITUATIONS = {
    'a chunk is missing': (removed(CHUNK), 'is not complete'),
    'a chunk is damaged': (changed(CHUNK), 'is damaged'),
    'a chunk is no Parquet': (no_parquet, r'is damaged \('),
    'a chunk is another one': (exchanged, 'of another position'),
    'the list of images is missing': (removed(PATHS), 'cannot be read'),
    'the list of images is damaged': (changed(PATHS), 'is damaged'),
    'the manifest is missing': (removed('manifest.json'), 'holds no'),
    'the manifest is no JSON': (written('manifest.json', b'{'), 'not valid JSON'),
    'the manifest is another file': (written('manifest.json', b'{}'), 'not one of'),
    'the manifest is not right': (in_manifest(chunk_size='3'), 'not one of mmdistill'),
}


def read_all(store: LabelStore) -> list:
    """Every column of a store, as Python's values, and the list of its images."""
    return [store.paths(), *(table.to_pydict() for table in store.scan())]


def named_file(sentence: str) -> Path:
    """The first path that a sentence names."""
    return Path(re.findall(r'/\S+', sentence)[0].rstrip(':;,.'))


@pytest.fixture(params=['labels', 'boxes'])
def make(request, label, detect):
    """Make a store of each kind; returns it and how many images were looked at."""

    def run(name: str = 'store') -> tuple[LabelStore, int]:
        kind = label if request.param == 'labels' else detect
        model, store = kind(name)
        return store, sum(model.batches)

    return run


@pytest.mark.parametrize('situation', SITUATIONS)
def test_a_damaged_store_is_mended_as_its_sentence_says(make, situation):
    harm, word = SITUATIONS[situation]
    store, _ = make()
    before = read_all(store)
    harm(store.root)
    with pytest.raises(UserError, match=word) as caught:
        read_all(store)
    sentence = str(caught.value)
    assert store.kind.tool in sentence
    if 'emove it' in sentence:
        named_file(sentence).unlink()

    _, looked_at = make()

    assert read_all(store) == before
    # What was not harmed is not made again.
    assert looked_at <= 3
    assert ('that still belong' not in sentence) or looked_at == 0


@pytest.mark.parametrize('stated', [1, 99])
def test_a_store_of_another_format_stays_and_another_folder_is_named(make, stated):
    store, _ = make()
    right = read_all(store)
    in_manifest(format=stated)(store.root)
    held = (store.root / 'manifest.json').read_bytes()
    with pytest.raises(UserError, match='has format') as caught:
        make()
    assert f'name another folder in {store.kind.option}' in str(caught.value)
    assert f'run {store.kind.tool} again' in str(caught.value)

    assert read_all(make('another')[0]) == right
    assert (store.root / 'manifest.json').read_bytes() == held


def refusal(run: Callable[[], object], word: str) -> str:
    with pytest.raises(UserError, match=word) as caught:
        run()
    return str(caught.value)


def test_a_run_of_another_kind_goes_into_another_folder_or_an_empty_one(label):
    _, store = label()
    sentence = refusal(lambda: label(teacher=Teacher('two')), 'was made otherwise')
    assert 'name another folder in distill.store or remove this one' in sentence

    label('another', Teacher('two'))
    shutil.rmtree(named_file(sentence))
    _, store = label(teacher=Teacher('two'))
    assert store.complete


def test_detections_of_another_kind_go_into_another_folder(detect):
    detect()
    sentence = refusal(lambda: detect(detector=Detector(0.5)), 'was made otherwise')
    assert 'another folder in distill.detector.boxes or remove this' in sentence

    _, store = detect('another', Detector(0.5))
    assert store.complete


def test_images_that_are_gone_are_brought_back(label, tmp_path):
    image = tmp_path / 'pile/3.png'
    label()
    image.rename(tmp_path / 'away.png')
    sentence = refusal(label, 'bring the images back, or name another folder')
    assert '3.png' in sentence

    assert label('another')[1].complete
    (tmp_path / 'away.png').rename(image)
    assert label()[1].complete


def test_hidden_images_are_images_again(label, tmp_path, write_images):
    write_images(tmp_path / 'pile', '.a.png')
    label(dataset=dict(hidden=True))
    sentence = refusal(label, 'its hidden files are images again')
    key, value = re.findall(r'(\w+)=(True) in distill\.unlabeled', sentence)[0]

    assert label(dataset={key: value == 'True'})[1].complete
    folder = dict(type='FolderSource', name='')
    stated = dict(sources=[{**folder, key: value == 'True'}])
    assert label(dataset=stated)[1].complete
    assert 'name another folder in distill.store' in sentence
    assert label('another')[1].complete


def test_without_its_list_and_images_a_store_is_left_or_removed(label, tmp_path):
    _, store = label()
    (store.root / PATHS).unlink()
    (tmp_path / 'pile/3.png').rename(tmp_path / 'away.png')
    sentence = refusal(label, r'is gone.*name another folder in distill\.store')
    assert sentence.endswith('or remove this one')

    assert label('another')[1].complete
    shutil.rmtree(store.root)
    assert label()[1].complete


SELECTIONS = {
    'missing': (removed(SELECTION_FILE), 'cannot be read'),
    'no JSON': (written(SELECTION_FILE, b'['), 'not valid JSON'),
    'another file': (written(SELECTION_FILE, b'{}'), 'not a selection of mmdistill'),
    # By chance the byte that changes is one of the form, or of a value.
    'changed': (
        changed(SELECTION_FILE),
        'is not (a selection of mmdistill|valid JSON)',
    ),
}


@pytest.mark.parametrize('situation', SELECTIONS)
def test_a_selection_is_made_again(label, situation):
    harm, word = SELECTIONS[situation]
    _, store = label()
    selection = select(store, LABELED, SelectionOptions())
    selection.write(store)
    harm(store.root)
    sentence = refusal(lambda: read_selection(store), word)
    assert re.search(r'ake it (again )?with tools/select_labels\.py$', sentence)

    select(store, LABELED, SelectionOptions()).write(store)
    assert read_selection(store) == selection


def test_a_selection_of_a_store_that_grew_is_made_again(label, tmp_path, write_images):
    _, store = label()
    select(store, LABELED, SelectionOptions()).write(store)
    write_images(tmp_path / 'pile', 'new.png')
    label()
    sentence = refusal(lambda: read_selection(store), 'made before the store')
    assert sentence.endswith('make it again with tools/select_labels.py')

    select(store, LABELED, SelectionOptions()).write(store)
    assert read_selection(store).unlabeled.images == 8


def test_detections_of_images_that_joined_are_made(
    detect,
    tmp_path,
    write_images,
):
    _, store = detect()
    write_images(tmp_path / 'pile', '9.png')
    paths = [*store.paths(), '9.png']
    sentence = refusal(lambda: stored_boxes(store, paths), r'lacks 1 .* 9\.png')
    assert sentence.endswith(f'continue with {DETECTIONS.tool}')

    detect()
    boxes = stored_boxes(store, paths)
    assert np.array_equal(boxes.offsets[-2:], [DETECTED - 1, DETECTED])
