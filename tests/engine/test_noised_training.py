"""A noised student in training: who is noised, and that nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, MODELS

from mmdistill.config.noise_options import NoiseConfig
from mmdistill.config.schema import dicts_within, is_type
from mmdistill.datasets.seeded_dataset import SeededDataset, SeededIndex
from mmdistill.engine.hooks.feature_dropout_hook import FeatureDropoutHook
from mmdistill.stages.noise import with_noise
from mmdistill.stages.train_config import resumable_config
from tests.helpers.students import student_config, train, write_labels
from tests.helpers.tiny_heads import HEADS, KEYPOINTS, Pool

BATCH, LABELED, LENGTH, STOP = 5, 3, 4, 2
NOISE = NoiseConfig(scale_factor=(0.3, 2.0), feature_dropout=0.3)


@pytest.fixture(scope='module')
def cache():
    """Labels that all tests read, and the runs that several look at."""
    return {}


@pytest.fixture
def config(tmp_path_factory, toy_root, cache, request):
    """Make the config of a short training, noised or not."""
    if 'store' not in cache:
        root = tmp_path_factory.mktemp('pseudo')
        cache['store'] = write_labels(root, request.getfixturevalue)

    def config(noise=None, workers=0, **settings):
        made = student_config(
            toy_root,
            cache['store'],
            tmp_path_factory.mktemp('run'),
            train_cfg=dict(by_epoch=False, max_iters=LENGTH),
            randomness=dict(seed=2),
            **settings,
        )
        made.train_dataloader.num_workers = workers
        for source in made.train_dataloader.dataset.datasets:
            # Colors are the noise's.
            source.pipeline = [
                step
                for step in source.pipeline
                if step['type'] != 'PhotometricDistortion'
            ]
        return resumable_config(made if noise is None else with_noise(made, noise))

    return config


@pytest.fixture
def through(config, cache):
    """A noised run that is not stopped: what it saw, its weights and its folder."""
    if 'through' not in cache:
        made = config(NOISE)
        cache['through'] = (*train(made), made.work_dir)
    return cache['through']


def is_labeled(number):
    return number % BATCH < LABELED


def test_labeled_samples_are_those_without_noise_bit_for_bit(config, through):
    noised = through[0]
    plain, _ = train(config())
    assert noised.samples == plain.samples
    for number, pair in enumerate(zip(noised.pixels, plain.pixels, strict=True)):
        assert torch.equal(*pair) == is_labeled(number)


@pytest.mark.parametrize('workers', [1, 2])
def test_samples_are_the_same_with_any_number_of_workers(config, through, workers):
    seen, weights = train(config(NOISE, workers))
    assert seen.samples == through[0].samples
    assert all(map(torch.equal, seen.pixels, through[0].pixels))
    assert all(torch.equal(value, weights[key]) for key, value in through[1].items())


def test_a_resumed_run_is_the_run_that_was_not_stopped(config, through):
    """Dropped channels included: they follow from the iteration."""
    seen, expected, folder = through
    checkpoint = f'{folder}/iter_{STOP}.pth'
    continued, weights = train(config(NOISE, resume=True, load_from=checkpoint))
    assert continued.samples == seen.samples[STOP * BATCH :]
    assert all(map(torch.equal, continued.pixels, seen.pixels[STOP * BATCH :]))
    assert all(torch.equal(value, weights[key]) for key, value in expected.items())


def test_dropped_features_change_the_weights_and_not_their_names(config, through):
    _, without = train(config(replace(NOISE, feature_dropout=0)))
    assert set(without) == set(through[1])
    assert not all(torch.equal(without[key], through[1][key]) for key in without)


def test_the_checkpoint_is_one_of_the_stock_model(config, through):
    init_default_scope('mmpose')
    stock = MODELS.build(config().model)
    checkpoint = torch.load(f'{through[2]}/iter_{LENGTH}.pth', weights_only=False)
    stock.load_state_dict(checkpoint['state_dict'], strict=True)


@pytest.mark.parametrize('sources', ['pseudo', 'all'])
def test_a_clean_draw_is_the_sample_without_noise_bit_for_bit(config, sources):
    init_default_scope('mmpose')
    plain, noised = (
        DATASETS.build(config(noise).train_dataloader.dataset)
        for noise in (None, replace(NOISE, sources=sources))
    )
    labeled = len(noised.datasets[0])
    for number in (0, 1, labeled, labeled + 1):
        expected = plain[SeededIndex(number, 9)]
        clean, drawn = (noised[SeededIndex(number, 9, c)] for c in (True, False))
        assert torch.equal(clean['inputs'], expected['inputs'])
        for key, value in expected['data_samples'].gt_instance_labels.items():
            assert torch.equal(clean['data_samples'].gt_instance_labels[key], value)
        is_noised = sources == 'all' or number >= labeled
        assert torch.equal(drawn['inputs'], expected['inputs']) != is_noised


NAMES = ['nose', 'left_eye', 'right_eye'][:KEYPOINTS]
FACE = dict(
    dataset_name='face',
    keypoint_info={
        i: dict(name=name, id=i, color=[0, 0, 0], type='upper', swap=swap)
        for i, (name, swap) in enumerate(
            zip(NAMES, ('', 'right_eye', 'left_eye'), strict=True)
        )
    },
    skeleton_info={},
    joint_weights=[1.0] * KEYPOINTS,
    sigmas=[0.05] * KEYPOINTS,
)


@pytest.mark.parametrize('family', HEADS)
def test_every_family_trains_two_steps(
    *, family, tmp_path, make_rows, write_images, make_store, make_selection
):
    """Noised samples of every codec, and dropped features of every head."""
    init_default_scope('mmpose')
    rows = make_rows((2, 2), KEYPOINTS)
    write_images(tmp_path / 'images', *(row.path for row in rows))
    store = make_store(
        tmp_path / 'store', rows, img_root=tmp_path / 'images', names=NAMES
    )
    replace(make_selection(0.0), keypoint_thrs=(0.0,) * KEYPOINTS).write(store)
    cells, head = HEADS[family]
    codec = next(part['decoder'] for part in dicts_within(head) if 'decoder' in part)
    steps = [
        dict(type='LoadImage'),
        # Far around: the host's DSNT loss is no number for keypoints off the crop.
        dict(type='GetBBoxCenterScale', padding=12),
        dict(type='RandomFlip', direction='horizontal'),
        dict(type='RandomBBoxTransform', shift_prob=0, scale_factor=(1, 1.1)),
        dict(type='TopdownAffine', input_size=codec['input_size']),
        dict(type='GenerateTarget', encoder=codec),
        dict(type='PackPoseInputs'),
    ]
    source = dict(
        type='mmdistill.PseudoLabelDataset',
        store=str(store.root),
        metainfo=FACE,
        pipeline=steps,
    )
    made = with_noise(
        Config(dict(model={}, train_dataloader=dict(dataset=source))),
        replace(NOISE, scale_factor=(1, 2)),
    )
    found = [
        is_type(part, name)
        for part in dicts_within(made.train_dataloader.dataset.to_dict())
        for name in ('JointOcclusion', 'YOLOXHSVRandomAug')
    ]
    assert sum(found) == 2
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='TopdownPoseEstimator',
            backbone=dict(type=Pool, cells=cells),
            head=dict(head),
            data_preprocessor=dict(
                type='PoseDataPreprocessor', mean=[128] * 3, std=[64] * 3
            ),
            # The host's accuracy does not know the maps of combined targets.
            train_cfg=dict(compute_acc=False),
        )
    ).train()
    dataset = DATASETS.build(made.train_dataloader.dataset.to_dict())
    losses = two_steps(model, SeededDataset(dataset))
    assert np.isfinite(losses).all()


def two_steps(model, dataset):
    """Losses of two steps whose features lose channels."""
    hook, dropped = FeatureDropoutHook(0.5), []
    hook.before_train(SimpleNamespace(model=model))
    model.backbone.register_forward_hook(
        lambda _, __, maps: dropped.append(bool((maps[0] == 0).any()))
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    losses = []
    for step in range(2):
        samples = [dataset[SeededIndex(i, 2 * step + i)] for i in range(4)]
        batch = pseudo_collate(samples)
        runner = SimpleNamespace(model=model, iter=step, seed=0)
        hook.before_train_iter(runner, step, batch)
        data = model.data_preprocessor(batch, training=True)
        loss, _ = model.parse_losses(model(**data, mode='loss'))
        hook.after_train_iter(runner, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert dropped == [True, True]
    return losses
