"""Validation sets that are split off: groups, near duplicates, leaks."""

import shutil

import cv2
import numpy as np
import pytest

from mmdistill.errors import ConfigError, DataError
from mmdistill.recipes.split import check_leaks, split_labeled
from tests.helpers.recipe_data import read_labels

TWELVE = [0.0] * 12


def names_of(side):
    return {image['file_name'] for image in side['images']}


def check_sides(labeled, split):
    """Every image and annotation is on one side, with its annotations."""
    train, val = names_of(split.train), names_of(split.val)
    assert not train & val
    assert train | val == names_of(labeled.content)
    for side in (split.train, split.val):
        ids = {image['id'] for image in side['images']}
        assert {each['image_id'] for each in side['annotations']} == ids


def test_images_are_drawn_where_they_have_no_group(tmp_path):
    labeled = read_labels(tmp_path, angles=TWELVE)
    split = split_labeled(labeled, 0.25, seed=0)

    check_sides(labeled, split)
    assert len(split.val['images']) == 3
    assert '3 of 12 images validate, split by image with the seed 0' in split.rule
    again = split_labeled(labeled, 0.25, seed=0)
    assert names_of(again.val) == names_of(split.val)
    others = [names_of(split_labeled(labeled, 0.25, seed).val) for seed in range(1, 5)]
    assert any(each != names_of(split.val) for each in others)


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize(
    ('options', 'unit'),
    [
        (dict(files=[f'v{i // 3}/{i:03d}.png' for i in range(12)]), 'folder'),
        (dict(files=[f'v{i // 3}_{i:03d}.png' for i in range(12)]), 'start of'),
        (dict(fields=[dict(video_id=i // 3) for i in range(12)]), 'video_id'),
        (dict(fields=[dict(subject=f's{i // 3}') for i in range(12)]), 'subject'),
    ],
)
def test_a_video_folder_or_subject_is_on_one_side(tmp_path, options, unit, seed):
    labeled = read_labels(tmp_path, angles=TWELVE, **options)
    split = split_labeled(labeled, 0.25, seed)

    check_sides(labeled, split)
    assert f'split by {unit}' in split.rule
    group = {image['file_name']: i // 3 for i, image in enumerate(labeled.images)}
    groups = [{group[name] for name in names_of(s)} for s in (split.train, split.val)]
    assert not groups[0] & groups[1]
    assert groups[1]


def test_a_stated_group_wins(tmp_path):
    files = [f'v{i // 3}/{i:03d}.png' for i in range(12)]
    fields = [dict(day=i % 2) for i in range(12)]
    labeled = read_labels(tmp_path, angles=TWELVE, files=files, fields=fields)

    by_day = split_labeled(labeled, 0.25, 0, by='day')
    by_image = split_labeled(labeled, 0.25, 0, by='image')

    assert {image['day'] for image in by_day.val['images']} in ({0}, {1})
    assert len(by_day.val['images']) == 6
    assert len(by_image.val['images']) == 3
    assert split_labeled(labeled, 0.25, 0, by='folder').rule.count('folder')


@pytest.mark.parametrize('seed', range(6))
def test_near_duplicates_stay_together(tmp_path, seed):
    labeled = read_labels(tmp_path, angles=TWELVE)
    files = labeled.files
    # The same photograph in another quality, as a neighboring frame is.
    for number in (1, 3, 5):
        picture = cv2.imread(str(files[number - 1]))
        noise = np.random.default_rng(number).integers(-2, 3, picture.shape)
        cv2.imwrite(str(files[number]), np.clip(picture + noise, 0, 255))

    split = split_labeled(labeled, 0.25, seed)

    val = names_of(split.val)
    assert '3 pairs of near duplicates kept together' in split.rule
    for number in (1, 3, 5):
        pair = {files[number - 1].name, files[number].name}
        assert len(pair & val) != 1


def test_frames_of_one_video_are_parted_by_time(tmp_path):
    labeled = read_labels(tmp_path, angles=TWELVE, alike=True)
    split = split_labeled(labeled, 0.25, seed=0)

    assert names_of(split.val) == {'009.png', '010.png', '011.png'}
    (caution,) = split.cautions
    assert 'not another one' in caution


def test_both_sides_have_their_share_of_instances(tmp_path):
    labeled = read_labels(tmp_path, angles=TWELVE)
    keep = [a for a in labeled.content['annotations'] if a['image_id'] < 4]
    labeled.content['annotations'][:] = keep
    object.__setattr__(labeled, 'trained_images', (0, 1, 2, 3))

    for seed in range(5):
        split = split_labeled(labeled, 0.25, seed)
        assert len(split.val['annotations']) == 1
        assert len(split.val['images']) == 3


def test_one_image_cannot_be_split(tmp_path):
    with pytest.raises(DataError, match=r'has 1 image, .* with --val'):
        split_labeled(read_labels(tmp_path, angles=[0.0]), 0.2, 0)


def test_a_field_that_is_absent_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r'--val-by rat must be a field .* file_name'):
        split_labeled(read_labels(tmp_path), 0.2, 0, by='rat')


@pytest.mark.parametrize('share', [0, 1, -0.5, 2])
def test_a_share_is_between_0_and_1(tmp_path, share):
    with pytest.raises(ConfigError, match='--val-share must be between 0 and 1'):
        split_labeled(read_labels(tmp_path), share, 0)


def test_one_annotated_image_cannot_be_on_both_sides(tmp_path):
    labeled = read_labels(tmp_path)
    object.__setattr__(labeled, 'trained_images', (2,))
    with pytest.raises(DataError, match='would have no instance: 1 of 6 images'):
        split_labeled(labeled, 0.3, 0)


def test_a_validation_set_of_labeled_images_is_refused(tmp_path):
    labeled = read_labels(tmp_path / 'a')
    other = read_labels(tmp_path / 'b', size=(200, 120))
    shutil.copy(labeled.files[2], other.files[4])

    with pytest.raises(DataError, match=r'1 of 6 labeled images are also in --val'):
        check_leaks(labeled, other, '--val')
    with pytest.raises(DataError, match=r'6 of 6 labeled .*000.png.*leave out --val'):
        check_leaks(labeled, labeled, '--val')


def test_images_that_look_alike_are_told(tmp_path):
    labeled = read_labels(tmp_path / 'a')
    other = read_labels(tmp_path / 'b', size=(320, 240))
    assert check_leaks(labeled, other, '--val') == ''

    picture = cv2.imread(str(labeled.files[2]))
    cv2.imwrite(str(other.files[4]), cv2.resize(picture, (320, 240)))
    assert '1 labeled images look like images of --val' in check_leaks(
        labeled, other, '--val'
    )
