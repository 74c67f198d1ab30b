"""Configs for mixed precision, on machines with and without an accelerator."""

from __future__ import annotations

import pytest
from mmengine.config import Config
from mmengine.optim import OptimWrapper, build_optim_wrapper
from torch import nn

from mmdistill.engine.runner import use_single_precision

OPTIMIZER = dict(type='SGD', lr=0.1)
MIXED = dict(
    type='AmpOptimWrapper',
    loss_scale='dynamic',
    dtype='float16',
    use_fsdp=False,
    clip_grad=dict(max_norm=35),
    optimizer=OPTIMIZER,
)


def test_without_an_accelerator_it_trains_in_single_precision_and_says_so():
    config = Config(dict(optim_wrapper=MIXED))

    note = use_single_precision(config, 'cpu')

    wrapper = build_optim_wrapper(nn.Linear(1, 1), config.optim_wrapper)
    assert type(wrapper) is OptimWrapper
    assert wrapper.clip_grad_kwargs == dict(max_norm=35)
    assert note == (
        'AmpOptimWrapper needs an accelerator: on this machine (cpu) the training '
        'runs in single precision'
    )


def test_with_a_scope_and_inside_of_others_it_is_found():
    of_part = dict(MIXED, type='mmengine.AmpOptimWrapper')
    config = Config(
        dict(optim_wrapper=dict(constructor='Several', head=of_part, backbone=MIXED))
    )

    note = use_single_precision(config, 'cpu')

    wrappers = config.optim_wrapper
    assert (wrappers.head.type, wrappers.backbone.type) == ('OptimWrapper',) * 2
    assert note


def test_with_an_accelerator_the_config_stays():
    config = Config(dict(optim_wrapper=MIXED))

    assert use_single_precision(config, 'cuda') is None
    assert config.to_dict() == dict(optim_wrapper=MIXED)


@pytest.mark.parametrize(
    'config', [{}, dict(optim_wrapper=None), dict(optim_wrapper=dict(a=1))]
)
def test_a_config_without_mixed_precision_stays(config):
    changed = Config(dict(config))

    assert use_single_precision(changed, 'cpu') is None
    assert changed.to_dict() == config
