"""Labels of a folder, a video and a tar: exported, corrected, and trained on."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pycocotools.coco
import pytest
import xtcocotools.coco

from mmdistill.store import LabelStore
from tests.helpers.media import write_tar, write_video  # noqa: F401
from tests.helpers.recipes import STUDENT, TEACHER
from tests.helpers.workshop import DISTILL, QUICK

LABELED = Path('data/toy/annotations/labeled.json')
RECIPE = f"""
_base_ = {STUDENT!r}
distill = dict(
    store='work_dirs/mixed',
    unlabeled=dict(
        _delete_=True,
        data_root='data/toy/',
        sources=[
            dict(type='FolderSource', path='images/unlabeled'),
            dict(type='VideoSource', path='film.mp4', name='film'),
            dict(type='TarSource', path='a.tar'),
        ],
    ),
)
"""
OPTIONS = [option for option in DISTILL if 'bbox_file' not in option]


@pytest.fixture
def mixed(workshop, write_video, write_tar):  # noqa: F811
    """A workshop with a video and a tar beside its folder of images."""
    root = Path('data/toy')
    write_video(root / 'film.mp4', range(3))
    image = next((root / 'images/unlabeled').iterdir())
    write_tar(root / 'a.tar', {'b.png': image.read_bytes()})
    Path('mixed.py').write_text(RECIPE)
    return workshop


def test_what_is_exported_opens_and_is_trained_on_once_corrected(mixed, tool):
    options = ['--cfg-options', *OPTIONS]
    assert tool('label', 'mixed.py', *options) == 0
    exported = ['--export-coco', 'out/labels.json', '--rejected']
    assert tool('select_labels', 'mixed.py', *exported, *options) == 0

    content = json.loads(Path('out/labels.json').read_text())
    labeled = json.loads(LABELED.read_text())
    assert [c['id'] for c in content['categories']] == [
        c['id'] for c in labeled['categories']
    ]
    assert len(content['images']) == 7 + 3 + 1
    for image in content['images']:
        pixels = cv2.imread(str(Path('out/labels_images', image['file_name'])))
        assert pixels.shape[:2] == (image['height'], image['width'])
    rejected = json.loads(Path('out/labels.rejected.json').read_text())
    found = len(content['annotations']) + len(rejected['annotations'])
    assert found == len(LabelStore('work_dirs/mixed').read().candidates)
    for reader in (pycocotools.coco, xtcocotools.coco):
        coco = reader.COCO('out/labels.json')
        masks = [coco.annToMask(annotation) for annotation in coco.anns.values()]
        assert all(mask.any() for mask in masks)

    corrected = content['annotations'][0]
    corrected['keypoints'][:3] = [2.5, 3.5, 2]
    Path('out/labels.json').write_text(json.dumps(content))
    dataset = [
        'train_dataloader.dataset.ann_file=labels.json',
        'train_dataloader.dataset.data_root=out/',
        'train_dataloader.dataset.data_prefix.img=labels_images/',
        *('train_cfg.max_iters=2', 'train_dataloader.batch_size=2'),
    ]
    arguments = [TEACHER, '--work-dir', 'work_dirs/again', '--no-validate']
    assert tool('train', *arguments, '--cfg-options', *QUICK, *dataset) == 0
    assert Path('work_dirs/again/iter_2.pth').is_file()


def test_images_of_a_list_keep_its_ids(workshop, tool):
    exported = ['--export-coco', 'labels.json', '--cfg-options', *DISTILL]
    assert tool('select_labels', STUDENT, *exported) == 0
    listed = json.loads(Path('data/toy/annotations/unlabeled.json').read_text())
    ids = {image['file_name']: image['id'] for image in listed['images']}
    content = json.loads(Path('labels.json').read_text())
    assert {image['file_name']: image['id'] for image in content['images']} == ids
    assert not Path('labels_images').exists()


def test_a_teacher_whose_weights_are_not_finite_labels_nothing(workshop, tool, capfd):
    import torch

    path = Path('work_dirs/teacher/iter_2.pth')
    content = torch.load(path, weights_only=False)
    for value in content['state_dict'].values():
        if value.is_floating_point():
            value.fill_(float('nan'))
    torch.save(content, path)
    options = [*DISTILL, 'distill.store=work_dirs/nan']
    assert tool('label', STUDENT, '--cfg-options', *options) == 2
    errors = capfd.readouterr().err
    assert 'the teacher gives NaN or infinity' in errors
    assert 'Traceback' not in errors


def test_a_chunk_or_list_that_is_damaged_comes_back_as_its_sentence_says(
    workshop, tool, capfd
):
    labels = Path('work_dirs/toy/labels')
    before = {p: p.read_bytes() for p in labels.glob('*/*') if p.is_file()}
    for name in ('chunks/000001.parquet', 'images/000000.paths', 'manifest.json'):
        path = labels / name
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
        assert tool('label', STUDENT, '--cfg-options', *DISTILL) == 2
        sentence = capfd.readouterr().err
        assert 'remove it' in sentence.lower()
        path.unlink()
        assert tool('label', STUDENT, '--cfg-options', *DISTILL) == 0
        assert path.read_bytes() == data
    assert {p: p.read_bytes() for p in before} == before


def test_a_selection_that_is_damaged_is_made_again_as_its_sentence_says(
    workshop, tool, capfd
):
    path = Path('work_dirs/toy/labels/selection.json')
    path.write_text(path.read_text().replace('"kept"', '"held"'))
    assert tool('label', STUDENT, '--cfg-options', *DISTILL) == 2
    assert 'make it again with tools/select_labels.py' in capfd.readouterr().err
    assert tool('select_labels', STUDENT, '--cfg-options', *DISTILL) == 0
    assert tool('label', STUDENT, '--cfg-options', *DISTILL) == 0
