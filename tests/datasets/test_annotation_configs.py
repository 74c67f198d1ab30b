"""The labeled and validation sets of a config, read before anything runs."""

import copy
import json

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS
from PIL import Image

from mmdistill.datasets.annotation_configs import TEST, with_read_annotations
from mmdistill.datasets.coco.images import size_of_image
from mmdistill.errors import UserError
from tests.helpers.annotations import INFO, annotation, coco
from tests.helpers.host_sets import ALL, COUNTS, write_set


@pytest.fixture
def make(tmp_path):
    """Write a labeled and a validation set with their images, and their config."""
    init_default_scope('mmpose')

    def make(labeled=None, val=None, evaluator=True, **settings):
        for i in (1, 2, 3):
            path = tmp_path / f'images/{i}.jpg'
            path.parent.mkdir(exist_ok=True)
            cv2.imwrite(str(path), np.full((48, 64, 3), i, np.uint8))
        datasets = {}
        for name, content in (('labeled', labeled), ('val', val)):
            content = content or coco(annotation(1), annotation(2, 2))
            (tmp_path / f'{name}.json').write_text(json.dumps(content))
            datasets[name] = dict(
                type='CocoDataset',
                data_root=str(tmp_path),
                ann_file=f'{name}.json',
                data_prefix=dict(img='images/'),
                metainfo=copy.deepcopy(INFO),
                pipeline=[],
                **settings,
            )
        metric = dict(type='CocoMetric', ann_file=str(tmp_path / 'val.json'))
        return Config(
            dict(
                work_dir=str(tmp_path / 'work'),
                train_dataloader=dict(dataset=datasets['labeled']),
                val_dataloader=dict(dataset=datasets['val']),
                val_evaluator=metric if evaluator else [metric],
            )
        )

    return make


def build(config, key='train_dataloader'):
    return DATASETS.build({**config[key].dataset, 'serialize_data': False})


def test_files_in_form_stay_where_they_are(make, tmp_path):
    config = make()

    read, found = with_read_annotations(config)

    assert read.to_dict() == config.to_dict()
    assert found == [
        f'the labeled set {tmp_path}/labeled.json: 2 of 2 annotations train',
        f'the validation set {tmp_path}/val.json: 2 of 2 annotations count',
    ]
    assert not (tmp_path / 'work').exists()


@pytest.mark.parametrize('listed', [True, False])
def test_a_file_that_is_brought_into_form_stands_beside_the_users(
    make, tmp_path, listed
):
    spoiled = coco(annotation('a', bbox=None), annotation('a', 2))
    config = make(spoiled, spoiled, evaluator=not listed)
    before = (tmp_path / 'labeled.json').read_bytes()

    read, _ = with_read_annotations(config)
    again, _ = with_read_annotations(config)

    assert (tmp_path / 'labeled.json').read_bytes() == before
    assert len(build(read)) == len(build(read, 'val_dataloader')) == 2
    assert read.to_dict() == again.to_dict()
    evaluator = read.val_evaluator[0] if listed else read.val_evaluator
    assert evaluator.ann_file == read.val_dataloader.dataset.ann_file
    assert config.train_dataloader.dataset.ann_file == 'labeled.json'


def test_it_is_written_where_it_is_asked_to_be(make, tmp_path):
    config = make(coco(annotation('a')))

    with_read_annotations(config, tmp_path / 'elsewhere')

    assert len(list((tmp_path / 'elsewhere').glob('labeled-*.json'))) == 1
    assert not (tmp_path / 'work').exists()


def test_what_was_written_is_in_form(make):
    config = make(coco(annotation('a', num_keypoints=0), annotation('a', 2)))

    read, _ = with_read_annotations(config)
    _, found = with_read_annotations(read)

    assert not any('normalized' in sentence for sentence in found)


def test_annotations_of_another_form_are_left_to_their_data_set(make, tmp_path):
    config = make()
    config.train_dataloader.dataset.type = 'MpiiDataset'
    (tmp_path / 'labeled.json').write_text('[]')

    _, found = with_read_annotations(config)

    assert len(found) == 1
    assert 'val.json' in found[0]


def test_every_member_of_a_set_made_of_several_is_read(make):
    config = make(coco(annotation(1, bbox=[])))
    one = config.train_dataloader.dataset
    config.train_dataloader.dataset = dict(
        type='CombinedDataset',
        metainfo=copy.deepcopy(INFO),
        pipeline=[],
        datasets=[one, copy.deepcopy(one)],
    )

    read, _ = with_read_annotations(config)

    files = {part.ann_file for part in read.train_dataloader.dataset.datasets}
    assert len(files) == 1
    assert files != {'labeled.json'}


def test_a_labeled_set_of_which_nothing_trains_is_refused(make):
    with pytest.raises(UserError, match=r'no instance that would be trained.*crowds'):
        with_read_annotations(make(coco(annotation(1, iscrowd=1))))


def renamed(name):
    content = coco(annotation(1))
    content['images'][0]['file_name'] = name
    return content


@pytest.mark.parametrize(
    ('name', 'sentence'),
    [
        ('images/1.jpg', r'set data_prefix'),
        ('train/1.jpg', r'there is 1.jpg, without train/'),
        ('1.JPG', r'there is 1.jpg, whose letters differ'),
        ('gone.jpg', r'1 of 3 images of the labeled set .* the first: gone.jpg; put'),
        ('x' * 300 + '.jpg', r'put them there'),
    ],
)
def test_images_that_are_not_there_are_refused_with_the_way_on(make, name, sentence):
    with pytest.raises(UserError, match=sentence):
        with_read_annotations(make(renamed(name)))


