"""Which images of a labeled set it is measured on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmdistill.audits.audited_set import AuditedSet, sampled_set
from mmdistill.errors import UserError


@pytest.fixture
def audited(tmp_path) -> AuditedSet:
    """Ten images, of which 3 has no annotation and 4 none with a keypoint."""
    images = [dict(id=10 + i, file_name=f'{i}.png') for i in range(10)]
    annotations = [
        dict(id=10 * i + n, image_id=10 + i, keypoints=[1, 2, 2 if i != 4 else 0])
        for i in range(10)
        for n in range(2)
        if i != 3
    ]
    path = tmp_path / 'val.json'
    content = dict(categories=['c'], images=images, annotations=annotations)
    path.write_text(json.dumps(content))
    return AuditedSet(path, tmp_path / 'images')


def sampled(audited: AuditedSet, num: int, *left_out: str) -> AuditedSet:
    paths = [audited.img_root.resolve() / name for name in left_out]
    folder = audited.ann_file.parent / 'samples'
    return sampled_set(audited, num, paths, folder)


def names(audited: AuditedSet) -> list[str]:
    content = json.loads(audited.ann_file.read_text())
    return [image['file_name'][0] for image in content['images']]


@pytest.mark.parametrize(
    ('num', 'chosen'),
    [(1, '0'), (2, '09'), (3, '069'), (8, '01256789'), (99, '01256789')],
)
def test_images_with_keypoints_are_chosen_evenly(audited, num, chosen):
    assert names(sampled(audited, num)) == list(chosen)


def test_they_have_all_their_annotations_and_no_others(audited):
    content = json.loads(sampled(audited, 3).ann_file.read_text())
    assert content['categories'] == ['c']
    assert [each['image_id'] for each in content['annotations']] == [
        *(10, 10, 16, 16, 19, 19)
    ]


def test_images_that_are_left_out_are_not_among_them(audited):
    assert names(sampled(audited, 99, '0.png', '9.png')) == list('125678')


def test_the_same_images_have_the_same_file(audited):
    first, again = sampled(audited, 5), sampled(audited, 5)
    assert first == again
    assert sampled(audited, 6).ann_file != first.ann_file


def test_a_set_that_is_chosen_whole_is_itself(audited):
    content = json.loads(audited.ann_file.read_text())
    content['images'] = [each for each in content['images'] if each['id'] > 14]
    content['annotations'] = [a for a in content['annotations'] if a['image_id'] > 14]
    audited.ann_file.write_text(json.dumps(content))
    assert sampled(audited, 99) is audited
    assert not Path(audited.ann_file.parent, 'samples').exists()


def test_nothing_to_choose_is_said(audited):
    everything = [f'{i}.png' for i in range(10)]
    with pytest.raises(UserError, match='no image with keypoints that the teacher was'):
        sampled(audited, 5, *everything)
