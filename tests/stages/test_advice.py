"""The advice of sentences about training configs: following it resolves the situation.

Keys, values and commands are taken out of the sentence wherever it states them.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.config import Config, DictAction
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.models import build_pose_estimator
from mmpose.registry import DATASETS

from mmdistill.config.datasets import registered_dataset, unparsed_metainfo
from mmdistill.config.files import read_config
from mmdistill.config.loops import check_test, check_training
from mmdistill.config.recipe import Recipe
from mmdistill.config.text import write_config
from mmdistill.engine.dry_build import check_training_parts
from mmdistill.engine.initial_weights import check_initial_weights
from mmdistill.errors import UserError
from mmdistill.stages.label_config import label_config, tta_config
from mmdistill.stages.schedule import grown_schedule
from mmdistill.stages.train_config import resumable_config, student_config
from tests.helpers.students import HEAD

COCO = dict(from_file='configs/_base_/datasets/coco.py')
CUT = [dict(type='GetBBoxCenterScale'), dict(type='TopdownAffine', input_size=(64, 64))]


@pytest.fixture
def config(tmp_path) -> Config:
    """A config of both stages."""
    (tmp_path / 'teacher.pth').write_bytes(b'')
    labeled = dict(
        type='CocoDataset', ann_file='train.json', metainfo=COCO, pipeline=[]
    )
    tested = dict(type='CocoDataset', metainfo=COCO, pipeline=CUT)
    return Config(
        dict(
            default_scope='mmpose',
            work_dir='work',
            model=dict(type='TopdownPoseEstimator'),
            train_cfg=dict(by_epoch=False, max_iters=1000),
            optim_wrapper=dict(optimizer=dict(type='Adam', lr=1e-3)),
            train_dataloader=dict(batch_size=10, dataset=labeled),
            test_dataloader=dict(dataset=tested),
            distill=dict(
                teacher=dict(checkpoint=str(tmp_path / 'teacher.pth')),
                unlabeled=dict(data_root='images'),
                store='labels',
            ),
        )
    )


def sentence_of(function: Callable, *arguments) -> str:
    """What a function refuses its arguments with."""
    with pytest.raises(UserError) as caught:
        function(*arguments)
    return str(caught.value)


def in_sentence(expression: str, sentence: str) -> str:
    """The one part of a sentence that is followed."""
    (found,) = re.findall(expression, sentence)
    return found


def state(config: Config, key: str, value) -> None:
    """Set a key by its name from the config's root."""
    config.merge_from_dict({key: value})


def add_pseudo(config: Config, labels: str = 'labels', **settings) -> None:
    """State the mix: the labeled set and pseudo-labels."""
    pseudo = dict(type='mmdistill.PseudoLabelDataset', store=labels, **settings)
    both = [config.train_dataloader.dataset, pseudo]
    config.train_dataloader.dataset = dict(type='ConcatDataset', datasets=both)


def grow(config: Config) -> Config:
    """The schedule as the training grows it, or unchanged without a rule."""
    rule = Recipe.of(config).distill.schedule
    return config if rule is None else grown_schedule(config, 100, 100, rule)


@pytest.fixture
def growing(config):
    """A config whose schedule grows."""
    config.distill.schedule = dict(max_factor=4)
    return config


# The student's config.


def test_a_config_without_a_student_makes_labels(config):
    labeled = config.pop('train_dataloader').dataset
    sentence = sentence_of(student_config, Recipe.of(config))
    assert sentence.endswith('its labels are made by tools/label.py')

    sentence = sentence_of(label_config, Recipe.of(config))
    key = in_sentence(r'name one in ([\w.]+)$', sentence)
    state(config, key, labeled)

    assert label_config(Recipe.of(config)).test_dataloader


