"""Which images are audited, and in which boxes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mmengine.config import Config

from mmdistill.audits.audited_set import (
    TRUE_BOXES,
    WHOLE_IMAGE,
    AuditedSet,
    audited_set,
    choose_boxes,
    labeled_set,
    shared_images,
)
from mmdistill.config.recipe import Recipe
from mmdistill.config.schema import FollowConfig, UnlabeledConfig
from mmdistill.errors import UserError


def write_set(path: Path, *names: str) -> None:
    images = [dict(id=i, file_name=name) for i, name in enumerate(names)]
    boxes = [dict(image_id=0, category_id=3, bbox=[1, 2, 30, 40])]
    path.write_text(json.dumps(dict(images=images, annotations=boxes)))


@pytest.fixture
def config(tmp_path, monkeypatch) -> Config:
    """A config that trains on a.png and b.png and validates on c.png."""
    monkeypatch.chdir(tmp_path)
    write_set(Path('train.json'), 'a.png', 'b.png')
    write_set(Path('val.json'), 'c.png')
    write_set(Path('other.json'), 'b.png', 'c.png')
    Path('boxes.json').write_text('[]')
    Path('student.py').write_text('')

    def dataset(name: str, **settings: str) -> dict:
        prefix = dict(img='images')
        return dict(type='CocoDataset', ann_file=name, data_prefix=prefix, **settings)

    return Config(
        dict(
            distill=dict(teacher={}, unlabeled={}, store='labels'),
            train_dataloader=dict(dataset=dataset('train.json')),
            val_dataloader=dict(dataset=dataset('val.json', bbox_file='boxes.json')),
        ),
        filename='student.py',
    )


def test_the_val_set_is_audited_with_its_detections(config):
    expected = AuditedSet(Path('val.json'), Path('images'), Path('boxes.json'))
    assert audited_set(Recipe.of(config)) == expected


def test_paths_are_relative_to_the_data_root(config, tmp_path):
    config.val_dataloader.dataset.data_root = str(tmp_path)
    found = audited_set(Recipe.of(config))
    assert (found.ann_file, found.img_root) == (
        tmp_path / 'val.json',
        tmp_path / 'images',
    )


def test_the_audit_section_comes_before_the_val_set(config):
    config.distill.audit = dict(ann_file='other.json', data_prefix=dict(img='photos'))
    expected = AuditedSet(Path('other.json'), Path('photos'), None)
    assert audited_set(Recipe.of(config)) == expected


def test_arguments_come_first_and_detections_are_those_of_the_same_set(config):
    assert audited_set(Recipe.of(config), 'other.json') == AuditedSet(
        Path('other.json'), Path('images'), None
    )
    assert audited_set(
        Recipe.of(config), 'other.json', 'photos', 'boxes.json'
    ) == AuditedSet(Path('other.json'), Path('photos'), Path('boxes.json'))


def test_detections_alone_can_be_given(config):
    config.val_dataloader.dataset.bbox_file = None
    assert audited_set(Recipe.of(config), bbox_file='boxes.json').bbox_file == Path(
        'boxes.json'
    )


def test_a_config_without_a_val_set_is_refused(config):
    config.val_dataloader = None
    with pytest.raises(UserError, match=r'student\.py names no val set'):
        audited_set(Recipe.of(config))
    with pytest.raises(UserError, match=r'the images of val\.json need a folder'):
        audited_set(Recipe.of(config), 'val.json')


@pytest.mark.parametrize('arguments', [('no.json',), (None, None, 'no.json')])
def test_a_missing_file_is_refused(config, arguments):
    with pytest.raises(UserError, match=r'no\.json, which the audit needs, does not'):
        audited_set(Recipe.of(config), *arguments)


def test_the_training_set_is_refused(config):
    with pytest.raises(UserError, match='is what the teacher was trained on'):
        shared_images(Recipe.of(config), audited_set(Recipe.of(config), 'train.json'))


def test_a_copy_of_the_training_set_is_refused(config):
    write_set(Path('copy.json'), 'b.png', 'a.png')
    with pytest.raises(UserError, match='is what the teacher was trained on'):
        shared_images(Recipe.of(config), audited_set(Recipe.of(config), 'copy.json'))


@pytest.mark.parametrize(('name', 'count'), [('val.json', 0), ('other.json', 1)])
def test_images_that_the_teacher_has_seen_are_counted(config, name, count):
    assert (
        shared_images(Recipe.of(config), audited_set(Recipe.of(config), name)) == count
    )


def test_the_same_names_below_another_folder_are_other_images(config):
    write_set(Path('copy.json'), 'b.png', 'a.png')
    assert (
        shared_images(
            Recipe.of(config), audited_set(Recipe.of(config), 'copy.json', 'photos')
        )
        == 0
    )


def test_boxes_are_whole_images_without_detections(config, tmp_path):
    audited = AuditedSet(Path('val.json'), Path('images'))
    unlabeled = UnlabeledConfig()
    assert choose_boxes(unlabeled, audited, tmp_path) == (unlabeled, WHOLE_IMAGE)


@pytest.mark.parametrize(
    'unlabeled',
    [
        dict(bbox_file='detections.json', category_ids=[1]),
        dict(detections='work_dirs/labels_boxes'),
        dict(follow=FollowConfig()),
    ],
)
def test_true_boxes_replace_those_of_the_unlabeled_set(config, tmp_path, unlabeled):
    audited = AuditedSet(Path('val.json'), Path('images'))

    arguments, source = choose_boxes(UnlabeledConfig(**unlabeled), audited, tmp_path)

    assert source == TRUE_BOXES
    assert arguments == UnlabeledConfig(bbox_file=str(tmp_path / 'true_boxes.json'))
    (box,) = json.loads(Path(arguments.bbox_file).read_text())
    assert (box['bbox'], box['score']) == ([1, 2, 30, 40], 1)


def test_detections_are_filtered_as_in_the_unlabeled_set(config, tmp_path):
    audited = AuditedSet(Path('val.json'), Path('images'), Path('boxes.json'))
    arguments, source = choose_boxes(
        UnlabeledConfig(bbox_file='detections.json', category_ids=[1]),
        audited,
        tmp_path,
    )
    assert arguments == UnlabeledConfig(bbox_file='boxes.json', category_ids=[1])
    assert source == 'detections, boxes.json'


def test_sets_of_different_content_have_different_names(config):
    first = audited_set(Recipe.of(config)).name
    write_set(Path('val.json'), 'c.png', 'd.png')
    names = {
        first,
        audited_set(Recipe.of(config)).name,
        audited_set(Recipe.of(config), img='photos').name,
    }
    assert len(names) == 3


@pytest.fixture
def several(config):
    """A config that trains and validates on two sets each, one of them MPII's."""
    train, val = (config[f'{name}_dataloader'].dataset for name in ('train', 'val'))
    Path('mpii.json').write_text(json.dumps([dict(image='d.png'), dict(image='d.png')]))
    mpii = dict(train, type='MpiiDataset', ann_file='mpii.json')
    for name, sets in (('train', [train, mpii]), ('val', [val, mpii])):
        combined = dict(type='CombinedDataset', metainfo={}, datasets=sets)
        config[f'{name}_dataloader'].dataset = combined
    return config


