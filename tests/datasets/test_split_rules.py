"""Tests of the rules of a split; MMPose's order is tested with what is written."""

import json
import runpy
from pathlib import Path

import mmdet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdistill.datasets.split_rules import (
    check_both_sides,
    listed_images,
    percent_of_images,
    random_images,
)
from mmdistill.errors import UserError


@pytest.fixture(scope='module')
def content():
    """Eight images of four animals in three folders."""
    images = [
        dict(id=i, file_name=f'{i % 3}/{i}.jpg', animal=f'mouse {i % 4}')
        for i in (7, 3, 5, 1, 0, 2, 6, 4)
    ]
    return dict(images=images, annotations=[])


class TestListedImages:
    def test_images_of_the_list_are_labeled(self, content):
        assert listed_images(content, [3, 1, 99]).images == {1, 3}

    @pytest.mark.parametrize('listed', [[], [99], range(8)])
    def test_a_list_of_none_or_all_is_refused(self, content, listed):
        with pytest.raises(UserError, match='both sides of a split need images'):
            listed_images(content, listed)


class TestRandomImages:
    @given(st.integers(1, 7), st.integers(0, 2**31))
    def test_as_many_as_asked_are_drawn(self, content, count, seed):
        assert len(random_images(content, count, seed).images) == count

    @given(st.integers(1, 6), st.integers(0, 2**31))
    def test_a_larger_draw_holds_the_smaller(self, content, count, seed):
        smaller = random_images(content, count, seed).images
        assert smaller < random_images(content, count + 1, seed).images

    def test_seeds_draw_differently(self, content):
        draws = {frozenset(random_images(content, 3, seed).images) for seed in range(9)}
        assert len(draws) > 3

    @pytest.mark.parametrize('field', ['animal', 'folder'])
    def test_a_subject_is_on_one_side(self, content, field):
        images = random_images(content, 2, 0, field).images
        sides = [set(), set()]
        for image in content['images']:
            name = image.get(field, image['file_name'].split('/')[0])
            sides[image['id'] in images].add(name)
        assert sides[0].isdisjoint(sides[1])
        assert len(sides[1]) == 2

    def test_a_missing_field_is_named(self, content):
        with pytest.raises(UserError, match=r'needs the field video .* has animal'):
            random_images(content, 2, 0, 'video')

    @pytest.mark.parametrize('count', [-1, 0, 8, 100])
    def test_a_draw_of_none_or_all_is_refused(self, content, count):
        with pytest.raises(UserError, match=f'a draw of {count} among 8 takes'):
            random_images(content, count, 0)


def test_a_side_without_images_is_refused(content):
    with pytest.raises(UserError, match='need images, the rule takes 0 of 8'):
        check_both_sides([], content, 'the rule')


class TestPercentOfImages:
    @pytest.fixture(scope='class')
    def many(self):
        """Images in another order than that of their ids."""
        images = [dict(id=(37 * i) % 401, file_name=f'{i}.jpg') for i in range(401)]
        rest = dict(annotations=[], categories=[], licenses=[], info={})
        return dict(rest, images=images)

    @pytest.mark.parametrize('percent', [1, 2, 5, 10])
    @pytest.mark.parametrize('fold', [1, 5])
    def test_a_fold_is_that_of_mmdetection(self, many, tmp_path, percent, fold):
        """Of the script itself, which also wrote SoftTeacher's lists."""
        folder = tmp_path / 'annotations'
        folder.mkdir()
        (folder / 'instances_train2017.json').write_text(json.dumps(many))
        script = runpy.run_path(
            str(Path(mmdet.__file__).parent / '.mim/tools/misc/split_coco.py')
        )
        script['split_coco'](str(tmp_path), str(tmp_path), percent, fold)
        written = tmp_path / f'instances_train2017.{fold}@{percent}.json'
        listed = json.loads(written.read_text())['images']

        chosen = percent_of_images(many, percent, fold)

        assert chosen.images == {image['id'] for image in listed}
        assert chosen.annotations is None

    def test_images_are_drawn_with_replacement(self, many):
        assert len(percent_of_images(many, 50, 1).images) < 200

    @pytest.mark.parametrize('percent', [0, -1, 0.1, 10**6])
    def test_none_or_all_are_refused(self, many, percent):
        with pytest.raises(UserError, match='both sides of a split need images'):
            percent_of_images(many, percent, 1)
