"""The advice of sentences about the environment: following it makes MMPose run.

No package is installed: an environment is a dict of versions, pip is told the newest
and the right version of each package, and importing fails where it really does.
"""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import re
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.datasets.transforms import common_transforms
from packaging.requirements import Requirement

from mmdistill.cli import environment
from mmdistill.cli.environment import check_environment
from mmdistill.engine.dry_build import check_training_parts
from mmdistill.errors import UserError

REPOSITORY = Path(__file__).parents[2]
PUBLISHED = {
    'torch': ('2.15.0', '2.12.1', '2.0.1'),
    'torchvision': ('0.30.0', '0.27.1', '0.20.1'),
    'setuptools': ('84.2.1', '80.10.2'),
    'numpy': ('2.4.0', '1.26.4'),
    'opencv-python': ('5.0.0.93', '4.11.0.86'),
    'pyarrow': ('26.0.1', '25.0.1'),
    'mmcv': ('2.2.0', '2.1.0'),
    'mmengine': ('0.10.7',),
    'mmdet': ('3.3.0',),
    'mmpose': ('1.3.2',),
    'xtcocotools': ('1.14.3',),
    'chumpy': ('0.70',),
    'jinja2': ('3.1.6',),
}
"""Versions that a package index has, the newest first."""
RIGHT = {name: versions[-1] for name, versions in PUBLISHED.items()} | {
    'torch': '2.12.1',
    'torchvision': '0.27.1',
}
OPENCV = 'opencv-python'


class Machine:
    """A machine on which commands are run and modules are imported.

    Attributes:
        versions: Packages that are installed.
        ops_for: The torch for which mmcv's operators were compiled, None for none.
        libraries: Whether the system has the libraries of OpenCV.
    """

    def __init__(self, versions, ops_for=None, libraries=True):
        self.versions = dict(versions)
        self.ops_for = ops_for
        self.libraries = libraries

    def run(self, command):
        """Run commands that `&&` joins."""
        for part in command.split(' && '):
            words = shlex.split(part)
            with_ops = 'MMCV_WITH_OPS=1' in words
            words = [word for word in words if not word.startswith('MMCV_WITH_OPS=')]
            options = [word for word in words[2:] if word.startswith('-')]
            names = [word for word in words[2:] if not word.startswith('-')]
            if words[:2] == ['apt-get', 'install']:
                self.libraries = 'libgl1' in names
            elif words[:2] == ['pip', 'uninstall']:
                assert '-y' in options  # it would ask
                for name in names:
                    self.versions.pop(name, None)
            else:
                assert words[:2] == ['pip', 'install']
                self._install(map(Requirement, names), options, with_ops)

    def _install(self, requirements, options, with_ops):
        for requirement in requirements:
            name = requirement.name
            if self.versions.get(name) in requirement.specifier and (
                name in self.versions
            ):
                continue
            fitting = [v for v in PUBLISHED[name] if v in requirement.specifier]
            self.versions[name] = fitting[0]
            if 'torch' in name:
                self._pair_torchvision()
            if name == 'mmcv':
                self._compile(options, with_ops)

    def _pair_torchvision(self):
        """A torchvision fits one torch, which pip sees to."""
        place = PUBLISHED['torch'].index(self.versions['torch'])
        self.versions['torchvision'] = PUBLISHED['torchvision'][place]

    def _compile(self, options, with_ops):
        assert '--no-build-isolation' in options, 'no torch to compile for'
        assert '--no-cache-dir' in options, 'the wheel of another torch'
        assert self.find('pkg_resources'), 'ModuleNotFoundError: pkg_resources'
        assert self.torch < (2, 14), 'this needs C++20'
        self.ops_for = self.versions['torch'] if with_ops else None
        for name in (OPENCV, 'numpy'):
            self.versions.setdefault(name, PUBLISHED[name][0])

    @property
    def torch(self):
        return tuple(map(int, self.versions['torch'].split('.')[:2]))

    def find(self, module):
        """Whether there is such a module."""
        if module == 'pkg_resources':
            return int(self.versions.get('setuptools', '99').split('.')[0]) < 81
        if module == 'mmcv._ext':
            return self.ops_for is not None
        if module == 'mmcv' and 'mmcv-lite' in self.versions:
            return True
        return module in self.versions

    def load(self, module):
        """Import it, with the errors that the real ones have."""
        new_numpy = self.versions.get('numpy', '1').startswith('2')
        if module == 'torch':
            return mock.Mock(__version__=self.versions['torch'])
        if module == 'cv2' and not self.libraries:
            raise ImportError('libGL.so.1: cannot open shared object file')
        if module == 'cv2' and self.versions[OPENCV] > '4.12' and not new_numpy:
            raise ImportError('numpy.core.multiarray failed to import')
        if module == 'mmcv.ops' and self.ops_for != self.versions['torch']:
            raise ImportError('undefined symbol')
        if module == 'xtcocotools.mask' and new_numpy:
            raise ValueError('numpy.dtype size changed')
        if module == 'pyarrow' and self.versions['pyarrow'] > '26' and not new_numpy:
            raise ImportError('numpy.core.multiarray failed to import')
        if module in ('mmdet', 'mmpose') and self.versions.get('mmcv') == '2.2.0':
            raise AssertionError('MMCV==2.2.0 is used but incompatible')
        return mock.Mock()