def test_a_val_set_made_of_several_is_refused_by_name(several):
    with pytest.raises(
        UserError,
        match=r'is made of 2 data sets \(CocoDataset val\.json, MpiiDataset mpii',
    ):
        audited_set(Recipe.of(several))


def test_one_of_several_can_be_named(several):
    several.distill.audit = dict(ann_file='val.json', data_prefix=dict(img='images'))
    assert audited_set(Recipe.of(several)).ann_file == Path('val.json')
    assert audited_set(Recipe.of(several), 'other.json', 'images').ann_file == Path(
        'other.json'
    )


def test_images_of_every_member_are_known_to_the_teacher(several):
    write_set(Path('seen.json'), 'c.png', 'd.png')
    assert (
        shared_images(
            Recipe.of(several), audited_set(Recipe.of(several), 'seen.json', 'images')
        )
        == 1
    )


def test_every_member_of_the_training_set_is_refused(several):
    with pytest.raises(UserError, match='is what the teacher was trained on'):
        shared_images(
            Recipe.of(several), audited_set(Recipe.of(several), 'mpii.json', 'images')
        )


def test_folds_of_a_set_made_of_several_are_refused_by_name(several):
    with pytest.raises(
        UserError, match=r'is made of 2 \(CocoDataset train\.json, MpiiDataset mpii'
    ):
        labeled_set(Recipe.of(several))


def test_a_long_name_of_a_set_fits_a_folder(tmp_path):
    ann_file = tmp_path / f'{"é" * 120}.json'
    ann_file.write_text('{}')
    (tmp_path / AuditedSet(ann_file, tmp_path).name).mkdir()