def test_a_training_on_pseudo_labels_alone_has_its_labeled_set_named(config):
    labeled = config.train_dataloader.dataset
    pseudo = dict(type='mmdistill.PseudoLabelDataset', store='labels')
    config.train_dataloader.dataset = dict(type='ConcatDataset', datasets=[pseudo])
    sentence = sentence_of(label_config, Recipe.of(config))

    state(config, in_sentence(r'labeled one in ([\w.]+)$', sentence), labeled)

    assert label_config(Recipe.of(config)).test_dataloader


MIXING = dict(
    num_batches=3,
    source_ratio=(1, 1),
    pseudo_weight=0.5,
    score_thr=0.5,
    keypoint_thr=0.25,
)


@pytest.mark.parametrize('key', MIXING)
def test_a_stated_mix_takes_a_setting_where_the_sentence_says(config, key):
    add_pseudo(config)
    config.distill.mixing = {key: MIXING[key]}
    sentence = sentence_of(student_config, Recipe.of(config))
    owner = in_sentence(r'give it to the (\w+) of train_dataloader', sentence)

    del config.distill['mixing']
    if owner == 'PseudoLabelDataset':
        config.train_dataloader.dataset.datasets[1][key] = MIXING[key]
    else:
        batches = dict(type='mmdistill.MixedRatioBatchSampler')
        config.train_dataloader[owner] = {**batches, key: MIXING[key]}

    stated = student_config(Recipe.of(config)).train_dataloader
    pseudo = stated.dataset.datasets[1]
    assert (stated.get('batch_sampler', {}) | pseudo)[key] == MIXING[key]


def test_training_reads_the_store_that_the_sentence_names(config):
    add_pseudo(config, labels='others')
    sentence = sentence_of(student_config, Recipe.of(config))

    labels = in_sentence(r'label store (\S+) of distill\.store', sentence)
    config.train_dataloader.dataset.datasets[1].store = labels

    assert student_config(Recipe.of(config))


def test_a_ratio_has_as_many_parts_as_the_sentence_says(config):
    config.distill.mixing = dict(source_ratio=(1, 2, 3))
    sentence = sentence_of(student_config, Recipe.of(config))

    sources = int(in_sentence(r'each of the (\d+) sources', sentence))
    config.distill.mixing.source_ratio = (1,) * sources

    assert student_config(Recipe.of(config))


def test_a_batch_is_as_large_as_the_sentence_says(config):
    config.train_dataloader.batch_size = 2
    config.distill.mixing = dict(labeled_share=0.6)
    sentence = sentence_of(student_config, Recipe.of(config))

    least = int(in_sentence(r'batch size must be at least (\d+)', sentence))
    for size, fits in ((least - 1, False), (least, True)):
        config.train_dataloader.batch_size = size
        if fits:
            assert student_config(Recipe.of(config))
        else:
            sentence_of(student_config, Recipe.of(config))


@pytest.fixture
def by_shape(config):
    """A config with a batch sampler of its own, and the key of it."""
    config.train_dataloader.batch_sampler = dict(type='AspectRatioBatchSampler')
    sentence = sentence_of(student_config, Recipe.of(config))
    return config, sentence, in_sentence(r'^train_dataloader\.(\w+)', sentence)


def test_without_another_batch_sampler_batches_are_mixed(by_shape):
    config, sentence, key = by_shape

    del config.train_dataloader[key]

    mixed = student_config(Recipe.of(config)).train_dataloader[key]
    assert mixed.type == in_sentence(r'by a ([\w.]+),', sentence)


def test_another_batch_sampler_draws_from_a_stated_mix(by_shape):
    config, sentence, key = by_shape

    add_pseudo(config)
    config.train_dataloader.dataset.datasets[1].type = in_sentence(
        r'state the mix with a ([\w.]+) among', sentence
    )

    trained = resumable_config(student_config(Recipe.of(config)))
    assert trained.train_dataloader[key].type == 'AspectRatioBatchSampler'
    # The loop of ours takes no other batches than those of our sampler.
    assert trained.train_cfg == config.train_cfg


