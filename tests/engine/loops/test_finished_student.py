"""A student with a finish: what it sees, what is logged, and how it resumes."""

from __future__ import annotations

import pytest
import torch

from mmdistill.config.finish_options import EmaConfig, FinishConfig
from mmdistill.engine.checkpoint import load_local
from mmdistill.engine.hooks.plain_model_hook import MODEL_FILE
from mmdistill.stages.averaging import with_ema
from mmdistill.stages.finish import with_finish
from mmdistill.stages.train_config import resumable_config
from tests.helpers.students import student_config, train, write_labels

BATCH, FINISH = 5, FinishConfig(length=0.5)
LOOPS = {
    # Epochs have 4 iterations, 8 before the finish and 4 in it.
    'iter': dict(by_epoch=False, max_iters=8),
    'epoch': dict(by_epoch=True, max_epochs=2),
}
HOOKS = [
    dict(type='mmdistill.StudentLogHook', interval=1),
    dict(type='mmdistill.PlainModelHook'),
]


@pytest.fixture(scope='module')
def cache():
    """Runs that several tests look at, by their loop."""
    return {}


@pytest.fixture
def config(tmp_path_factory, toy_root, cache, request):
    """Make the config of a run on 11 pseudo-labels."""
    if 'store' not in cache:
        root = tmp_path_factory.mktemp('pseudo')
        cache['store'] = write_labels(root, request.getfixturevalue)

    def config(loop, finish=FINISH, workers=0, **settings):
        settings = (
            dict(train_cfg=LOOPS[loop], custom_hooks=HOOKS, randomness=dict(seed=1))
            | settings
        )
        made = student_config(
            toy_root, cache['store'], tmp_path_factory.mktemp('run'), **settings
        )
        made.train_dataloader.num_workers = workers
        if finish is not None:
            made = with_ema(with_finish(made, finish), EmaConfig())
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


@pytest.mark.parametrize('loop', ['iter', 'epoch'])
def test_the_last_batches_are_labeled(through, loop):
    seen, _, _ = through(loop)
    labeled = ['/images/labeled/' in path for path, _ in seen.samples]
    batches = [sum(labeled[i : i + BATCH]) for i in range(0, len(labeled), BATCH)]
    assert batches == [3] * 8 + [5] * 4


@pytest.mark.parametrize('loop', ['iter', 'epoch'])
def test_before_the_finish_it_sees_what_it_would_see(config, through, loop):
    without, _ = train(config(loop, finish=None))
    seen, _, _ = through(loop)
    assert seen.samples[: 8 * BATCH] == without.samples
    pixels = zip(seen.pixels[: 8 * BATCH], without.pixels, strict=True)
    assert all(torch.equal(one, other) for one, other in pixels)


@pytest.mark.parametrize(
    ('loop', 'stop', 'workers'),
    [('iter', 5, 0), ('iter', 8, 2), ('iter', 10, 1), ('epoch', 6, 0), ('epoch', 9, 2)],
)
def test_a_resumed_run_is_the_run_that_was_not_stopped(
    config, through, loop, stop, workers
):
    seen, weights, folder = through(loop)
    start = dict(resume=True, load_from=f'{folder}/iter_{stop}.pth')
    again = config(loop, workers=workers, **start)

    continued, found = train(again)

    assert continued.samples == seen.samples[stop * BATCH :]
    assert all(map(torch.equal, continued.pixels, seen.pixels[stop * BATCH :]))
    assert all(torch.equal(value, found[key]) for key, value in weights.items())
    whole, resumed = (
        load_local(f'{root}/iter_12.pth', 'cpu') for root in (folder, again.work_dir)
    )
    for part in ('state_dict', 'ema_state_dict'):
        assert all(torch.equal(v, resumed[part][k]) for k, v in whole[part].items())


def test_a_student_that_has_ended_is_given_a_finish(config, through):
    ended = config('iter', finish=None)
    train(ended)
    start = dict(resume=True, load_from=f'{ended.work_dir}/iter_8.pth')

    continued, _ = train(config('iter', **start))

    assert continued.samples == through('iter')[0].samples[8 * BATCH :]


def test_the_plain_model_has_the_averages(through):
    _, weights, folder = through('iter')
    plain = torch.load(f'{folder}/{MODEL_FILE}', weights_only=True)['state_dict']
    saved = load_local(f'{folder}/iter_12.pth', 'cpu')['state_dict']
    assert all(torch.equal(value, saved[key]) for key, value in plain.items())
    assert not all(torch.equal(value, weights[key]) for key, value in plain.items())


def test_the_log_says_where_it_begins_and_has_losses_of_what_is_there(config, logged):
    train(config('iter'))
    (line,) = (line for line in logged if 'the finish begins' in line)
    assert line == (
        'the finish begins at iteration 8 of 12: labeled samples alone, learning rate '
        '6e-05 falling to 0'
    )
    steps = [line for line in logged if line.startswith('Epoch(train)')]
    kinds = [('loss_kpt/labeled' in s, 'loss_kpt/pseudo' in s) for s in steps]
    assert kinds == [(True, True)] * 8 + [(True, False)] * 4
