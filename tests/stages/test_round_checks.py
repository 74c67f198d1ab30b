"""Rounds that would stop after hours are refused before the first begins."""

import json
import shutil
from pathlib import Path

import pytest
from mmengine.config import Config

from mmdistill.config.recipe import Recipe
from mmdistill.errors import UserError
from mmdistill.stages.round_checks import check_rounds
from mmdistill.stages.round_configs import Rounds
from mmdistill.stages.rounds import train_rounds
from mmdistill.stages.run import training_config
from mmdistill.stages.single_round import round_config
from tests.helpers.rounds import rounds_recipe


@pytest.fixture
def folder(toy_root, tmp_path, monkeypatch) -> Path:
    """A folder with the toy data, nothing trained."""
    shutil.copytree(toy_root, tmp_path / 'data/toy')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(sentence: str, *options: str, **rounds) -> None:
    def never(command, log):
        raise AssertionError(command)

    with pytest.raises(UserError, match=sentence):
        train_rounds(rounds_recipe(*options, **rounds), never)
    assert not Path('work_dirs/rounds/rounds.json').exists()


def test_rounds_that_can_run_are_checked_silently(folder):
    check_rounds(Rounds(rounds_recipe(number=2, start='previous')))


def test_another_model_cannot_start_from_the_one_before(folder):
    settings = [{}, {}, dict(model=dict(backbone=dict(depth=34)))]
    sentence = r"start='previous' needs the same model.*round 3.*state start='backbone'"
    refused(sentence, start='previous', settings=settings)
    # The advice.
    check_rounds(Rounds(rounds_recipe(start='backbone', settings=settings)))


def test_a_model_of_the_same_weights_may(folder):
    """Stochastic depth and the like are settings without weights."""
    settings = [{}, dict(model=dict(test_cfg=dict(flip_test=False)))]
    check_rounds(Rounds(rounds_recipe(start='previous', settings=settings)))


def test_a_round_of_other_keypoints_is_refused(folder):
    metainfo = dict(
        from_file='configs/_base_/datasets/crowdpose.py',
    )
    settings = [{}, dict(train_dataloader=dict(dataset=dict(metainfo=metainfo)))]
    sentence = r'round 2: its labeled set has other keypoints.*14 \(left_shoulder'
    refused(sentence, number=2, settings=settings)


@pytest.mark.parametrize(
    ('settings', 'sentence'),
    [
        (dict(model=dict(backbone=dict(type='ResNot'))), r'round 2: .*ResNot'),
        (dict(train_cfg=dict(_delete_=True)), r'round 2: .*how long it trains'),
        (dict(mixing=dict(labeled_share=2)), r'labeled_share must be a number between'),
        (dict(mixing=dict(labeled_share=0.95)), r'round 2: train_dataloader: '),
        (dict(noise=dict(drop_path=0.1)), r'round 2: .*stochastic depth'),
    ],
)
def test_what_a_round_cannot_train_is_told_with_its_number(folder, settings, sentence):
    refused(sentence, number=2, settings=[{}, settings])


@pytest.mark.parametrize('name', ['labeled', 'val'])
def test_held_out_images_that_train_or_are_reported_are_refused(folder, name):
    """By their content: they have other names here."""
    content = json.loads(Path(f'data/toy/annotations/{name}.json').read_text())
    image = content['images'][0]
    Path('held').mkdir()
    shutil.copy(f'data/toy/images/{name}/{image["file_name"]}', 'held/mine.jpg')
    image['file_name'] = 'mine.jpg'
    content['images'] = [image]
    content['annotations'] = [
        each for each in content['annotations'] if each['image_id'] == image['id']
    ]
    Path('held.json').write_text(json.dumps(content))
    holdout = dict(ann_file='held.json', data_root='', data_prefix=dict(img='held/'))
    recipe = rounds_recipe(holdout=holdout)
    if name == 'val':
        recipe.config.val_dataloader = recipe.config.test_dataloader
        recipe.config.val_evaluator = recipe.config.test_evaluator
        recipe.config.val_cfg = dict()
    full = dict(labeled='labeled', val='validation')[name]
    with pytest.raises(UserError, match=f'1 of 1 held-out images.*in the {full} set'):
        check_rounds(Rounds(recipe))


def test_the_best_is_told_by_held_out_images(folder):
    refused("keep='best' needs distill.rounds.holdout.*or keep='last'", keep='best')
    check_rounds(Rounds(rounds_recipe(keep='last')))
    refused('holdout must state its ann_file, got', holdout=dict(data_root='x'))


def test_a_holdout_that_is_not_there_is_refused(folder):
    sentence = r'annotations .*gone\.json of distill\.rounds\.holdout do not exist'
    refused(sentence, holdout=dict(ann_file='gone.json'))
    holdout = dict(ann_file='annotations/val.json', data_prefix=dict(img='none/'))
    refused('can be read below data/toy/none; state its data_root', holdout=holdout)
    # The advice.
    holdout['data_prefix'] = dict(img='images/val/')
    check_rounds(Rounds(rounds_recipe(holdout=holdout)))


def test_several_processes_run_a_round_by_hand(folder):
    refused('run each round by hand, its number after --round', 'launcher=slurm')
    # The advice.
    config = rounds_recipe('launcher=slurm', number=2).config
    by_hand = round_config(config, 1)
    assert by_hand.launcher == 'slurm'
    assert Recipe.of(by_hand).distill.rounds is None


def test_a_checkpoint_to_resume_from_is_of_one_training(folder):
    refused('take no --resume x.pth; leave it out', 'resume=True', 'load_from=x.pth')


def test_a_training_of_rounds_is_written_by_its_number(folder):
    config = rounds_recipe(number=2, students=2).config
    with pytest.raises(UserError, match=r'say which one with --round'):
        training_config(config)
    assert round_config(config, 1, 1).work_dir == 'work_dirs/rounds/round_1/seed_1'


def test_a_round_waits_for_the_students_of_the_one_before(folder):
    config = rounds_recipe(number=2, students=2).config
    first = Path('work_dirs/rounds/round_1/seed_0/plain_model.pth')
    sentence = r'{} does not exist; train it with --round 1 --student {}'
    with pytest.raises(UserError, match=sentence.format(first, 0)):
        round_config(config, 2)
    first.parent.mkdir(parents=True)
    first.touch()
    with pytest.raises(UserError, match=r'seed_1.*with --round 1 --student 1'):
        round_config(config, 2)
    (first.parent.parent / 'seed_1').mkdir()
    (first.parent.parent / 'seed_1/plain_model.pth').touch()
    assert round_config(config, 2).distill.store == 'work_dirs/rounds/round_2/labels'


@pytest.mark.parametrize(
    ('numbers', 'sentence'),
    [((3, 0), '--round must be from 1 to 2, got 3'), ((1, 1), '--student must be fro')],
)
def test_a_round_that_there_is_not_is_refused(folder, numbers, sentence):
    with pytest.raises(UserError, match=sentence):
        round_config(rounds_recipe(number=2).config, *numbers)


def test_a_recipe_without_rounds_has_no_round(folder):
    section = dict(teacher=dict(), unlabeled=dict(), store='labels')
    with pytest.raises(UserError, match='of which --round names one'):
        round_config(Config(dict(distill=section)), 1)