def test_parts_of_a_multi_source_sampler_are_a_source_ratio(config):
    config.train_dataloader.sampler = dict(type='MultiSourceSampler')
    sentence = sentence_of(student_config, Recipe.of(config))

    del config.train_dataloader[in_sentence(r'^train_dataloader\.(\w+)', sentence)]
    state(config, in_sentence(r'pseudo-labels as ([\w.]+)$', sentence), [1, 4])

    assert student_config(
        Recipe.of(config)
    ).train_dataloader.batch_sampler.source_ratio == [1, 4]


# The schedule.


def test_a_training_states_its_length_under_either_key(growing):
    growing.train_cfg = dict(by_epoch=False)
    keys = re.findall(r'train_cfg\.max_\w+', sentence_of(grow, growing))
    lengths = {}
    for key in keys:
        growing.train_cfg = {}
        state(growing, key, 100)
        lengths.update(grow(growing).train_cfg)
    # Epochs are longer already.
    assert lengths == dict(max_iters=200, max_epochs=100)


COUNTS_EPOCHS = dict(type='MultiStepLR', milestones=[600])


def test_a_scheduler_states_what_it_counts(growing):
    growing.param_scheduler = [COUNTS_EPOCHS]
    sentence = sentence_of(grow, growing)

    (counts, *_) = re.findall(r'by_epoch=(\w+)', sentence)
    growing.param_scheduler[0].by_epoch = ast.literal_eval(counts)

    assert grow(growing).param_scheduler[0].milestones != [600]


@pytest.mark.parametrize('schedulers', [[COUNTS_EPOCHS], dict(backbone=COUNTS_EPOCHS)])
def test_a_schedule_that_is_unset_stays(growing, schedulers):
    growing.param_scheduler = schedulers
    key = in_sentence(r'set ([\w.]+) to None$', sentence_of(grow, growing))

    state(growing, key, None)

    assert grow(growing).train_cfg.max_iters == 1000


# Loss and head.


def weighted(config: Config, head: dict) -> Config:
    config.model.head = head
    add_pseudo(config, pseudo_weight=0.5)
    config.train_dataloader.batch_sampler = dict(
        type='mmdistill.MixedRatioBatchSampler'
    )
    return config


def test_a_visibility_head_takes_the_weight_that_the_sentence_says(config):
    config = weighted(config, dict(type='VisPredictHead'))
    weight = in_sentence(r'must be (\d+),', sentence_of(resumable_config, config))

    config.train_dataloader.dataset.datasets[1].pseudo_weight = float(weight)

    assert resumable_config(config).train_cfg.type == 'mmdistill.ResumableIterLoop'


def test_a_loss_with_target_weights_takes_any(config):
    config = weighted(config, dict(loss=dict(type='KeypointMSELoss')))
    sentence = sentence_of(resumable_config, config)

    key, value = in_sentence(r'needs (\w+=\w+)$', sentence).split('=')
    config.model.head.loss[key] = ast.literal_eval(value)

    assert resumable_config(config).train_cfg.type == 'mmdistill.ResumableIterLoop'


# Parts that a config lacks.

PARTS = dict(
    train_dataloader=dict(dataset=dict(type='CocoDataset')),
    train_cfg=dict(by_epoch=False, max_iters=3),
    optim_wrapper={},
    val_dataloader=dict(dataset=dict(type='CocoDataset')),
    val_cfg={},
    val_evaluator=dict(type='PCKAccuracy'),
    test_dataloader=dict(dataset=dict(type='CocoDataset')),
    test_cfg={},
    test_evaluator=dict(type='PCKAccuracy'),
)


@pytest.mark.parametrize(
    ('check', 'given'),
    [
        (check_training, 'train_dataloader'),
        (check_training, 'train_cfg'),
        (check_training, 'val_dataloader'),
        (check_test, 'test_dataloader'),
        (check_test, 'test_evaluator'),
    ],
)
def test_a_config_with_the_parts_that_are_named_is_whole(check, given):
    names = {name for name in PARTS if name.startswith('train_') or 'optim' in name}
    base = {name: PARTS[name] for name in names if given.startswith('val')}
    config = Config(dict(model=dict(type='X'), **base, **{given: PARTS[given]}))
    sentence = sentence_of(check, config)

    needed = in_sentence(r'; its \w+ needs (.*)$', sentence)
    for name in re.split(r', | and ', needed):
        config[name] = PARTS[name]

    check(config)


