"""The advice of sentences about parts that cannot be built: following it builds them.

No package is installed: what a command installs is compared with what the packages of
this environment say of their modules, and a package is put on the path by hand.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import re
import shlex
import sys
from pathlib import Path

import pytest
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import TRANSFORMS
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mmdistill.cli.environment import COMMANDS, PACKAGE_OF_MODULE
from mmdistill.config.files import read_config
from mmdistill.engine.dry_build import check_training_parts
from mmdistill.errors import UserError
from tests.helpers.training_configs import training


@TRANSFORMS.register_module()
class Imports(BaseTransform):
    """A transform that imports a module."""

    def __init__(self, module: str) -> None:
        importlib.import_module(module)

    def transform(self, results: dict) -> dict:
        return results


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmpose')


@pytest.fixture
def path(tmp_path, monkeypatch) -> Path:
    """A folder of packages, which are forgotten after the test."""
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], '__file__', '')).startswith(str(tmp_path)):
            del sys.modules[name]


def refused(config: Config) -> str:
    with pytest.raises(UserError) as caught:
        check_training_parts(config)
    return str(caught.value)


def packages_in(sentence: str) -> set[str]:
    """Packages that the command of a sentence installs."""
    (command,) = re.findall('; run `(.+)`$', sentence)
    words = shlex.split(command.rpartition('&& ')[2].partition('pip install ')[2])
    return {
        canonicalize_name(Requirement(word).name)
        for word in words
        if not word.startswith('-')
    }


INSTALLED = importlib.metadata.packages_distributions()
MODULES = [*PACKAGE_OF_MODULE, *COMMANDS, 'scipy', 'matplotlib', 'json_tricks']


@pytest.mark.parametrize('module', [name for name in MODULES if name in INSTALLED])
def test_the_command_installs_the_package_that_has_the_module(monkeypatch, module):
    config = training(dict(type='Imports', module=module))
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, module, None)
        patch.setattr(
            importlib,
            'import_module',
            lambda name: (_ for _ in ()).throw(
                ModuleNotFoundError(f"No module named '{name}'")
            ),
        )
        sentence = refused(config)

    owners = {canonicalize_name(name) for name in INSTALLED[module]}
    assert packages_in(sentence) & owners
    check_training_parts(config)


def test_packages_of_several_names_are_among_them():
    assert {'cv2', 'PIL', 'yaml'} <= set(INSTALLED)


def test_a_module_that_is_installed_is_imported(path, monkeypatch):
    config = training(dict(type='Imports', module='advised_module'))
    (name,) = packages_in(refused(config))

    (path / f'{name.replace("-", "_")}.py').write_text('')
    monkeypatch.syspath_prepend(path)

    check_training_parts(config)


TRANSFORM = """
from mmcv.transforms import BaseTransform
from mmpose.registry import TRANSFORMS

@TRANSFORMS.register_module(force=True)
class AdvisedTransform(BaseTransform):
    def transform(self, results):
        return results
"""


def test_a_transform_is_registered_by_custom_imports(path, monkeypatch):
    text = "train_dataloader = dict(batch_size=2, dataset=dict(type='CocoDataset',\n"
    text += "    pipeline=[dict(type='AdvisedTransform')]))\n"
    (path / 'recipe.py').write_text(text)
    sentence = refused(read_config(path / 'recipe.py'))
    (key,) = re.findall(r'import its module by (\w+), if it has one$', sentence)

    (path / 'advised_transform.py').write_text(TRANSFORM)
    monkeypatch.syspath_prepend(path)
    imports = f"{key} = dict(imports=['advised_transform'])\n"
    (path / 'recipe.py').write_text(text + imports)

    check_training_parts(read_config(path / 'recipe.py'))


PACKAGE = """
from torch import nn

class Net(nn.Module):
    pass
"""


def test_a_backbone_of_a_package_that_is_installed_is_built(path, monkeypatch):
    backbone = dict(type='advised_net.Net')
    config = training(model=dict(type='TopdownPoseEstimator', backbone=backbone))
    (name,) = packages_in(refused(config))

    folder = path / name.replace('-', '_')
    folder.mkdir()
    (folder / '__init__.py').write_text(PACKAGE)
    monkeypatch.syspath_prepend(path)

    check_training_parts(config)