def test_images_of_the_validation_set_are_checked_too(make):
    with pytest.raises(UserError, match='of the validation set'):
        with_read_annotations(make(val=renamed('gone.jpg')))


def test_backslashes_are_read_as_slashes(make, tmp_path):
    config = make(renamed('images\\1.jpg'))
    config.train_dataloader.dataset.data_prefix = dict(img='')
    for i in (2, 3):
        (tmp_path / f'{i}.jpg').write_bytes((tmp_path / f'images/{i}.jpg').read_bytes())

    read, (labeled, _) = with_read_annotations(config)

    assert '1 backslashes in file names' in labeled
    assert build(read)[0]['img_path'].endswith('images/1.jpg')


def test_an_image_that_nothing_is_trained_on_may_be_missing(make):
    content = coco(annotation(1))
    content['images'][2]['file_name'] = 'gone.jpg'

    _, found = with_read_annotations(make(content))

    assert '1 of 1 annotations train' in found[0]


def test_sizes_are_compared_with_those_of_the_images(make):
    content = coco(annotation(1))
    content['images'][1]['width'] = 65

    with pytest.raises(UserError, match=r'2.jpg has 65 x 48 pixels, the image has 64'):
        with_read_annotations(make(content))


@pytest.mark.parametrize('orientation', range(1, 9))
def test_a_size_is_that_of_the_image_as_it_is_decoded(tmp_path, orientation):
    path = tmp_path / 'turned.jpg'
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new('RGB', (64, 48)).save(path, exif=exif)

    height, width = cv2.imread(str(path), cv2.IMREAD_COLOR).shape[:2]

    assert size_of_image(path) == (width, height)


def test_the_set_of_a_test_is_read_where_it_is_asked_for(make, tmp_path):
    spoiled = coco(annotation('a', 'x', bbox=None))
    spoiled['images'] = [dict(id='x', file_name='1.jpg')]
    config = make(val=spoiled)
    config.test_dataloader = config.val_dataloader
    config.test_evaluator = config.val_evaluator

    read, (sentence,) = with_read_annotations(config, loaders=TEST)

    assert sentence.startswith('the test set ')
    assert len(build(read, 'test_dataloader')) == 1
    assert read.test_evaluator.ann_file == read.test_dataloader.dataset.ann_file
    assert read.train_dataloader.dataset.ann_file == 'labeled.json'


def whole_body(make, content):
    config = make(content)
    config.train_dataloader.dataset.type = 'CocoWholeBodyDataset'
    return config


def test_images_of_sets_with_their_own_format_are_checked(make):
    with pytest.raises(UserError, match=r'of the labeled set .* gone.jpg'):
        with_read_annotations(whole_body(make, renamed('gone.jpg')))


def test_one_id_for_two_is_refused_where_the_set_reads_by_itself(make):
    content = coco(annotation(1), annotation(1, 2))

    with pytest.raises(UserError, match='share an id'):
        with_read_annotations(whole_body(make, content))


def test_what_such_sets_say_of_instances_is_their_own(make):
    content = coco(annotation(1, keypoints=[1, 1, 2] * 17))

    read, _ = with_read_annotations(whole_body(make, content))

    assert read.train_dataloader.dataset.ann_file == 'labeled.json'


@pytest.mark.parametrize(('names', 'found'), [(['gone.jpg'], False), (['1.jpg'], True)])
def test_images_of_mpii_s_list_are_checked(make, tmp_path, names, found):
    config = make()
    config.train_dataloader.dataset.type = 'MpiiDataset'
    (tmp_path / 'labeled.json').write_text(json.dumps([{'image': n} for n in names]))
    if found:
        with_read_annotations(config)
        return
    with pytest.raises(UserError, match='none of the 1 images of the labeled set'):
        with_read_annotations(config)


@pytest.mark.parametrize(('kind', 'subset'), ALL)
def test_a_set_of_every_class_of_the_host_is_read_or_left_to_it(tmp_path, kind, subset):
    init_default_scope('mmpose')
    extra = {} if subset is None else dict(subset=subset)
    dataset = dict(write_set(kind, tmp_path, COUNTS, **extra), pipeline=[])
    config = Config(dict(train_dataloader=dict(dataset=dataset)))

    read, _ = with_read_annotations(config, tmp_path / 'read')

    before, after = build(config), build(read)
    assert len(before) == len(after) > 0


def test_counting_needs_no_images(make):
    config = make(renamed('gone.jpg'))

    _, found = with_read_annotations(config, images=False)

    assert '1 of 1 annotations train' in found[0]


@pytest.mark.parametrize(
    ('scope', 'kind'), [('mmdet', 'CocoDataset'), ('mmpose', 'mmdet.CocoDataset')]
)
def test_data_sets_of_a_detector_are_left_alone(make, scope, kind):
    config = make(coco(annotation('a')))
    for loader in ('train_dataloader', 'val_dataloader'):
        config[loader].dataset.update(type=kind, metainfo=dict(classes=('figure',)))
    config.default_scope = scope

    read, found = with_read_annotations(config)

    assert found == []
    assert read.to_dict() == config.to_dict()
