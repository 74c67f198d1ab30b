"""Tasks of Label Studio, as its JSON export has them, and back."""

import json

import numpy as np
import pytest

from mmdistill.errors import DataError
from mmdistill.interchange import project as projects
from mmdistill.interchange.label_studio import read_label_studio, write_label_studio
from tests.helpers.projects import SIZE, draw, keypoint, label_studio_task, rectangle


@pytest.fixture
def read(tmp_path):
    def read(*tasks, **settings):
        path = tmp_path / 'tasks.json'
        path.write_text(json.dumps(tasks))
        return read_label_studio(path, **settings)

    return read


def points_of(project):
    """Keypoints by name of each instance of the first image."""
    return [
        {
            name: tuple(row[:2].round(9))
            for name, row in zip(project.keypoints, one.keypoints, strict=True)
            if row[2]
        }
        for one in project.images[0].instances
    ]


ANNA = dict(snout=(10.0, 12.0), tail=(20.0, 22.0))
BERT = dict(snout=(40.0, 12.0), tail=(50.0, 22.0))
BOXES = (rectangle('a', 5, 5, 20, 30), rectangle('b', 35, 5, 20, 30))


def regions(parents=(None, None)):
    return [
        keypoint(f'{parent}{name}{number}', name, x, y, parent)
        for number, (parent, points) in enumerate(
            zip(parents, (ANNA, BERT), strict=True)
        )
        for name, (x, y) in points.items()
    ]


def relations():
    pairs = [
        ('Nonesnout0', 'a'),
        ('a', 'Nonetail0'),
        ('b', 'Nonesnout1'),
        ('Nonetail1', 'b'),
    ]
    return [
        dict(type='relation', from_id=f, to_id=t, direction='right') for f, t in pairs
    ]


@pytest.mark.parametrize(
    'result',
    [
        [*BOXES, *regions(('a', 'b'))],
        [*regions(), *BOXES, *relations()],
        [*BOXES, *regions()],
    ],
    ids=['nested', 'related', 'inside'],
)
def test_points_belong_to_their_rectangle(read, tmp_path, result):
    draw(tmp_path / '1.png', 1)

    project = read(label_studio_task(1, '1.png', *result))

    assert points_of(project) == [ANNA, BERT]
    boxes = [one.bbox for one in project.images[0].instances]
    assert np.allclose(boxes, [[5, 5, 20, 30], [35, 5, 20, 30]])
    assert project.categories == ('mouse',)


def test_points_without_a_rectangle_are_one_instance(read, tmp_path):
    draw(tmp_path / '1.png', 1)

    project = read(label_studio_task(1, '1.png', *regions()[:2]))

    assert points_of(project) == [ANNA]
    assert project.images[0].instances[0].bbox is None


@pytest.mark.parametrize(
    'address',
    [
        'sub/one 1.png',
        '/data/local-files/?d=films/sub/one%201.png',
        '/data/upload/3/0a1b2c3d-one%201.png',
        'https://example.org/bucket/sub/one%201.png',
        's3://bucket/sub/one 1.png',
    ],
)
@pytest.mark.parametrize('folder', ['', 'sub'])
def test_an_image_is_found_under_any_address(read, tmp_path, address, folder):
    file = draw(tmp_path / 'images' / folder / 'one 1.png', 1)

    images = tmp_path / 'images'
    if 'upload' in address and folder:
        images = images / folder
    project = read(label_studio_task(1, address, *regions()[:2]), images=images)

    assert project.images[0].content == file


def test_an_image_that_is_not_found_is_refused_with_the_flag(read):
    with pytest.raises(
        DataError, match='name the folder that they are in with --images'
    ):
        read(label_studio_task(1, '/data/upload/3/0a1b2c3d-1.png', *regions()[:2]))


def test_of_several_annotations_the_last_or_the_truth_counts(read, tmp_path):
    draw(tmp_path / '1.png', 1)
    task = label_studio_task(1, '1.png', *regions()[2:])
    other = label_studio_task(1, '1.png', *regions()[:2])['annotations'][0]
    skipped = dict(label_studio_task(1, '1.png')['annotations'][0], was_cancelled=True)
    task['annotations'] += [other, skipped]

    last = read(task)
    task['annotations'][0]['ground_truth'] = True
    truth = read(task)

    assert points_of(last) == [ANNA]
    assert points_of(truth) == [BERT]
    assert any('several annotations' in note for note in last.notes)


def test_tasks_that_nobody_did_are_left_out_and_empty_ones_stay(read, tmp_path):
    for number in (1, 2, 3):
        draw(tmp_path / f'{number}.png', number)
    undone = dict(label_studio_task(2, '2.png'), annotations=[])

    project = read(
        label_studio_task(1, '1.png', *regions()[:2]),
        undone,
        label_studio_task(3, '3.png'),
    )

    assert [image.key for image in project.images] == ['1.png', '3.png']
    assert not project.images[1].instances
    assert '1 tasks without an annotation are left out' in project.notes


def test_names_are_in_the_order_in_which_they_appear(read, tmp_path):
    draw(tmp_path / '1.png', 1)

    project = read(label_studio_task(1, '1.png', *reversed(regions()[:2])))

    assert project.keypoints == ('tail', 'snout')
    assert points_of(project.in_order(['snout', 'tail'])) == [ANNA]


def test_tasks_without_keypoints_are_refused(read, tmp_path):
    draw(tmp_path / '1.png', 1)

    with pytest.raises(DataError, match='has no keypoints'):
        read(label_studio_task(1, '1.png', BOXES[0]))


def test_an_image_of_another_size_than_was_labeled_is_refused(read, tmp_path):
    draw(tmp_path / '1.png', 1, (32, 48))
    draw(tmp_path / 'labeled/1.png', 1)
    task = label_studio_task(1, '1.png', *regions()[:2])

    with pytest.raises(DataError, match=r'32 x 48 .* with 64 x 48: name the folder'):
        read(task)
    assert points_of(read(task, images=tmp_path / 'labeled')) == [ANNA]


def test_what_is_written_is_read_back(tmp_path):
    file = draw(tmp_path / 'images/one 1.png', 1)
    rows = np.array([[10.3, 12.7, 2], [0, 0, 0], [33.1, 2.2, 2]])
    instances = (
        projects.LabeledInstance(rows, (5.0, 2.0, 30.0, 20.0), 'a "mouse"'),
        projects.LabeledInstance(rows, (6.0, 2.0, 29.0, 20.0), 'a "mouse"'),
    )
    labeled = projects.Project(
        ('a & b', 'c', 'd'),
        (projects.LabeledImage('one 1.png', file, instances, size=SIZE),),
    )

    write_label_studio(labeled, tmp_path, {'one 1.png': file})
    back = read_label_studio(tmp_path / 'tasks.json').in_order(['a & b', 'd'])

    assert back.images[0].content == file
    for one in back.images[0].instances:
        assert np.allclose(one.keypoints, rows[[0, 2]])
        assert one.category == 'a "mouse"'
    boxes = [one.bbox for one in back.images[0].instances]
    assert np.allclose(boxes, [one.bbox for one in instances])
    config = (tmp_path / 'labeling_config.xml').read_text()
    assert '<Label value="a &amp; b" model_index="0"/>' in config
    assert '<Label value="a &quot;mouse&quot;"/>' in config
