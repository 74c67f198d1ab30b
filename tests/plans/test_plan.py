"""Tests of the plan of a distillation."""

import json
import re
from pathlib import Path

import pytest
from mmpose.datasets.transforms import common_transforms

from mmdistill.config.recipe import Recipe
from mmdistill.errors import UserError
from mmdistill.plans import make_plan
from mmdistill.stages.train_config import student_config


@pytest.fixture
def rows(config):
    """The plan's rows, and the config it was made of."""
    config.train_dataloader.batch_size = 5
    return dict(make_plan(config).rows), config


def test_counts_are_those_of_the_data(rows):
    found, config = rows
    annotations = json.loads(Path('data/toy/annotations/labeled.json').read_text())
    instances = len(annotations['annotations'])
    boxes = len(json.loads(Path(config.distill.unlabeled.bbox_file).read_text()))

    assert found['labeled'] == f'{instances} instances on 6 images'
    assert found['unlabeled'] == f'{boxes} boxes on 6 images'
    assert found['forward passes'] == f'6 views of each box: {6 * boxes}'
    # As many on an unlabeled image as on a labeled one, of six each.
    assert found['pseudo-labels'].startswith(f'about {min(instances, boxes)},')


def test_what_measuring_the_labels_takes_is_told(config):
    told = dict(make_plan(config).rows)["labels' worth"]
    assert re.fullmatch(r'about \d+ s to measure it, on 1 labeled images', told)
    # Six of the labeled set, whether they can be measured or not.
    config.distill.audit = dict(ann_file='data/toy/annotations/labeled.json')
    assert 'on 6 labeled images' in dict(make_plan(config).rows)["labels' worth"]
    config.distill.worth_images = 4
    assert 'on 4 labeled images' in dict(make_plan(config).rows)["labels' worth"]
    config.distill.worth_images = 0
    assert "labels' worth" not in dict(make_plan(config).rows)


def test_forward_passes_are_counted_in_pixels(config):
    config.distill.views = dict(scales=(1.0,), flip=True, resolutions=(1.0, 1.5))
    boxes = len(json.loads(Path(config.distill.unlabeled.bbox_file).read_text()))

    found = dict(make_plan(config).rows)

    # Two views with 2.25 times the pixels.
    work = round(2 * (1 + 2.25) * boxes)
    assert found['forward passes'] == (
        f'4 views of each box, the pixels of 6.5 at resolution 1: {work}'
    )


def test_the_batch_is_the_samplers(rows):
    assert rows[0]['batch'] == '3 labeled and 2 pseudo-labeled samples a process'


def test_a_share_that_follows_from_the_labels_waits_for_them(config):
    Path(config.distill.unlabeled.bbox_file).unlink()
    config.train_dataloader.update(batch_size=5)
    config.distill.pop('mixing')

    rows = dict(make_plan(config).rows)

    assert rows['batch'].startswith('5 samples a process, as many of them labeled as')


def test_the_schedule_is_the_students(rows):
    schedule = rows[1].train_cfg.max_iters
    assert rows[0]['schedule'].startswith(f'{schedule} iterations with one process')


def test_a_finish_is_counted(config):
    config.distill.finish = dict(length=0.25)
    config.distill.schedule = None
    iterations = config.train_cfg.max_iters
    added = round(0.25 * iterations)

    rows = dict(make_plan(config).rows)

    assert rows['schedule'].startswith(f'{iterations + added} iterations with')
    assert rows['finish'] == f'the last {added} iterations, on labeled samples alone'


def test_a_finish_that_cannot_be_is_refused_before_anything_is_labeled(config):
    config.distill.finish = dict()
    config.optim_wrapper = dict(pose=config.optim_wrapper, other=config.optim_wrapper)

    with pytest.raises(
        UserError, match=r'distill\.finish sets the learning rate of one'
    ):
        make_plan(config)


def test_what_is_missing_hides_no_count(config):
    Path(config.distill.unlabeled.bbox_file).unlink()

    plan = make_plan(config)

    names = [name for name, _ in plan.rows]
    assert names == ['annotations', 'annotations', 'batch']
    assert len(plan.missing) == 2