def without(*names, **others):
    """Right versions of all but some packages."""
    versions = {**RIGHT, **others}
    return {name: version for name, version in versions.items() if name not in names}


OLD = dict(torch='2.0.1', torchvision='0.20.1')
NEW = dict(torch='2.15.0', torchvision='0.30.0')
RUNS = dict(ops_for='2.12.1')
MACHINES = {
    'nothing is there': dict(versions={}),
    'only the newest setuptools': dict(versions=dict(setuptools='84.2.1')),
    'a torch for which mmcv does not compile': dict(versions=without('mmcv', **NEW)),
    'an old torch': dict(versions={**RIGHT, **OLD}, ops_for='2.0.1'),
    'an old torch, no mmcv': dict(versions=without('mmcv', **OLD)),
    'mmcv-lite': dict(versions={**without('mmcv'), 'mmcv-lite': '2.1.0'}),
    'mmcv without operators': dict(versions=RIGHT),
    'mmcv of another torch': dict(versions=RIGHT, ops_for='2.11.0'),
    'torch was updated too far': dict(versions={**RIGHT, **NEW}, **RUNS),
    'another mmcv': dict(versions={**RIGHT, 'mmcv': '2.2.0'}, **RUNS),
    'numpy 2': dict(versions={**RIGHT, 'numpy': '2.4.0'}, **RUNS),
    'the newest pyarrow': dict(versions={**RIGHT, 'pyarrow': '26.0.1'}, **RUNS),
    'the newest OpenCV': dict(versions={**RIGHT, OPENCV: '5.0.0.93'}, **RUNS),
    'no display': dict(versions=RIGHT, libraries=False, **RUNS),
    **{
        f'no {module}': dict(versions=without(module), **RUNS)
        for module in environment.COMMANDS
    },
}


def commands_in(sentence):
    """Commands that a sentence asks to run, in their order."""
    return re.findall('`(.+?)`', sentence.partition('; run ')[2])


def sentence_of(machine):
    """What is said of an environment, None where it is right."""
    try:
        check_environment(machine.find, machine.load)
    except UserError as error:
        return str(error)
    return None


def follow(machine):
    """Do what sentences say until there is none; returns them."""
    sentences = []
    while sentence := sentence_of(machine):
        assert sentence not in sentences, 'what it says was done already'
        sentences.append(sentence)
        for command in commands_in(sentence):
            machine.run(command)
    return sentences


@pytest.mark.parametrize('name', MACHINES)
def test_what_sentences_say_makes_an_environment(name):
    machine = Machine(**MACHINES[name])

    sentences = follow(machine)

    assert sentences
    assert machine.ops_for == machine.versions['torch']
    for requirement in requirements_of_setup():
        if requirement.name in machine.versions:
            assert machine.versions[requirement.name] in requirement.specifier
    for package, version in pins().items():
        if package in machine.versions and package not in ('numpy', OPENCV):
            assert machine.versions[package] == version