def test_a_training_states_its_length():
    config = Config({key: PARTS[key] for key in list(PARTS)[:3]} | dict(model={'a': 1}))
    config.train_cfg = dict(by_epoch=False)
    keys = re.findall(r'(max_\w+)', sentence_of(check_training, config))
    assert len(keys) == 2
    for key in keys:
        config.train_cfg = {key: 3}
        check_training(config)


@pytest.mark.parametrize('key', ['test_dataloader', 'val_dataloader'])
def test_crops_are_cut_as_in_either_set(config, key):
    tested = config.pop('test_dataloader')
    sentence = sentence_of(label_config, Recipe.of(config))

    assert key in re.findall(r'(\w+_dataloader)', sentence)
    config[key] = tested

    assert label_config(Recipe.of(config)).model.padding == 1.25


@pytest.fixture
def complete(tmp_path):
    """A file with a model and the pipeline that cuts its crops."""
    path = tmp_path / 'other.py'
    path.write_text(
        "model = dict(type='Other')\n"
        f'test_dataloader = dict(dataset=dict(pipeline={CUT!r}))\n'
    )
    return str(path)


@pytest.mark.parametrize('lacking', ['test_dataloader', 'model'])
def test_another_config_has_what_the_teacher_lacks(config, complete, lacking):
    config.pop(lacking)
    sentence = sentence_of(label_config, Recipe.of(config))
    key = in_sentence(r'in (distill\.[\w.]+)$', sentence)

    state(config, key, complete)

    assert label_config(Recipe.of(config)).model.module.type == 'Other'


@pytest.mark.parametrize('section', [True, False])
def test_what_is_tested_is_in_its_own_config(config, section):
    if not section:
        config.pop('distill')
    config.test_dataloader.dataset.pipeline = []
    sentence = sentence_of(tta_config, config)
    assert 'distill.teacher' not in sentence

    (key, *_) = re.findall(r'(\w+_dataloader)', sentence)
    config[key].dataset.pipeline = CUT

    assert tta_config(config).model.padding == 1.25


def test_a_tested_model_is_in_its_own_config(config):
    model = config.pop('model')
    sentence = sentence_of(tta_config, config)
    assert 'distill.teacher' not in sentence

    config.model = model

    assert tta_config(config)


# Data sets.


def test_metainfo_is_given_as_the_sentence_says():
    @DATASETS.register_module(force=True)
    class Bare:
        """States no keypoints."""

    sentence = sentence_of(unparsed_metainfo, dict(type='Bare'))
    path = in_sentence(r"dict\(from_file='([^']+)'\)$", sentence)

    metainfo = unparsed_metainfo(dict(type='Bare', metainfo=dict(from_file=path)))
    assert metainfo == dict(from_file=path)
    assert parse_pose_metainfo(metainfo)['num_keypoints'] == 17


