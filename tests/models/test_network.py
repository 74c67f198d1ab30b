"""Every form of the forward pass, against the estimator itself."""

import shutil

import pytest
import torch
from mmengine.model import BaseModule
from mmpose.models import TopdownPoseEstimator
from torch import nn

from mmdistill.errors import UserError
from mmdistill.models.network import (
    Network,
    best_precision,
    fold_into_deconvolutions,
    forward_of,
)
from mmdistill.utils import torch_version
from tests.helpers.devices import NEEDS_FULL_TORCH

SIZES = dict(input_size=(48, 64), heatmap_size=(12, 16))
HEAD = dict(
    type='HeatmapHead',
    in_channels=16,
    out_channels=3,
    deconv_out_channels=None,
    decoder=dict(type='MSRAHeatmap', sigma=1, **SIZES),
)
has_compiler = (
    pytest.mark.slow,
    NEEDS_FULL_TORCH,
    pytest.mark.skipif(shutil.which('g++') is None, reason='needs a C++ compiler'),
)


class Tiny(BaseModule):
    """Two convolutions with batch norms whose statistics are not the identity."""

    def __init__(self, norm_first: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.bn2 = nn.BatchNorm2d(8 if norm_first else 16)
        self.norm_first = norm_first

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        x = self.bn1(self.conv1(x)).relu()
        if self.norm_first:
            return (self.conv2(self.bn2(x).relu()),)
        return (self.bn2(self.conv2(x)).relu(),)


@pytest.fixture
def estimator():
    torch.manual_seed(0)
    made = TopdownPoseEstimator(backbone=dict(type=Tiny), head=HEAD)
    return randomized(made)


def randomized(estimator: nn.Module) -> nn.Module:
    for module in estimator.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=0.1)
    return estimator.eval()


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(6, 3, 64, 48, generator=generator)


def run(network: Network, inputs: torch.Tensor) -> torch.Tensor:
    network.refresh_if_changed()
    with torch.no_grad():
        return network(inputs)


def own(estimator: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return forward_of(estimator)(inputs)


@pytest.mark.parametrize(
    ('compiled', 'folded'),
    [(False, False), (False, True), pytest.param(True, False, marks=has_compiler)],
)
def test_every_form_returns_what_the_estimator_returns(
    estimator, inputs, compiled, folded
):
    network = Network(estimator, fold_batch_norm=folded, compile_network=compiled)
    for rows in (slice(6), slice(4), slice(5)):
        torch.testing.assert_close(
            run(network, inputs[rows]), own(estimator, inputs[rows])
        )


@pytest.mark.parametrize('compiled', [False, pytest.param(True, marks=has_compiler)])
def test_inputs_of_several_sizes_share_a_network(estimator, compiled):
    network = Network(estimator, compile_network=compiled)
    for width in (48, 36, 60, 72, 48):
        inputs = torch.rand(2, 3, width * 4 // 3, width)
        torch.testing.assert_close(run(network, inputs), own(estimator, inputs))


@pytest.mark.parametrize('compiled', [False, pytest.param(True, marks=has_compiler)])
def test_new_weights_are_seen(estimator, inputs, compiled):
    network = Network(estimator, compile_network=compiled)
    before = run(network, inputs)

    weights = {key: value * 1.5 for key, value in estimator.state_dict().items()}
    estimator.load_state_dict(weights)
    after = run(network, inputs)

    torch.testing.assert_close(after, own(estimator, inputs))
    assert not torch.allclose(after, before)


@pytest.mark.parametrize('compiled', [False, pytest.param(True, marks=has_compiler)])
def test_the_estimator_keeps_its_state_dict(estimator, inputs, compiled):
    before = {key: value.clone() for key, value in estimator.state_dict().items()}

    run(Network(estimator, compile_network=compiled), inputs)

    after = estimator.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[key], before[key]) for key in before)


def test_folding_leaves_no_batch_norm_to_run(estimator, inputs, monkeypatch):
    monkeypatch.setattr(nn.BatchNorm2d, 'forward', broken_after(4))
    network = Network(estimator)
    run(network, inputs)
    run(network, inputs)


def broken_after(calls: int):
    """A batch norm that works for the comparison of the folded copy alone."""
    original, seen = nn.BatchNorm2d.forward, []

    def forward(self, x):
        seen.append(x)
        if len(seen) > calls:
            raise AssertionError('a batch norm ran')
        return original(self, x)

    return forward


def test_batch_norms_behind_transposed_convolutions_are_folded(inputs):
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.ConvTranspose2d(3, 4, 4, stride=2, padding=1, groups=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.ConvTranspose2d(4, 5, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.BatchNorm2d(5),
    )
    expected = randomized(layers)(inputs[:1])

    folded = fold_into_deconvolutions(layers)

    norms = [isinstance(layer, nn.BatchNorm2d) for layer in folded]
    assert norms == [False, False, False, False, False, True]
    torch.testing.assert_close(folded(inputs[:1]), expected)


def test_a_model_that_folding_would_change_runs_unfolded(inputs):
    torch.manual_seed(0)
    backbone = dict(type=Tiny, norm_first=True)
    estimator = randomized(TopdownPoseEstimator(backbone=backbone, head=HEAD))

    outputs = run(Network(estimator), inputs)

    assert torch.equal(outputs, own(estimator, inputs))


@NEEDS_FULL_TORCH
def test_bfloat16_is_for_the_network(estimator, inputs):
    outputs = run(Network(estimator, precision='bfloat16'), inputs)
    assert outputs.dtype == torch.bfloat16
    torch.testing.assert_close(
        outputs.float(), own(estimator, inputs), rtol=0.05, atol=0.05
    )


def test_an_estimator_in_training_is_run_as_it_is(estimator, inputs):
    network = Network(estimator)
    estimator.train()
    one, other = run(network, inputs), own(estimator, inputs)
    torch.testing.assert_close(one, other)


def test_an_unknown_precision_is_refused(estimator):
    with pytest.raises(UserError, match="got 'half'"):
        Network(estimator, precision='half')


@pytest.fixture
def old_torch(monkeypatch):
    """A torch of before."""
    monkeypatch.setattr(torch_version.torch, '__version__', '2.1.0+cpu')


def test_an_old_torch_does_not_compile(estimator, old_torch):
    sentence = r'compile=True needs torch 2\.6 or later, this is 2\.1\.0\+cpu'
    with pytest.raises(UserError, match=sentence):
        Network(estimator, compile_network=True)


@pytest.mark.parametrize('precision', ['bfloat16', 'float16'])
def test_an_old_torch_computes_in_single_precision_on_a_cpu(
    estimator, inputs, old_torch, precision
):
    assert best_precision() == 'float32'
    with pytest.raises(UserError, match=f"precision='{precision}' on a CPU needs"):
        run(Network(estimator, precision), inputs)