def test_a_torch_for_which_mmcv_does_not_compile_stays_where_mmcv_runs():
    machine = Machine({**RIGHT, **NEW}, ops_for='2.15.0')
    assert follow(machine) == []


def test_one_sentence_is_enough_for_one_wrong_piece():
    for name in ('an old torch, no mmcv', 'torch was updated too far', 'no mmpose'):
        assert len(follow(Machine(**MACHINES[name]))) == 1


def pins():
    """Versions of `make env`."""
    path = REPOSITORY / 'tools' / 'setup_env.py'
    spec = importlib.util.spec_from_file_location('setup_env', path)
    module = importlib.util.module_from_spec(spec)
    # Data classes look their module up.
    with mock.patch.dict(sys.modules, setup_env=module):
        spec.loader.exec_module(module)
    words = module.ENVIRONMENTS['2.12'].pins.split()
    return dict(word.split('==') for word in words)


def requirements_of_setup():
    """What `pip install .` asks for."""
    tree = ast.parse((REPOSITORY / 'setup.py').read_text())
    (keyword,) = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == 'install_requires'
    ]
    texts = [
        node.value for node in ast.walk(keyword.value) if isinstance(node, ast.Constant)
    ]
    return [Requirement(text) for text in texts]


def requirements_of_sentences():
    """Requirements in all commands of sentences, each once."""
    sentences = [text for each in MACHINES.values() for text in follow(Machine(**each))]
    commands = [command for text in sentences for command in commands_in(text)]
    names = {}
    for command in [*commands, *environment.TRANSFORM_COMMANDS.values()]:
        for part in command.split(' && '):
            words = shlex.split(part.partition('pip install ')[2])
            if '--no-binary' in words:
                del words[words.index('--no-binary') + 1]  # its value
            names.update((word, None) for word in words if word[0] != '-')
    return list(map(Requirement, names))


def test_each_requirement_of_a_sentence_allows_the_version_of_make_env():
    requirements, versions = requirements_of_sentences(), pins()
    assert {'numpy', 'opencv-python', 'mmcv', 'albumentations', 'pyarrow'} <= {
        requirement.name for requirement in requirements
    }
    for requirement in requirements:
        assert versions[requirement.name] in requirement.specifier, requirement


def test_no_sentence_asks_for_what_setup_refuses():
    for stated in requirements_of_setup():
        for asked in requirements_of_sentences():
            if asked.name == stated.name and stated.specifier:
                version = pins()[asked.name]
                assert version in asked.specifier & stated.specifier


@pytest.mark.parametrize('version', ['2.0.8', None])
def test_the_package_of_a_transform(monkeypatch, version):
    pytest.importorskip('albumentations')
    init_default_scope('mmpose')
    blur = dict(type='Albumentation', transforms=[dict(type='Blur', p=0.1)])
    dataset = dict(type='CocoDataset', pipeline=[blur])
    config = Config(dict(train_dataloader=dict(batch_size=2, dataset=dataset)))
    installed = {'albumentations': version}
    newer = SimpleNamespace(augmentations=SimpleNamespace(), Compose=list)
    with monkeypatch.context() as patch:
        patch.setattr(importlib.metadata, 'version', installed.get)
        patch.setattr(common_transforms, 'albumentations', version and newer)
        with pytest.raises(UserError, match='albumentations') as caught:
            check_training_parts(config)

    (command,) = commands_in(str(caught.value))
    words = shlex.split(command)
    from_source = words[words.index('--no-binary') + 1].split(',')
    asked = dict(word.split('==') for word in words if '==' in word)

    # It is what this environment has, and in it the sentence is gone.
    assert asked == {'albumentations': importlib.metadata.version('albumentations')}
    assert from_source == ['albumentations', 'qudida']
    check_training_parts(config)
