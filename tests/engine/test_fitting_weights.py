"""Weights are loaded wholly; what a misfit is called is seen through the hooks."""

from __future__ import annotations

import pytest
import torch
from mmengine.model import ExponentialMovingAverage
from mmengine.runner import CheckpointLoader
from torch import nn

from mmdistill.engine.checkpoint import load_checkpoint_strict
from mmdistill.errors import UserError
from tests.helpers.checkpoint_models import Estimator, prefixed
from tests.helpers.finder_models import build_finder_model


def test_weights_are_in_the_model():
    model, other = nn.Linear(2, 2), nn.Linear(2, 2)

    load_checkpoint_strict(model, dict(state_dict=other.state_dict()))

    assert torch.equal(model.weight, other.weight)


@pytest.mark.parametrize('role', ['teacher', 'detector'])
def test_a_misfit_is_reported_for_the_section_that_names_it(role):
    weights = dict(weight=torch.zeros(2, 2))

    with pytest.raises(
        UserError, match=rf'the {role} checkpoint misses 1 .* distill\.{role}\.config'
    ):
        load_checkpoint_strict(nn.Linear(2, 2), weights, role)


@pytest.fixture
def weights():
    """Weights of a whole trained model."""
    torch.manual_seed(3)
    return Estimator().state_dict()


def counted(weights):
    """As a profiler leaves them: counters at every module, and at the model."""
    modules = {key.rpartition('.')[0] for key in weights}
    counters = ('total_ops', 'total_params')
    extra = {f'{m}.{c}': torch.zeros(1) for m in modules for c in counters}
    return {**weights, **extra, **dict.fromkeys(counters, torch.zeros(1))}


def averaged(weights):
    """As the EMA hook of MMCV 1 leaves them."""
    return {
        **weights,
        **{f'ema_{key.replace(".", "_")}': value + 1 for key, value in weights.items()},
    }


EXTRA = {
    'counters of a profiler': counted,
    'averages of MMCV 1': averaged,
    'a distributed model': lambda w: prefixed(w, 'module.'),
    'a model wrapped twice': lambda w: prefixed(w, 'module._orig_mod.'),
    'averages of a wrapper beside it': lambda w: {
        **w,
        **prefixed({key: value + 1 for key, value in w.items()}, 'module.'),
        'n_averaged': torch.tensor(3),
    },
    'a student beside its teacher': lambda w: {
        **prefixed(w, 'student.'),
        'teacher.backbone.0.weight': torch.zeros(1),
    },
    'a model in a training of another tool': lambda w: prefixed(w, 'net.pose.'),
    'a classifier': lambda w: {**w, 'backbone.fc.weight': torch.zeros(9, 4)},
    'another loss': lambda w: {**w, 'distill_loss.weight': torch.zeros(2)},
    'means of the input': lambda w: {**w, 'data_preprocessor.mean': torch.zeros(3)},
    'what is no tensor': lambda w: {**w, 'backbone.note': 'mine'},
}


@pytest.mark.parametrize('name', EXTRA)
def test_a_complete_checkpoint_with_more_in_it_loads(weights, name, logged):
    model = Estimator()

    loaded = load_checkpoint_strict(model, dict(state_dict=EXTRA[name](weights)))

    for key, value in weights.items():
        assert torch.equal(model.state_dict()[key], value)
    # What is returned is what the host loads once more: nothing to complain of.
    assert loaded.keys() == weights.keys()
    assert len(logged) <= 1


def test_what_is_left_out_is_said_in_one_line(weights, logged):
    load_checkpoint_strict(Estimator(), dict(state_dict=averaged(counted(weights))))
    (line,) = logged
    left = len(averaged(counted(weights))) - len(weights)
    assert f'; {left} others are left out: ' in line
    assert line.endswith(', …')


def test_nothing_is_said_of_a_checkpoint_that_fits(weights, logged):
    load_checkpoint_strict(Estimator(), dict(state_dict=weights))
    assert logged == []