def test_a_data_set_is_registered_by_custom_imports(tmp_path, monkeypatch):
    (tmp_path / 'my_advised_set.py').write_text(
        'from mmpose.registry import DATASETS\n'
        '@DATASETS.register_module()\n'
        'class AdvisedSet: pass\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    sentence = sentence_of(registered_dataset, dict(type='AdvisedSet'))

    key = in_sentence(r'has it in (\w+),', sentence)
    path = tmp_path / 'config.py'
    path.write_text(f"{key} = dict(imports=['my_advised_set'])\n")
    read_config(path)

    assert registered_dataset(dict(type='AdvisedSet')).__name__ == 'AdvisedSet'
    del sys.modules['my_advised_set']


def test_a_transform_is_registered_by_custom_imports(tmp_path, monkeypatch):
    (tmp_path / 'my_advised_step.py').write_text(
        'from mmpose.registry import TRANSFORMS\n'
        '@TRANSFORMS.register_module()\n'
        'class AdvisedStep: pass\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    loader = dict(dataset=dict(pipeline=[dict(type='AdvisedStep')]))
    content = dict(default_scope='mmpose', train_dataloader=loader)
    sentence = sentence_of(check_training_parts, Config(content))

    key = in_sentence(r'import its module by (\w+)', sentence)
    path = tmp_path / 'config.py'
    content[key] = dict(imports=['my_advised_step'])
    Config(content).dump(path)

    check_training_parts(read_config(path))
    del sys.modules['my_advised_step']


def test_a_config_whose_keys_are_numbers_is_written_under_another_ending(tmp_path):
    config = Config(dict(keypoints={0: 'nose'}))
    sentence = sentence_of(write_config, config, tmp_path / 'stage.json')

    ending = in_sentence(r'write the config as (\.\w+)$', sentence)
    write_config(config, tmp_path / f'stage{ending}')

    assert Config.fromfile(tmp_path / f'stage{ending}').keypoints == {0: 'nose'}


# Weights that a student starts from.


BACKBONE = dict(type='ResNet', depth=18, stem_channels=4, base_channels=4)
LISTED = [
    dict(type='Kaiming', layer='Conv2d'),
    dict(type='Pretrained', checkpoint='a.pth'),
]
STARTS = {
    'load_from': dict(load_from='a.pth'),
    'a backbone': dict(
        model=dict(
            backbone=dict(
                BACKBONE, init_cfg=dict(type='Pretrained', checkpoint='a.pth')
            )
        )
    ),
    'a list': dict(model=dict(backbone=dict(BACKBONE, init_cfg=LISTED))),
    'an old key': dict(model=dict(backbone=dict(BACKBONE, pretrained='a.pth'))),
}


def with_options(config: Config, sentence: str) -> Config:
    """The config with what a sentence advises for `--cfg-options`."""
    option = in_sentence(r'--cfg-options (\S+)$', sentence)
    key, value = option.split('=')
    changed = Config(config.to_dict())
    changed.merge_from_dict({key: DictAction._parse_int_float_bool(value)})
    return changed


@pytest.mark.parametrize('start', STARTS)
@pytest.mark.parametrize('address', [False, True])
def test_a_student_starts_without_weights_that_are_unset(
    start, address, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.hub, '_hub_dir', str(tmp_path / 'hub'))
    text = str(STARTS[start])
    # Nothing listens at this port.
    text = text.replace('a.pth', 'http://127.0.0.1:9/a.pth' if address else 'a.pth')
    config = Config(ast.literal_eval(text))
    sentence = sentence_of(check_initial_weights, config)

    without = with_options(config, sentence)

    check_initial_weights(without)
    if 'init_cfg' in without.get('model', {}).get('backbone', {}):
        parts = dict(type='TopdownPoseEstimator', head=HEAD, **without.model)
        build_pose_estimator(parts).init_weights()


@pytest.mark.parametrize('start', STARTS)
def test_weights_are_put_where_the_sentence_says(start, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = Config(STARTS[start])
    sentence = sentence_of(check_initial_weights, config)
    file = in_sentence(r'initial weights (\S+) of', sentence)
    assert 'no such file; put it there' in sentence

    Path(file).write_bytes(b'')

    check_initial_weights(config)


def test_weights_that_cannot_be_fetched_are_put_into_the_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, '_hub_dir', str(tmp_path / 'hub'))
    config = Config(dict(load_from='http://127.0.0.1:9/a.pth'))
    sentence = sentence_of(check_initial_weights, config)

    path = Path(in_sentence(r'put the file at (\S+),', sentence))
    path.parent.mkdir(parents=True)
    torch.save({}, path)

    check_initial_weights(config)
    assert torch.hub.load_state_dict_from_url(config.load_from) == {}
