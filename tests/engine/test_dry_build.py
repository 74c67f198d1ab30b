"""Parts of a training that cannot be built are named before the labeling."""

from __future__ import annotations

import ast
import re
from types import SimpleNamespace

import pytest
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.datasets.transforms import common_transforms
from mmpose.registry import TRANSFORMS

from mmdistill.cli.environment import TRANSFORM_COMMANDS
from mmdistill.engine import dry_build
from mmdistill.engine.dry_build import check_training_parts
from mmdistill.errors import UserError
from tests.helpers.training_configs import training

ALBUMENTATION = dict(type='Albumentation', transforms=[dict(type='Blur', p=0.1)])
COMMAND = TRANSFORM_COMMANDS['albumentations']


@TRANSFORMS.register_module()
class NeedsOtherPackage(BaseTransform):
    """Stands for a transform of a user's, with an import of its own."""

    def __init__(self):
        raise ModuleNotFoundError("No module named 'kornia'")

    def transform(self, results):
        return results


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmpose')


def test_what_can_be_built_passes():
    backbone = dict(type='ResNet', depth=18, init_cfg=None)
    head = dict(type='HeatmapHead', in_channels=512, out_channels=17)
    model = dict(type='TopdownPoseEstimator', backbone=backbone, head=head)

    check_training_parts(training(dict(type='LoadImage'), model=model))


def test_albumentations_that_is_missing_is_named_with_its_command(monkeypatch):
    monkeypatch.setattr(common_transforms, 'albumentations', None)

    with pytest.raises(UserError) as error:
        check_training_parts(training(ALBUMENTATION))

    assert str(error.value) == (
        'the transform Albumentation of train_dataloader cannot be built: '
        f'albumentations is not installed; run `{COMMAND}`'
    )


def test_albumentations_that_does_not_fit_is_named_with_its_command(monkeypatch):
    """From 2.0 on there is no `augmentations.transforms`, which MMPose looks into."""
    newer = SimpleNamespace(augmentations=SimpleNamespace(), Compose=list)
    monkeypatch.setattr(common_transforms, 'albumentations', newer)
    monkeypatch.setattr(dry_build, '_version', lambda package: '2.0.8')

    with pytest.raises(UserError) as error:
        check_training_parts(training(ALBUMENTATION))

    sentence = str(error.value)
    assert 'Albumentation of train_dataloader' in sentence
    assert 'albumentations 2.0.8 does not fit MMPose' in sentence
    assert sentence.endswith(f'run `{COMMAND}`')


def test_the_pipeline_of_the_last_epochs_is_looked_at(monkeypatch):
    monkeypatch.setattr(common_transforms, 'albumentations', None)
    hook = dict(type='mmdet.PipelineSwitchHook', switch_pipeline=[ALBUMENTATION])

    with pytest.raises(UserError, match='Albumentation of custom_hooks'):
        check_training_parts(training(custom_hooks=[hook]))


def test_members_of_a_mix_are_looked_at(monkeypatch):
    monkeypatch.setattr(common_transforms, 'albumentations', None)
    member = dict(type='CocoDataset', pipeline=[ALBUMENTATION])
    mix = dict(type='CombinedDataset', datasets=[member], pipeline=[])
    config = Config(dict(train_dataloader=dict(batch_size=2, dataset=mix)))

    with pytest.raises(UserError, match='Albumentation of train_dataloader'):
        check_training_parts(config)


def test_any_missing_package_of_any_transform_is_named():
    with pytest.raises(UserError, match=r'NeedsOtherPackage.*run `pip install kornia`'):
        check_training_parts(training(dict(type='NeedsOtherPackage')))


@pytest.mark.parametrize(
    ('transform', 'reason'),
    [
        (dict(type='Unheard'), 'Unheard is not in the .* registry.*custom_imports'),
        (dict(type='nopackage.Thing'), 'the package nopackage is not installed'),
        (dict(type='LoadImage', color=1), "unexpected keyword argument 'color'"),
        (dict(type='Albumentation', transforms=[dict(type='Blurr')]), 'Blurr'),
    ],
)
def test_a_transform_that_is_wrong_is_named(transform, reason):
    pytest.importorskip('albumentations')
    kind = transform['type'].rpartition('.')[2]

    with pytest.raises(UserError, match=f'the transform {kind} of.*{reason}'):
        check_training_parts(training(transform))


def test_a_data_set_of_a_class_that_is_not_known_is_named():
    member = dict(type='HalpeHandDataset', pipeline=[])
    mix = dict(type='CombinedDataset', datasets=[member])
    config = Config(dict(val_dataloader=dict(batch_size=2, dataset=mix)))

    with pytest.raises(
        UserError, match=r'no data set is registered as .HalpeHandDataset'
    ):
        check_training_parts(config)


def test_a_backbone_of_a_package_that_is_not_there_is_named():
    model = dict(
        type='TopdownPoseEstimator',
        backbone=dict(type='nopackage.Net'),
        head=dict(type='HeatmapHead', in_channels=4, out_channels=2),
    )

    with pytest.raises(UserError, match=r'nopackage\.Net.*nopackage is not installed'):
        check_training_parts(training(model=model))


def test_a_config_without_loaders_passes():
    check_training_parts(Config(dict(val_dataloader=None)))


def test_a_wrong_argument_is_not_blamed_on_a_package_that_fits():
    pytest.importorskip('albumentations')
    misspelt = dict(type='Albumentation', transforms=[dict(type='Blurr')])

    with pytest.raises(UserError, match="no attribute 'Blurr'") as error:
        check_training_parts(training(misspelt))

    assert 'pip' not in str(error.value)


def test_a_file_backend_that_is_not_there_is_named_and_none_reads_the_disk():
    petrel = dict(type='LoadImage', backend_args=dict(backend='petrel'))

    with pytest.raises(UserError) as error:
        check_training_parts(training(petrel))

    sentence = str(error.value)
    assert sentence.startswith(
        'the transform LoadImage of train_dataloader cannot read'
    )
    assert (
        "backend_args={'backend': 'petrel'}: Please install petrel_client" in sentence
    )
    key, value = re.search(r'set (\w+)=(\w+) if', sentence).groups()
    check_training_parts(training({**petrel, key: ast.literal_eval(value)}))
    check_training_parts(training({**petrel, key: dict(backend='local')}))
