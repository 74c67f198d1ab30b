"""What the hook logs is the head's own; training goes on as without it."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS

from mmdistill.config.text import TextConfig
from mmdistill.engine.hooks.student_log_hook import StudentLogHook, losses_by_kind
from mmdistill.engine.runner import stage_runner
from mmdistill.errors import UserError
from mmdistill.stages.train_config import resumable_config
from tests.helpers.heads import HEADS, samples
from tests.helpers.students import student_config, write_labels

EVERY = dict(type='mmdistill.StudentLogHook', interval=1)


@pytest.fixture
def labels(tmp_path, request):
    """A store of 11 pseudo-labels."""
    return write_labels(tmp_path, request.getfixturevalue)


class Losses(Hook):
    """Notes what each step reports."""

    def __init__(self):
        self.steps = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.steps.append({key: float(value) for key, value in outputs.items()})


@pytest.fixture
def run(tmp_path, toy_root, labels):
    """Train 3 iterations with some hooks; returns the runner and what it reported."""

    def run(name, head, hooks):
        config = resumable_config(
            student_config(
                toy_root,
                labels,
                tmp_path / name,
                head=head,
                custom_hooks=hooks,
                train_cfg=dict(by_epoch=False, max_iters=3),
                randomness=dict(seed=1),
            )
        )
        config.custom_hooks = hooks
        runner, losses = stage_runner(TextConfig.of(config)), Losses()
        runner.register_hook(losses)
        runner.train()
        return runner, losses.steps

    return run


def scalars(runner, name):
    return runner.message_hub.get_scalar(f'train/{name}').data[0].tolist()


@pytest.mark.parametrize('name', ['msra', 'rle'])
def test_training_goes_on_as_without_the_hook(run, name):
    without, _ = run('without', HEADS[name], [])
    logged, steps = run('with', HEADS[name], [EVERY])

    states = without.model.state_dict(), logged.model.state_dict()
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    # Of 5 samples 3 are labeled, and the losses are means over samples.
    apart = [scalars(logged, f'loss_kpt/{kind}') for kind in ('labeled', 'pseudo')]
    for step, labeled, pseudo in zip(steps, *apart, strict=True):
        assert step['loss_kpt'] == pytest.approx((3 * labeled + 2 * pseudo) / 5, 1e-5)
    assert len(scalars(logged, 'acc_pose/pseudo')) == 3


@pytest.mark.parametrize('name', HEADS)
def test_what_is_logged_is_what_the_head_reports_of_each_part(labels, name):
    init_default_scope('mmpose')
    torch.manual_seed(0)
    # In evaluation the batch does not matter for its parts: the head itself can tell.
    head = MODELS.build(HEADS[name]).eval()
    feats, batch = (torch.randn(4, 32, 1, 1),), samples(labels, HEADS[name])

    found = losses_by_kind(head, feats, batch, 3, {})

    for kind, rows in (('labeled', slice(0, 3)), ('pseudo', slice(3, 4))):
        expected = head.loss((feats[0][rows],), batch[rows], train_cfg={})
        for key, value in expected.items():
            assert float(found[f'{key}/{kind}']) == pytest.approx(float(value), 1e-5)


def test_a_look_changes_neither_head_nor_random_state_nor_features(labels):
    init_default_scope('mmpose')
    head = MODELS.build(HEADS['msra']).train()
    feats, batch = (torch.randn(4, 32, 1, 1),), samples(labels, HEADS['msra'])
    before = copy.deepcopy(head.state_dict()), feats[0].clone(), torch.get_rng_state()

    losses_by_kind(head, feats, batch, 2, {})

    assert all(torch.equal(v, before[0][k]) for k, v in head.state_dict().items())
    assert torch.equal(feats[0], before[1])
    assert torch.equal(torch.get_rng_state(), before[2])
    assert 'forward' not in vars(head)


def test_gradients_under_mixed_precision_are_those_without_a_look(labels):
    init_default_scope('mmpose')
    torch.manual_seed(0)
    head = MODELS.build(HEADS['msra'])
    feats, batch = (torch.randn(4, 32, 1, 1),), samples(labels, HEADS['msra'])
    # The accuracy of the host knows no bfloat16, the only type of all processors.
    gradients, train_cfg = [], dict(compute_acc=False)
    for look in (False, True):
        head.zero_grad()
        with torch.autocast('cpu', torch.bfloat16):
            if look:
                losses_by_kind(head, feats, batch, 2, train_cfg)
            loss = head.loss(feats, batch, train_cfg=train_cfg)['loss_kpt']
        loss.backward()
        gradients.append([p.grad.clone() for p in head.parameters()])

    assert all(gradient.any() for gradient in gradients[0])
    assert all(map(torch.equal, *gradients))


def test_it_looks_every_few_iterations(run):
    runner, _ = run('few', HEADS['msra'], [dict(EVERY, interval=2)])
    assert len(scalars(runner, 'loss_kpt/labeled')) == 1


def test_without_mixed_batches_nothing_is_logged_and_it_says_so(logged):
    loader = SimpleNamespace(batch_sampler=SimpleNamespace())
    runner = SimpleNamespace(
        train_dataloader=loader, model=torch.nn.Identity(), iter=49
    )
    hook = StudentLogHook()

    hook.before_train(runner)
    hook.before_train_iter(runner, 0)
    hook.after_train_iter(runner, 0)

    assert 'needs batches of a MixedRatioBatchSampler' in logged[0]


@pytest.mark.parametrize('interval', [0, -1, 1.5])
def test_an_interval_that_is_none_is_refused(interval):
    with pytest.raises(UserError, match='interval must be at least 1'):
        StudentLogHook(interval)