@pytest.mark.parametrize('key', ['state_dict', 'model', 'model_state_dict'])
def test_weights_are_found_below_other_names(weights, key):
    model = Estimator()
    load_checkpoint_strict(model, {'epoch': 3, key: weights})
    assert torch.equal(
        model.head.final_layer.weight, weights['head.final_layer.weight']
    )


def test_averages_alone_are_a_model():
    source = Estimator()
    average = ExponentialMovingAverage(source)
    model = Estimator()
    load_checkpoint_strict(model, dict(ema_state_dict=average.state_dict()))
    assert torch.equal(model.head.final_layer.weight, source.head.final_layer.weight)


@pytest.mark.parametrize(
    ('other', 'first'),
    [
        (dict(depth=4), 'backbone.4.weight'),
        (dict(depth=3), 'backbone.4.weight'),
    ],
)
def test_a_deeper_network_is_another_one(other, first):
    deeper = Estimator(**other).state_dict()
    with pytest.raises(UserError, match=f'the first is {first}, so it is of another'):
        load_checkpoint_strict(Estimator(), dict(state_dict=deeper))


def test_a_bias_that_the_model_has_not_is_another_network(weights):
    with pytest.raises(UserError, match=r'the first is backbone\.0\.bias'):
        load_checkpoint_strict(Estimator(bias=False), dict(state_dict=weights))


def test_a_neck_that_the_model_has_not_is_another_network(weights):
    weights['neck.0.weight'] = torch.zeros(4, 4, 1, 1)
    with pytest.raises(
        UserError, match=r'neck\.0\.weight, so it is of another network'
    ):
        load_checkpoint_strict(Estimator(), dict(state_dict=weights))


@pytest.mark.parametrize(
    ('keep', 'advice'),
    [
        ('backbone.', 'nothing of the head: train the whole model'),
        ('backbone.0', 'give the config it was trained with'),
    ],
)
def test_advice_fits_what_is_missing(weights, keep, advice):
    part = {key: value for key, value in weights.items() if key.startswith(keep)}
    with pytest.raises(UserError, match=advice):
        load_checkpoint_strict(Estimator(), dict(state_dict=part))


def test_a_file_of_something_else_is_described():
    with pytest.raises(UserError, match='it holds epoch, optimizer: save its weights'):
        load_checkpoint_strict(Estimator(), dict(epoch=3, optimizer={}))


def test_several_whole_models_are_named(weights):
    both = {**prefixed(weights, 'student.'), **prefixed(weights, 'teacher.')}
    with pytest.raises(UserError, match=r'2 whole models, below student\., teacher\.'):
        load_checkpoint_strict(Estimator(), dict(state_dict=both))


def test_another_shape_comes_with_advice(weights):
    weights['head.final_layer.weight'] = torch.zeros(5, 4, 1, 1)
    with pytest.raises(UserError, match=r'5, 4, 1, 1.*distill\.teacher\.config'):
        load_checkpoint_strict(Estimator(), dict(state_dict=weights))


def test_versions_of_modules_are_kept(weights):
    loaded = load_checkpoint_strict(Estimator(), dict(state_dict=weights))
    assert loaded._metadata == weights._metadata


@pytest.mark.parametrize('name', ['DEKR', 'CID'])
@pytest.mark.parametrize('wrapped', [False, True])
def test_heads_of_a_recorded_version_are_not_converted_once_more(
    name, wrapped, tmp_path
):
    """The host turns channels of DEKR, and renames those of CID, of older versions."""
    model, trained = (build_finder_model(name, seed) for seed in range(2))
    saved = nn.ModuleDict(dict(module=trained)) if wrapped else trained
    torch.save(dict(state_dict=saved.state_dict()), tmp_path / 'trained.pth')
    checkpoint = CheckpointLoader.load_checkpoint(str(tmp_path / 'trained.pth'), 'cpu')

    weights = load_checkpoint_strict(model, checkpoint)

    expected = trained.state_dict()
    assert all(torch.equal(v, expected[k]) for k, v in model.state_dict().items())
    # The host loads what is returned a second time.
    model.load_state_dict(weights)
    assert all(torch.equal(v, expected[k]) for k, v in model.state_dict().items())
