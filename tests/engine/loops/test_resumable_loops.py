"""A training that is stopped and resumed sees what one that runs through sees."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from mmdistill.config.text import TextConfig
from mmdistill.datasets import SeededDataset
from mmdistill.engine.loops.resumable_loops import ResumableEpochLoop, ResumableIterLoop
from mmdistill.engine.runner import stage_runner
from mmdistill.errors import UserError
from mmdistill.stages.train_config import resumable_config
from tests.helpers.heads import HEADS, WEIGHTED
from tests.helpers.students import student_config, train, write_labels

BATCH = 5
LOOPS = {
    # Epochs have 4 iterations: both stop in the middle of the second one.
    'iter': dict(by_epoch=False, max_iters=8),
    'epoch': dict(by_epoch=True, max_epochs=2),
}


@pytest.fixture(scope='module')
def cache():
    """Runs that several tests continue, by their loop."""
    return {}


@pytest.fixture
def config(tmp_path_factory, toy_root, cache, request):
    """Make the config of a run on 11 pseudo-labels."""
    if 'store' not in cache:
        root = tmp_path_factory.mktemp('pseudo')
        cache['store'] = write_labels(root, request.getfixturevalue)

    def config(loop, workers=0, **settings):
        folder = tmp_path_factory.mktemp('run')
        settings = dict(train_cfg=LOOPS[loop]) | settings
        made = student_config(toy_root, cache['store'], folder, **settings)
        made.train_dataloader.num_workers = workers
        return resumable_config(made)

    return config


@pytest.fixture
def through(config, cache):
    """A run that is not stopped: what it saw, its weights and its folder."""

    def through(loop):
        if loop not in cache:
            made = config(loop)
            cache[loop] = (*train(made), made.work_dir)
        return cache[loop]

    return through


@pytest.fixture
def resumed(config, through):
    """Continue the run, in another folder."""

    def resumed(iteration, loop, workers=0):
        checkpoint = f'{through(loop)[2]}/iter_{iteration}.pth'
        return config(loop, workers, resume=True, load_from=checkpoint)

    return resumed


@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize('loop', ['iter', 'epoch'])
def test_a_resumed_run_is_the_run_that_was_not_stopped(through, resumed, loop, workers):
    seen, expected, _ = through(loop)

    continued, weights = train(resumed(5, loop, workers))

    assert len(seen.samples) == 8 * BATCH
    assert continued.samples == seen.samples[5 * BATCH :]
    assert all(map(torch.equal, continued.pixels, seen.pixels[5 * BATCH :]))
    assert all(torch.equal(value, weights[key]) for key, value in expected.items())


@pytest.mark.parametrize('loop', ['iter', 'epoch'])
def test_nothing_is_read_again(resumed, loop, monkeypatch):
    again = resumed(5, loop)
    read = []
    original = SeededDataset.__getitem__
    monkeypatch.setattr(
        SeededDataset, '__getitem__', lambda s, i: (read.append(i), original(s, i))[1]
    )

    train(again)

    assert len(read) == 3 * BATCH


def test_the_iterations_of_a_resumed_epoch_are_counted_on(resumed):
    runner = stage_runner(TextConfig.of(resumed(6, 'epoch')))
    told = Counter()
    original = runner.call_hook

    def call_hook(name, **arguments):
        told[name, arguments.get('batch_idx')] += 1
        original(name, **arguments)

    runner.call_hook = call_hook
    runner.train()

    seen = [number for name, number in told if name == 'after_train_iter']
    assert seen == [2, 3]
    assert told['after_train_epoch', None] == 1


def test_a_checkpoint_of_the_end_of_an_epoch_goes_on_with_the_next(through, resumed):
    continued, _ = train(resumed(4, 'epoch'))
    assert continued.samples == through('epoch')[0].samples[4 * BATCH :]


def test_an_epoch_that_has_another_length_now_starts_anew(resumed, logged):
    other = resumed(5, 'epoch')
    other.train_dataloader.batch_sampler.num_batches = 2

    continued, _ = train(other)

    (line,) = (line for line in logged if 'starts anew' in line)
    assert 'epoch 1 starts anew: the training is at iteration 5' in line
    assert len(continued.samples) == 2 * BATCH


def test_a_loader_does_not_start_before_training(config, monkeypatch):
    read = []
    monkeypatch.setattr(SeededDataset, '__getitem__', lambda s, i: read.append(i))

    runner = stage_runner(TextConfig.of(config('iter')))

    assert isinstance(runner.train_loop, ResumableIterLoop)
    assert len(runner.train_dataloader) == 4
    assert read == []


@pytest.mark.parametrize('loop', [ResumableIterLoop, ResumableEpochLoop])
def test_other_batches_are_refused(config, loop):
    made = config('iter' if loop is ResumableIterLoop else 'epoch')
    del made.train_dataloader['batch_sampler']
    runner = stage_runner(TextConfig.of(made))

    with pytest.raises(UserError, match=r'needs train_dataloader\.batch_sampler'):
        runner.train()


def test_epochs_that_never_end_are_refused(config):
    made = config('epoch')
    made.train_dataloader.sampler = dict(type='InfiniteSampler')
    runner = stage_runner(TextConfig.of(made))

    with pytest.raises(UserError, match=r'a sampler that ends.* got InfiniteSampler'):
        runner.train()


def test_a_run_with_weights_resumes_too(config):
    """Of a loss that squares weights, which the config says."""
    settings = dict(head=dict(HEADS['l1'], loss=dict(type='MSELoss', **WEIGHTED)))

    def started(**more):
        made = config('iter', **settings, **more)
        pseudo = made.train_dataloader.dataset.dataset.datasets[1]
        pseudo.weights = dict(criterion='score', power=2.0)
        return resumable_config(made)

    first = started()
    assert first.train_dataloader.dataset.dataset.datasets[1].loss_power == 2
    seen, expected = train(first)
    plain = train(config('iter', **settings))[1]
    checkpoint = f'{first.work_dir}/iter_5.pth'

    continued, weights = train(started(resume=True, load_from=checkpoint))

    assert continued.samples == seen.samples[5 * BATCH :]
    assert all(torch.equal(value, weights[key]) for key, value in expected.items())
    assert not all(torch.equal(value, plain[key]) for key, value in expected.items())