def test_an_error_of_hours_later_comes_at_once(config):
    stated = student_config(Recipe.of(config))
    config.train_dataloader = stated.train_dataloader
    config.distill.store = 'elsewhere'

    with pytest.raises(UserError, match='must read the label store elsewhere'):
        make_plan(config)


def test_a_plan_leaves_no_trace(config):
    before = sorted(Path().rglob('*'))

    make_plan(config)

    assert sorted(Path().rglob('*')) == before


def test_an_error_of_the_data_hides_no_missing_teacher(config):
    config.distill.unlabeled.category_ids = (77,)

    teacher, boxes = make_plan(config).missing

    assert teacher.startswith('the teacher checkpoint')
    assert boxes.startswith('no box of the detection file')
    assert 'of the categories [77]; it has those of' in boxes


def trained(config):
    """A config that lacks nothing."""
    config.distill.teacher.checkpoint = 'https://example.org/teacher.pth'
    return config


def test_an_unlabeled_set_without_boxes_is_refused(config):
    Path('none.json').write_text('[]')
    config.distill.unlabeled.bbox_file = 'none.json'

    with pytest.raises(UserError, match=r'none\.json is an empty list'):
        make_plan(trained(config))


@pytest.mark.parametrize(
    ('part', 'settings', 'sentence'),
    [
        (
            'selection',
            dict(labeled_images='some'),
            "labeled_images must be one of .* got 'some'",
        ),
        ('labeling', dict(chunk_size=0), r'distill\.labeling\.chunk_size must be'),
        ('mixing', dict(labeled_share=0.99), 'leaves none for pseudo-labels'),
    ],
)
def test_settings_of_a_later_stage_are_checked(config, part, settings, sentence):
    config.distill[part] = {**config.distill.get(part, {}), **settings}

    with pytest.raises(UserError, match=sentence):
        make_plan(trained(config))


def test_a_validation_set_without_samples_is_refused(config, tmp_path):
    content = dict(images=[], annotations=[], categories=[dict(id=1, name='person')])
    (tmp_path / 'val.json').write_text(json.dumps(content))
    config.val_dataloader.dataset.ann_file = str(tmp_path / 'val.json')

    with pytest.raises(
        UserError, match=r'the validation set .*val\.json has no sample'
    ):
        make_plan(trained(config))


def test_boxes_that_labeling_detects_are_not_missing(config):
    config.distill.unlabeled.pop('bbox_file')
    config.distill.detector = dict(checkpoint='https://example.org/detector.pth')

    plan = make_plan(trained(config))

    assert plan.missing == []
    labels = config.distill.store
    assert (
        dict(plan.rows)['boxes'] == f'labeling detects them first, into {labels}_boxes/'
    )


def test_initial_weights_that_cannot_be_fetched_are_listed_beside_all_the_rest(config):
    init = dict(type='Pretrained', checkpoint='gone.pth')
    config.model.backbone.init_cfg = init

    plan = make_plan(config)

    names = [name for name, _ in plan.rows]
    assert {'labeled', 'labeling', 'training'} <= {*names}
    (weights,) = [each for each in plan.missing if 'weights' in each]
    assert 'gone.pth of model.backbone.init_cfg' in weights


def test_a_transform_whose_package_is_missing_is_named(config, monkeypatch):
    monkeypatch.setattr(common_transforms, 'albumentations', None)
    blur = dict(type='Albumentation', transforms=[dict(type='Blur', p=0.1)])
    config.train_dataloader.dataset.pipeline.insert(1, blur)

    with pytest.raises(UserError, match=r'Albumentation of train_dataloader.*pip'):
        make_plan(config)


def test_a_teacher_of_other_keypoints_is_reported(config):
    config.train_dataloader.batch_size = 5
    config.model.head.out_channels = 5

    plan = make_plan(config)

    assert 'the teacher predicts 5 keypoints, the labeled set has 17' in plan.missing
